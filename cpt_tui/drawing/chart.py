"""Chart: lines over steps, levels behind them. The only user of plotext.

plotext draws plain characters; this widget colours them by their glyph, so that the lines
differ without colour too. Built when data or size change, never inside ``render``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich.text import Text
from textual.events import Resize
from textual.widget import Widget

from cpt_tui.drawing.bands import Bands, band_rows
from cpt_tui.drawing.levels import Level, axis_of, with_levels
from cpt_tui.terminal import ascii_only, glyphs
from engine.formatting import tick_labels, ticks
from engine.runs.series import Point

PLAIN_MARKERS = ("*", "o", "+")
MARKERS = ("braille", "•", "+")
STYLES = ("bold cyan", "bold yellow", "magenta")
PLAIN_UNDER = ("#", "x", "=")
UNDER = ("·", "×", "÷")
UNDER_STYLES = ("cyan", "yellow", "magenta")
SHOWN = {"braille": "⣀⠊"}
DECADES, MANY_DECADES = 1.3, 5
"""Decades from which a logarithmic axis is labelled by 1, 2 and 5 of each, and by 1 alone."""
BAND_ROWS = 4
"""Rows of the bands under a chart, their title included."""


@dataclass(frozen=True)
class Line:
    """One named curve; ``under`` draws it beneath the others, in glyphs of its own."""

    name: str
    points: Sequence[Point]
    under: bool = False
    place: int = 0
    """Which of three looks it has, so that a quantity looks the same on every chart."""


@dataclass(frozen=True)
class Sign:
    """A mark on the x axis: a checkpoint, an alarm, the cursor."""

    x: float
    glyph: str
    style: str


@dataclass(frozen=True)
class Look:
    """How a curve is drawn: the glyph plotext gets, the one the legend shows, the style."""

    glyph: str
    shown: str
    style: str


def look(place: int, under: bool) -> Look:
    """The look of the first, second or third curve over or under the others."""
    if under:
        glyph = PLAIN_UNDER[place] if ascii_only() else UNDER[place]
        return Look(glyph, glyph, UNDER_STYLES[place])
    glyph = PLAIN_MARKERS[place] if ascii_only() else MARKERS[place]
    return Look(glyph, SHOWN.get(glyph, glyph), STYLES[place])


def decimate(points: Sequence[Point], columns: int) -> list[Point]:
    """At most two points a column, its lowest and its highest, in order of x; finite only."""
    good = [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
    if len(good) <= 2 * columns or columns < 1:
        return good
    first, span = good[0][0], good[-1][0] - good[0][0] or 1.0
    buckets: dict[int, tuple[Point, Point]] = {}
    for point in good:
        at = min(columns - 1, int((point[0] - first) / span * columns))
        low, high = buckets.get(at, (point, point))
        buckets[at] = (min(low, point, key=_y), max(high, point, key=_y))
    return [p for pair in buckets.values() for p in sorted(set(pair))]


def _y(point: Point) -> float:
    return point[1]


def clipped(points: Sequence[Point], left: float, right: float) -> list[Point]:
    """The points from ``left`` to ``right``, and where their line enters and leaves."""
    good = [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
    inside = [p for p in good if left <= p[0] <= right]
    for (x1, y1), (x2, y2) in pairwise(good):
        for edge, at in ((left, 0), (right, len(inside))):
            if x1 < edge < x2:
                inside.insert(at, (edge, y1 + (y2 - y1) * (edge - x1) / (x2 - x1)))
    return sorted(inside)


class Chart(Widget):
    """Up to three lines on one pair of axes, as many beneath, a legend in words above them."""

    DEFAULT_CSS = "Chart { height: 1fr; min-height: 5; }"

    def __init__(self, title: str, empty: str, digits: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._title, self._empty, self._digits = title, empty, digits
        self._lines: list[tuple[Line, Look]] = []
        self._levels: list[Level] = []
        self._beneath = ""
        self._bands: Bands | None = None
        self._window: tuple[float, float] | None = None
        self._signs: Sequence[Sign] = ()
        self._log_y = False
        self._text = Text("reading the log", "dim")

    def show(
        self,
        title: str,
        lines: Sequence[Line],
        levels: Sequence[Level] = (),
        window: tuple[float, float] | None = None,
        beneath: str = "",
        bands: Bands | None = None,
        signs: Sequence[Sign] = (),
        log: bool = False,
    ) -> None:
        """Set what is drawn; ``window`` is the part of the x axis, None for all of it.

        ``beneath`` names the lines that are under the others; ``bands`` stand below it all,
        ``signs`` on the x axis; ``log`` draws y by its logarithm, as far as it is above 0.
        """
        self._signs, self._log_y = signs, log
        self._bands = bands
        self._title, self._levels, self._window = title, list(levels), window
        self._beneath = beneath
        beneath_first = sorted(lines, key=lambda line: not line.under)
        self._lines = [(line, look(line.place, line.under)) for line in beneath_first]
        self._build()

    def on_resize(self, event: Resize) -> None:
        self._build()

    def render(self) -> Text:
        return self._text

    def _build(self) -> None:
        width, height = self.size
        if width < 10 or height < 3:
            return
        curves = [(seen, decimate(self._cut(line), 2 * width)) for line, seen in self._lines]
        if self._log_y:
            curves = [(seen, logarithms(points)) for seen, points in curves]
        curves = [(seen, points) for seen, points in curves if points]
        legend = self._legend(width)
        if curves:
            below = BAND_ROWS if self._bands and height >= 3 * BAND_ROWS - 1 else 0
            drawing = self._drawing(curves, width, height - len(legend) - below)
            self._text = Text("\n").join([*legend, drawing])
            if self._bands and below:
                axis = axis_of(drawing.plain.split("\n")[:-2])
                shown = band_rows(self._bands, axis, width, self._ends(curves))
                self._text = Text("\n").join([self._text, *shown])
        else:
            self._text = Text.assemble((self._title + "\n", "bold"), (self._empty, "dim"))
        self.refresh()

    def _ends(self, curves: list[tuple[Look, list[Point]]]) -> tuple[float, float]:
        """The part of the x axis that is drawn."""
        return self._window or x_range([points for _, points in curves])

    def _cut(self, line: Line) -> list[Point]:
        return clipped(line.points, *self._window) if self._window else list(line.points)

    def _legend(self, width: int) -> list[Text]:
        """The title with the lines over the others; those beneath on a row of their own."""
        rows = []
        for under, head in ((False, self._title), (True, self._beneath)):
            text = Text(head, "dim" if under else "bold", no_wrap=True, end="")
            for line, seen in self._lines:
                if line.under == under:
                    text.append(f"  {seen.shown} {line.name}", seen.style)
            if under and len(text) == len(head):
                continue
            if len(text) > width and not under:
                text = text[len(head) + 2 :]
            text.truncate(width, overflow="ellipsis")
            rows.append(text)
        return rows

    def _drawing(self, curves: list[tuple[Look, list[Point]]], width: int, height: int) -> Text:
        levels = [] if self._log_y else self._levels
        ends = y_range([points for _, points in curves], levels)
        marked = [(seen.glyph, points) for seen, points in curves]
        plain = draw(marked, width, height, self._digits, ends, self._window, self._log_y)
        plain, spans = with_levels(plain, levels, ends, width)
        plain, more = with_signs(plain, self._signs, self._ends(curves), width)
        spans += more
        text = Text(plain, "dim", no_wrap=True, overflow="crop", end="")
        for seen, _ in curves:
            braille = seen.glyph == "braille"
            pattern = "[\u2800-\u28ff]+" if braille else re.escape(seen.glyph) + "+"
            text.highlight_regex(pattern, seen.style + " not dim")
        for start, end, style in spans:
            text.stylize(style + " not dim", start, end)
        return text


def logarithms(points: Sequence[Point]) -> list[Point]:
    """Points with the decimal logarithm of y; those that have none are left out."""
    return [(x, math.log10(y)) for x, y in points if y > 0]


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between two logarithms: by decades where they span some, else evenly."""
    if high - low > DECADES:
        decades = range(math.floor(low), math.ceil(high) + 1)
        parts = (1, 2, 5) if len(decades) < MANY_DECADES else (1,)
        found = [part * 10.0**power for power in decades for part in parts]
        return [value for value in found if low <= math.log10(value) <= high]
    return [value for value in ticks(10**low, 10**high, 3) if value > 0]


