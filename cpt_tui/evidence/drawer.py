"""What the drawings of this package share: their arguments, as types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cpt_tui.drawing.page import Page

Found = dict[str, Any]
"""The scan's and the probe's evidence as plain values; what an older run did not measure is
missing from it and is left out of the drawing."""
Limits = dict[str, float]
"""The thresholds in force."""
Drawer = Callable[[Page, Found, Limits, int], None]
"""``draw(page, found, limits, width)``"""
