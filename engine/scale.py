"""Round values for an axis."""

from __future__ import annotations

import math

LEAST_SPAN = 1e-300
"""A narrower range is one value: its steps would be too small for a float."""


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round values between ``low`` and ``high``, about ``wanted`` of them."""
    span = high - low
    if not LEAST_SPAN < span < math.inf:
        return [low]
    raw = span / max(1, wanted)
    base = 10.0 ** math.floor(math.log10(raw))
    step = next((base * m for m in (1, 2, 2.5, 5) if base * m >= raw), base * 10)
    start = math.ceil(low / step - 1e-9)
    stop = math.floor(high / step + 1e-9)
    return [k * step for k in range(start, stop + 1)]
