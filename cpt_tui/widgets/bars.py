"""Numbers drawn with characters: bars, sparklines, scales with thresholds, intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.series import Point

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


def log_scale(value: float, marks: Sequence[tuple[float, str]], width: int) -> list[str]:
    """A logarithmic scale: the marks with their names, and where the value stands."""
    ends = [marks[0][0] / 10, marks[-1][0] * 10]
    low, high = math.log10(ends[0]), math.log10(ends[1])

    def column(x: float) -> int:
        share = (math.log10(max(x, ends[0])) - low) / (high - low)
        return max(0, min(width - 1, round(share * (width - 1))))

    line = ["─"] * width
    names = [" "] * (width + 12)
    for at, name in marks:
        line[column(at)] = "┼"
        start = max(0, column(at) - len(name) // 2)
        names[start : start + len(name)] = name
    pointer = [" "] * width
    pointer[column(value)] = "V"
    return ["".join(pointer).rstrip(), "".join(line), "".join(names).rstrip()]


def interval_rows(
    low: float, value: float, high: float, margin: float, width: int
) -> tuple[str, str]:
    """An interval against 0 and the margin on both sides: the drawing and its ruler.

    ``[`` and ``]`` are the interval's ends, ``o`` the estimate, ``|`` zero, ``:`` the margins.
    """
    reach = max(abs(low), abs(high), margin * 1.5, 1e-9) * 1.1

    def column(x: float) -> int:
        return max(0, min(width - 1, round((x + reach) / (2 * reach) * (width - 1))))

    line = ["─"] * width
    for at in range(column(low), column(high) + 1):
        line[at] = "━"
    for x, sign in ((-margin, ":"), (margin, ":"), (0.0, "│")):
        line[column(x)] = sign
    line[column(low)], line[column(high)], line[column(value)] = "[", "]", "o"
    ruler = [" "] * (width + 6)
    for x in (-margin, margin, 0.0):
        label = f"{x:+g}" if x else "0"
        start = max(0, column(x) - len(label) // 2)
        ruler[start : start + len(label)] = label
    return "".join(line), "".join(ruler).rstrip()