def with_signs(
    drawing: str, signs: Sequence[Sign], ends: tuple[float, float], width: int
) -> tuple[str, list[tuple[int, int, str]]]:
    """Signs set into the x axis, the row above its labels; a later one stands over an earlier."""
    lines = drawing.split("\n")
    axis = axis_of(lines[:-2])
    row = len(lines) - 2
    if axis < 0 or row < 0 or ends[1] <= ends[0]:
        return drawing, []
    cells = list(lines[row].ljust(width))
    at = sum(len(line) + 1 for line in lines[:row])
    spans = []
    for sign in signs:
        share = (sign.x - ends[0]) / (ends[1] - ends[0])
        if 0 <= share <= 1:
            column = min(width - 1, axis + 1 + round(share * (width - axis - 2)))
            cells[column] = glyphs(sign.glyph)
            spans.append((at + column, at + column + 1, sign.style))
    lines[row] = "".join(cells).rstrip()
    return "\n".join(lines), spans


def y_range(curves: Sequence[Sequence[Point]], levels: Sequence[Level] = ()) -> tuple[float, float]:
    """A range of y that holds every point and level, with a little air."""
    ys = [y for points in curves for _, y in points] + [level.at for level in levels]
    return _padded(min(ys), max(ys))


def x_range(curves: Sequence[Sequence[Point]]) -> tuple[float, float]:
    """From the first x of several curves to their last."""
    xs = [x for points in curves for x, _ in points]
    return min(xs), max(xs)


def _padded(low: float, high: float) -> tuple[float, float]:
    """A range with a little air; a flat curve gets one too."""
    air = (high - low) * 0.06 or max(abs(high) * 0.02, 1e-6)
    return low - air, high + air


def draw(
    curves: Sequence[tuple[str, Sequence[Point]]],
    width: int,
    height: int,
    digits: int = 2,
    ends: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    log: bool = False,
) -> str:
    """Curves by their glyph: exactly ``height`` lines of at most ``width`` cells."""
    import plotext

    low, high = ends or y_range([points for _, points in curves])
    left, right = window or x_range([points for _, points in curves])
    right = max(right, left + 1)
    plotext.clf()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(left, right)
    plotext.ylim(low, high)
    marks = log_ticks(low, high) if log else ticks(low, high, max(3, height // 4))
    plotext.yticks([math.log10(m) for m in marks] if log else marks, tick_labels(marks, digits))
    steps = ticks(left, right, max(2, width // 12), whole=True)
    plotext.xticks(steps, tick_labels(steps))
    for glyph, points in curves:
        plotext.plot([x for x, _ in points], [y for _, y in points], marker=glyph)
    drawn = plotext.uncolorize(plotext.build())
    return glyphs("\n".join(line.rstrip() for line in drawn.splitlines()[:height]))
