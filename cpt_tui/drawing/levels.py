"""Levels: dashed lines across a drawing of plain characters, with their names in words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cpt_tui.terminal import glyphs

LEVEL = "┄"
AXIS = re.compile("[┤│+|]")
"""The y axis of a drawing, in ASCII or not."""


@dataclass(frozen=True)
class Level:
    """A value worth a line across the chart, and its name in words: long, and short."""

    at: float
    label: str
    short: str
    style: str = ""


Span = tuple[int, int, str]
"""Where a style goes: (start, end, style), in characters."""


def with_levels(
    drawing: str, levels: Sequence[Level], ends: tuple[float, float], width: int
) -> tuple[str, list[Span]]:
    """The drawing with a dashed line at each level and its words, where no curve is.

    Levels that fall on one row share it. Where a row has no room for words they stand on one
    of the rows above it, with an arrow down.
    """
    lines = [line.ljust(width) for line in drawing.split("\n")]
    rows = len(lines) - 2  # the axis and its labels stand below
    axis = axis_of(lines[:rows])
    spans: list[Span] = []
    for row, here in _rows(levels, ends, rows).items():
        if not 0 <= row < rows or axis < 0:
            continue
        before = lines[row]
        lines[row] = before[: axis + 1] + before[axis + 1 :].replace(" ", glyphs(LEVEL))
        spans += _shifted(_changed(before, lines[row]), row, width, here[-1].style)
        long, short = (", ".join(names) for names in zip(*map(_names, here), strict=True))
        arrow = f"{short} {glyphs('↓')}"
        tries = [(row, long), (row, short), *((row - up, arrow) for up in (1, 2, 3) if row >= up)]
        for place, label in tries:
            free = before if place == row else lines[place]
            start = free.rfind(" " * (len(label) + 2), axis + 1)
            if start >= 0:
                end = start + len(label) + 2
                lines[place] = f"{lines[place][:start]} {label} {lines[place][end:]}"
                spans += _shifted([(start, end)], place, width, "default bold")
                break
    return "\n".join(lines), spans


def axis_of(lines: Sequence[str]) -> int:
    """The column of the y axis in the rows of a drawing; -1 where there is none."""
    return max((at.start() for line in lines if (at := AXIS.search(line))), default=-1)


def _rows(levels: Sequence[Level], ends: tuple[float, float], rows: int) -> dict[int, list[Level]]:
    """Levels by the row they fall on, counted from the top as plotext counts."""
    low, high = ends
    found: dict[int, list[Level]] = {}
    for level in levels:
        up = (rows - 1) * (level.at - low) / (high - low)
        found.setdefault(rows - 1 - math.floor(round(0.5 + up, 8)), []).append(level)
    return found


def _names(level: Level) -> tuple[str, str]:
    return level.label, level.short


def _changed(before: str, after: str) -> list[tuple[int, int]]:
    """Where two lines of one length differ, as (start, end)."""
    signs = "".join("x" if a != b else " " for a, b in zip(before, after, strict=True))
    return [found.span() for found in re.finditer("x+", signs)]


def _shifted(places: list[tuple[int, int]], row: int, width: int, style: str) -> list[Span]:
    """Places of a row as spans of the whole drawing."""
    at = row * (width + 1)
    return [(at + start, at + end, style) for start, end in places]
