"""What the drawings of this package share: their arguments, as types."""

from __future__ import annotations

from collections.abc import Callable

from cpt_tui.drawing.page import Page
from engine.artifacts.decision import Evidence

Limits = dict[str, float]
"""The thresholds in force."""
Drawer = Callable[[Page, Evidence, Limits, int], None]
"""``draw(page, found, limits, width)``: what a run did not measure is left out."""
