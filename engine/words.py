"""Numbers as people read them: counts, durations, losses, rates. Plain ASCII."""

from __future__ import annotations

import math


def count(value: float | None) -> str:
    """``950``, ``12.3k``, ``4.56M``, ``1.20B``; a dash for None."""
    if value is None or not math.isfinite(value):
        return "-"
    for limit, unit, digits in ((1e9, "B", 2), (1e6, "M", 2), (1e4, "k", 1)):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.{digits}f}{unit}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
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


def short_duration(seconds: float | None) -> str:
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


def loss(value: float | None) -> str:
    """Four decimals; ``not finite`` for None, never 0."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.4f}"


def signed(value: float | None, digits: int = 3) -> str:
    """With its sign; a dash for None."""
    return "-" if value is None or not math.isfinite(value) else f"{value:+.{digits}f}"


def p_value(p: float | None) -> str:
    """``p = 0.021``, ``p < 0.001``; never 0."""
    if p is None or not math.isfinite(p):
        return "p not known"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def size(bytes_: float | None) -> str:
    """``512 B``, ``12.4 KB``, ``3.1 MB``, ``2.0 GB``."""
    if bytes_ is None or not math.isfinite(bytes_):
        return "-"
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if bytes_ >= limit:
            return f"{bytes_ / limit:.1f} {unit}"
    return f"{bytes_:.0f} B"


def memory(gigabytes: float | None) -> str:
    """``2.4 GB``, ``under 0.1 GB``; a dash for None and for 0, which nobody predicted."""
    if not gigabytes or not math.isfinite(gigabytes):
        return "-"
    return f"{gigabytes:.1f} GB" if gigabytes >= 0.1 else "under 0.1 GB"


def one_line(text: object) -> str:
    """White space folded, so that a message stays one line. Does not clean escapes."""
    return " ".join(str(text).split())
