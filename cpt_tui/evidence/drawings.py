"""Which drawing shows what: by the decision tree's node, and all of them for a run's panel."""

from __future__ import annotations

from cpt_tui.evidence import cost, fertility, gate, quality, shape, size, surprise, terms
from cpt_tui.evidence.drawer import Drawer

BY_NODE: dict[str, tuple[Drawer, ...]] = {
    "shape": (shape.draw, quality.draw_odd),
    "size": (size.draw, quality.draw),
    "surprise": (surprise.draw,),
    "fertility": (fertility.draw,),
    "gate": (gate.draw,),
    "facts": (quality.draw_copies,),
    "cost": (cost.draw,),
}
"""What an interview page shows, by the id of its node (``engine/decision/tree.py``)."""

IN_ORDER: tuple[Drawer, ...] = (
    size.draw,
    shape.draw,
    quality.draw,
    surprise.draw,
    fertility.draw,
    terms.draw,
    gate.draw,
    cost.draw,
)
"""The measurements in the order of the interview."""
