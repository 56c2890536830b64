"""Evidence drawn on a page: one noun a file, each ``draw(page, found, limits, width)``.

``found`` is the scan's and the probe's evidence as plain values; what an older run did not
measure is missing from it and is left out. ``limits`` are the thresholds in force.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cpt_tui.widgets.page import Page

Found = dict[str, Any]
Limits = dict[str, float]
Drawer = Callable[[Page, Found, Limits, int], None]
