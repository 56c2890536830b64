"""The stages of a run, by name and in order, and the version of what each writes."""

from __future__ import annotations

STAGES = ("scan", "probe", "decide", "baseline", "pack", "train", "gate", "report")
"""The pipeline in order; ``check`` runs the first three."""


CHECK_STAGES = STAGES[:3]


EXTEND = "extend"
"""The stage before ``pack`` where the recipe asks for new tokens, and only there."""


LATER_STAGES = ("arms", "finish", "export")
"""More arms, stage two (the task model) and the folder to ship: only where they are asked for."""


VERSIONS = {
    "scan": 2,
    "probe": 2,
    "decide": 1,
    "baseline": 2,
    "extend": 1,
    "pack": 1,
    "train": 1,
    "gate": 2,
    "report": 1,
    "arms": 1,
    "finish": 1,
    "export": 1,
}
"""Raise a stage's number when its code makes something else of the same inputs: artifacts that
an older cpt wrote are then made anew."""
