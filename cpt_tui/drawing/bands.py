"""Bands: one quantity against two limits in three rows, green, amber and red, each on its scale.

A row is a band, so that where the curve stands is read off the row, however narrow the bands
are beside the largest value: on one linear scale a rise of 0.02 and one of 0.2 nats look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

from cpt_tui.drawing.page import STATE_STYLES
from cpt_tui.terminal import ascii_only, glyphs
from engine.runs.series import Point

ROWS = ("red", "amber", "green")
DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Braille dots of the left and the right column, from the bottom up."""


@dataclass(frozen=True)
class Bands:
    """What stands under a chart: a curve, where amber and red begin, and its title."""

    title: Text
    points: Sequence[Point]
    amber: float
    red: float


def band_rows(bands: Bands, axis: int, width: int, window: tuple[float, float]) -> list[Text]:
    """The title and three rows, with the y axis in column ``axis`` like that of a chart above.

    Each column has its largest value. The green row reaches down to the least value or to 0,
    the red one up to the largest or to twice its limit; a band's name stands where no curve is.
    """
    room = max(4, width - axis - 1)
    columns = _columns(bands.points, room * 2, window)
    values = [value for value in columns if value is not None]
    edges = (min([0.0, *values]), bands.amber, bands.red, max([2 * bands.red, *values]))
    levels = [None if value is None else _level(value, edges) for value in columns]
    rows = [bands.title]
    names = (f"red above {bands.red:+g}", f"amber above {bands.amber:+g}", "green")
    for name, label, bottom in zip(ROWS, names, (8, 4, 0), strict=True):
        cells = _cells(levels, bottom, room)
        style = STATE_STYLES[name]
        row = Text(" " * axis + glyphs("┤"), "dim", no_wrap=True, end="")
        for words in (label, name):
            start = cells.rfind(" " * (len(words) + 2))
            if start >= 0:
                row.append(cells[:start], style).append(f" {words} ", "dim")
                cells = cells[start + len(words) + 2 :]
                break
        rows.append(row.append(cells, style))
    return rows


def _columns(
    points: Sequence[Point], count: int, window: tuple[float, float]
) -> list[float | None]:
    """The largest value of each column, columns between two points on their line."""
    left, right = window
    span = (right - left) or 1.0
    columns: list[float | None] = [None] * count

    def put(x: float, y: float) -> None:
        at = int((x - left) / span * (count - 1) + 0.5)
        if 0 <= at < count:
            held = columns[at]
            columns[at] = y if held is None else max(held, y)

    for x, y in points:
        put(x, y)
    for (x1, y1), (x2, y2) in pairwise(points):
        first, last = ((x - left) / span * (count - 1) for x in (x1, x2))
        for at in range(max(0, int(first) + 1), min(count, int(last) + 1)):
            if columns[at] is None:
                columns[at] = y1 + (y2 - y1) * (at - first) / ((last - first) or 1.0)
    return columns


def _level(value: float, edges: tuple[float, float, float, float]) -> int:
    """0 to 11: four levels a band, linear inside of it; a limit belongs to the band below."""
    low, green, amber, high = edges
    for band, (start, end) in enumerate(((low, green), (green, amber), (amber, high))):
        if value <= end or band == 2:
            part = (value - start) / ((end - start) or 1.0)
            return 4 * band + max(0, min(3, int(4 * part)))
    return 11


def _cells(levels: Sequence[int | None], bottom: int, room: int) -> str:
    """The cells of the row whose four levels begin at ``bottom``."""
    found = []
    for cell in range(room):
        pair = levels[2 * cell : 2 * cell + 2]
        mine = [(side, level - bottom) for side, level in enumerate(pair) if level is not None]
        inside = [(side, level) for side, level in mine if 0 <= level < 4]
        if ascii_only():
            found.append("*" if inside else " ")
        else:
            bits = sum(DOTS[side][level] for side, level in inside)
            found.append(chr(0x2800 + bits) if bits else " ")
    return "".join(found)
