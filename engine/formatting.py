"""Numbers as people read them: counts, durations, losses, rates. Plain ASCII."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Protocol


class HasInterval(Protocol):
    """An estimate with both ends of its interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def format_count(value: float | None) -> str:
    """``950``, ``12.3k``, ``4.56M``, ``2M``, ``1.2B``; a dash for None."""
    if value is None or not math.isfinite(value):
        return "-"
    for limit, unit, digits in ((1e9, "B", 2), (1e6, "M", 2), (1e4, "k", 1)):
        if abs(value) >= limit:
            number = f"{value / (1e3 if unit == 'k' else limit):.{digits}f}"
            return f"{number.rstrip('0').rstrip('.')}{unit}"
    return f"{value:,.0f}"


def format_duration(seconds: float | None) -> str:
    """``4 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``; a dash for None."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def format_short_duration(seconds: float | None) -> str:
    """``8s``, ``2m21s``, ``16m``, ``3h05m``, ``2d4h``: at most six characters."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    days, hours = whole // 86_400, whole % 86_400 // 3600
    return f"{days}d{hours}h" if days < 10 else f"{days}d"


def format_loss(value: float | None) -> str:
    """Four decimals; ``not finite`` for None, never 0."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.4f}"


def format_signed(value: float | None, digits: int = 3) -> str:
    """With its sign; a dash for None."""
    return "-" if value is None or not math.isfinite(value) else f"{value:+.{digits}f}"


def format_decimal(value: float | None, digits: int = 2) -> str:
    """With so many decimals; a dash for None."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def format_rate(value: float | None) -> str:
    """A learning rate in its shortest form, ``0.0001``; a dash for None."""
    return "-" if value is None else f"{value:g}"


def format_p_value(p: float | None) -> str:
    """``p = 0.021``, ``p < 0.001``; never 0."""
    if p is None or not math.isfinite(p):
        return "p not known"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def format_bytes(bytes_: float | None) -> str:
    """``512 B``, ``12.4 KB``, ``3.1 MB``, ``2.0 GB``."""
    if bytes_ is None or not math.isfinite(bytes_):
        return "-"
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if bytes_ >= limit:
            return f"{bytes_ / limit:.1f} {unit}"
    return f"{bytes_:.0f} B"


def format_memory(gigabytes: float | None) -> str:
    """``2.4 GB``, ``under 0.1 GB``; a dash for None and for 0, which nobody predicted."""
    if not gigabytes or not math.isfinite(gigabytes):
        return "-"
    return f"{gigabytes:.1f} GB" if gigabytes >= 0.1 else "under 0.1 GB"


def one_line(text: object) -> str:
    """White space folded, so that a message stays one line. Does not clean escapes."""
    return " ".join(str(text).split())


LEAST_SPAN = 1e-300
"""A narrower range is one value: its steps would be too small for a float."""


def ticks(low: float, high: float, wanted: int, whole: bool = False) -> list[float]:
    """Round values between ``low`` and ``high``: about ``wanted``, two at least where they fit.

    ``whole`` gives whole numbers only, so that a short range may hold fewer than two.
    """
    span = high - low
    if not LEAST_SPAN < span < math.inf:
        return [low]
    found: list[float] = []
    for step in _steps(span / max(1, wanted), whole):
        start = math.ceil(low / step - 1e-9)
        stop = math.floor(high / step + 1e-9)
        found = [k * step for k in range(start, stop + 1)]
        if len(found) > 1:
            break
    return found


def _steps(raw: float, whole: bool) -> list[float]:
    """Round steps: the smallest that is ``raw`` at least, and then the smaller ones."""
    at = math.floor(math.log10(max(raw, 1.0) if whole else raw))
    steps = [10.0**power * part for power in (at + 1, at, at - 1) for part in (5, 2.5, 2, 1)]
    if whole:
        steps = [step for step in steps if step >= 1 and step == round(step)]
    return [step for i, step in enumerate(steps) if i + 1 == len(steps) or steps[i + 1] < raw]


def tick_labels(marks: Sequence[float], digits: int = 0) -> list[str]:
    """A label for each tick, in one unit and with the decimals that all of them need.

    No label is a rounded one: what it says is the tick. ``digits`` is the fewest decimals of
    ticks that are no whole numbers.
    """
    largest = max((abs(mark) for mark in marks), default=0.0)
    if not 1e-3 <= largest < 1e15 and largest:
        digits = _decimals([m / 10.0 ** math.floor(math.log10(abs(m))) for m in marks if m])
        return [f"{mark:.{digits}e}" if mark else "0" for mark in marks]
    size, unit = next(((size, u) for size, u in UNITS if largest >= size), (1.0, ""))
    scaled = [mark / (1e3 if unit == "k" else size) for mark in marks]
    needed = _decimals(scaled)
    needed = max(digits, needed) if needed and not unit else needed
    return [f"{value + 0.0:,.{needed}f}{unit if value else ''}" for value in scaled]


UNITS = ((1e9, "B"), (1e6, "M"), (1e4, "k"))
"""From which size on a count is told in which unit."""
MOST_DECIMALS = 12


def _decimals(values: Sequence[float]) -> int:
    """The fewest decimals that tell every value as it is, but for what a float cannot hold."""
    gaps = [abs(b - a) for a, b in pairwise(values)] or [abs(value) for value in values]
    near = 1e-6 * (min(gaps, default=0.0) or 1.0)
    for decimals in range(MOST_DECIMALS):
        if all(abs(round(value, decimals) - value) <= near for value in values):
            return decimals
    return MOST_DECIMALS


def format_interval(interval: HasInterval, digits: int = 2) -> str:
    """``1.42 (95% 1.31 to 1.55)``"""
    low, high = (f"{end:.{digits}f}" for end in (interval.low, interval.high))
    return f"{interval.value:.{digits}f} (95% {low} to {high})"


def is_finite(interval: HasInterval) -> bool:
    """True where all three numbers can be compared."""
    return all(isfinite(number) for number in (interval.value, interval.low, interval.high))


WIDTH = 80
"""Columns of a page of plain text."""
