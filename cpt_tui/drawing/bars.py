"""Numbers drawn with characters: bars, sparklines, scales with thresholds, distributions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.formatting import tick_labels, ticks
from engine.runs.series import Point

LEVELS = "▁▂▃▄▅▆▇█"


def bar(value: float, largest: float, width: int) -> str:
    """A filled bar of ``width`` cells; a value above 0 shows at least one."""
    share = max(0.0, min(1.0, value / largest)) if largest > 0 else 0.0
    filled = round(share * width) or (1 if share > 0 else 0)
    return "█" * filled + "░" * (width - filled)


def spark(points: Sequence[Point], width: int) -> str:
    """One row of block characters: the largest value in each column, on its own range."""
    if not points or width < 1:
        return ""
    first, last = points[0][0], points[-1][0]
    columns: list[float | None] = [None] * width
    for x, y in points:
        at = int((x - first) / (last - first) * (width - 1)) if last > first else 0
        held = columns[at]
        columns[at] = y if held is None else max(held, y)
    values = [value for value in columns if value is not None]
    low, high = min(values), max(values)
    span = high - low or 1.0
    cells, held = [], None
    for value in columns:
        held = value if value is not None else held
        level = 0 if held is None else int((held - low) / span * (len(LEVELS) - 1))
        cells.append(LEVELS[level])
    return "".join(cells)


@dataclass(frozen=True)
class Mark:
    """A named place on a scale, such as a threshold."""

    at: float
    label: str
    sign: str = "┼"


def name_rows(marks: Sequence[tuple[int, str]], width: int) -> list[str]:
    """Labels under their columns, in as few rows as keep them apart."""
    rows: list[str] = []
    for column, label in sorted(marks):
        start = max(0, min(column - len(label) // 2, width - len(label)))
        for i, row in enumerate(rows):
            if len(row) < start:
                rows[i] = row.ljust(start) + label
                break
        else:
            rows.append(" " * start + label)
    return rows


def log_scale(value: float, marks: Sequence[Mark], width: int) -> list[str]:
    """A logarithmic scale: where the value stands, the marks, and their names.

    A mark below 1 stands at 1: a recipe may put a threshold at 0 or below.
    """
    places = [max(1.0, mark.at) for mark in marks]
    least, most = min(places) / 10, max(places) * 10
    low, high = math.log10(least), math.log10(most)

    def column(x: float) -> int:
        share = (math.log10(max(x, least)) - low) / (high - low)
        return max(0, min(width - 1, round(share * (width - 1))))

    line = ["─"] * width
    for mark in marks:
        line[column(mark.at)] = mark.sign
    pointer = " " * column(value) + "V"
    return [pointer, "".join(line), *name_rows([(column(m.at), m.label) for m in marks], width)]


def interval_scale(
    interval: tuple[float, float, float],
    marks: Sequence[Mark],
    width: int,
    ends: tuple[float, float] | None = None,
) -> list[str]:
    """An interval (low, value, high) and named marks on one linear scale: drawing, then names.

    ``[`` and ``]`` are the interval's ends, ``o`` the estimate. ``ends`` fixes the scale.
    """
    low, value, high = interval
    places = [*interval, *(mark.at for mark in marks)]
    first, last = ends or (min(places), max(places))
    air = (last - first) * 0.06 or 1e-9
    first, last = first - air, last + air

    def column(x: float) -> int:
        return max(0, min(width - 1, round((x - first) / (last - first) * (width - 1))))

    line = ["─"] * width
    for at in range(column(low), column(high) + 1):
        line[at] = "━"
    for mark in marks:
        line[column(mark.at)] = mark.sign
    line[column(low)], line[column(high)], line[column(value)] = "[", "]", "o"
    return ["".join(line), _ordered_names([(column(m.at), m.label) for m in marks], width)]


def _ordered_names(marks: Sequence[tuple[int, str]], width: int) -> str:
    """Labels in one row and in their order, each as near to its column as the others let it."""
    placed = sorted(marks, key=lambda mark: mark[0])
    row, needed = "", sum(len(label) + 1 for _, label in placed) - 1
    for column, label in placed:
        start = min(column - len(label) // 2, width - needed)
        row = row.ljust(max(start, len(row) + bool(row))) + label
        needed -= len(label) + 1
    return row


def axis_range(spreads: Sequence[Sequence[float]]) -> tuple[float, float]:
    """A common range for percentiles of several sides; a long upper tail is cut."""
    low = min(spread[0] for spread in spreads)
    most = max(spread[-1] for spread in spreads)
    usual = max(spread[-2] for spread in spreads)
    high = min(most, usual + 0.5 * (usual - low))
    return low, high if high > low else low + max(1e-9, 1e-9 * abs(low))


def ridge(spread: Sequence[float], low: float, high: float, width: int) -> str:
    """How dense a side is along the range, from its percentiles; higher is denser.

    What lies beyond the range counts into the last column.
    """
    edges = [low + (high - low) * i / width for i in range(width + 1)]
    below = [cumulated(spread, edge) for edge in edges]
    below[0], below[-1] = 0.0, 1.0
    masses = [after - before for before, after in pairwise(below)]
    most = max(masses) or 1.0
    return "".join(
        LEVELS[min(len(LEVELS) - 1, int(mass / most * len(LEVELS)))] if mass > 1e-9 else " "
        for mass in masses
    )


def cumulated(spread: Sequence[float], x: float) -> float:
    """Share of a side at or below ``x``, linear between its evenly spaced percentiles."""
    at = bisect_right(spread, x) - 1
    if at < 0:
        return 0.0
    if at >= len(spread) - 1:
        return 1.0
    step = spread[at + 1] - spread[at]
    part = (x - spread[at]) / step if step > 0 else 0.0
    return (at + part) / (len(spread) - 1)


def box(spread: Sequence[float], low: float, high: float, width: int) -> str:
    """A box plot from percentiles: whiskers 5 to 95, box 25 to 75, ``│`` the median."""
    last = len(spread) - 1

    def column(share: float) -> int:
        x = spread[round(share * last)]
        return max(0, min(width - 1, round((x - low) / (high - low) * (width - 1))))

    row = [" "] * width
    for at in range(column(0.05), column(0.95) + 1):
        row[at] = "─"
    row[column(0.05)], row[column(0.95)] = "├", "┤"
    for at in range(column(0.25), column(0.75) + 1):
        row[at] = "━"
    row[column(0.5)] = "│"
    return "".join(row).rstrip()


def ruler(low: float, high: float, width: int) -> str:
    """Round values of a linear range at their columns."""
    marks = ticks(low, high, max(2, width // 12))
    places = [round((x - low) / (high - low) * (width - 1)) for x in marks]
    named = list(zip(places, tick_labels(marks), strict=True))
    return name_rows(named, width)[0]
