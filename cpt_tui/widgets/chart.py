"""Chart: lines over steps. The only user of plotext.

plotext draws plain characters; this widget colours them by their glyph, so that the lines
differ without colour too. Built when data or size change, never inside ``render``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual.events import Resize
from textual.widget import Widget

from cpt_tui.terminal import ascii_only, glyphs
from engine import words
from engine.scale import ticks
from engine.series import Point

PLAIN_MARKERS = ("*", "o", "+")
MARKERS = ("braille", "•", "+")
STYLES = ("bold cyan", "bold yellow", "magenta")
SHOWN = {"braille": "⣀⠊"}


@dataclass(frozen=True)
class Line:
    """One named curve."""

    name: str
    points: Sequence[Point]


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


class Chart(Widget):
    """Up to three lines on one pair of axes, a legend in words above them."""

    DEFAULT_CSS = "Chart { height: 1fr; min-height: 5; }"

    def __init__(self, title: str, empty: str, digits: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._title, self._empty, self._digits = title, empty, digits
        self._lines: list[Line] = []
        self._legend: list[str] = []
        self._text = Text(empty, "dim")

    def show(self, title: str, lines: Sequence[Line], legend: Sequence[str] = ()) -> None:
        """Set what is drawn; ``legend`` replaces each line's name by longer words."""
        self._title = title
        self._lines = list(lines)[:3]
        self._legend = list(legend) or [line.name for line in self._lines]
        self._build()

    def on_resize(self, event: Resize) -> None:
        self._build()

    def render(self) -> Text:
        return self._text

    def _build(self) -> None:
        width, height = self.size
        if width < 10 or height < 3:
            return
        curves = [(i, decimate(line.points, 2 * width)) for i, line in enumerate(self._lines)]
        curves = [(i, points) for i, points in curves if points]
        if curves:
            self._text = Text("\n").join(
                [self._legend_line(width), self._drawing(curves, width, height - 1)]
            )
        else:
            self._text = Text.assemble((self._title + "\n", "bold"), (self._empty, "dim"))
        self.refresh()

    def _legend_line(self, width: int) -> Text:
        text = Text(self._title, "bold", no_wrap=True, overflow="ellipsis", end="")
        for i, legend in enumerate(self._legend):
            mark = PLAIN_MARKERS[i] if ascii_only() else SHOWN.get(MARKERS[i], MARKERS[i])
            text.append(f"  {mark} {legend}", STYLES[i])
        if len(text) > width:
            text = text[len(self._title) + 2 :]
        text.truncate(width)
        return text

    def _drawing(self, curves: list[tuple[int, list[Point]]], width: int, height: int) -> Text:
        plain = draw(curves, width, height, self._digits)
        text = Text(plain, "dim", no_wrap=True, overflow="crop", end="")
        for i, _ in curves:
            marker = PLAIN_MARKERS[i] if ascii_only() else MARKERS[i]
            pattern = "[\u2800-\u28ff]+" if marker == "braille" else re.escape(marker) + "+"
            text.highlight_regex(pattern, STYLES[i] + " not dim")
        return text


def draw(curves: list[tuple[int, list[Point]]], width: int, height: int, digits: int = 2) -> str:
    """The curves drawn with characters: exactly ``height`` lines of at most ``width`` cells."""
    import plotext

    ys = [y for _, points in curves for _, y in points]
    xs = [x for _, points in curves for x, _ in points]
    low, high = _padded(min(ys), max(ys))
    left, right = min(xs), max(max(xs), min(xs) + 1)
    plotext.clf()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    plotext.xlim(left, right)
    plotext.ylim(low, high)
    marks = ticks(low, high, max(3, height // 4))
    plotext.yticks(marks, [_label(mark, marks, digits) for mark in marks])
    steps = ticks(left, right, max(2, width // 16))
    plotext.xticks(steps, [words.count(step) for step in steps])
    for i, points in curves:
        marker = PLAIN_MARKERS[i] if ascii_only() else MARKERS[i]
        plotext.plot([x for x, _ in points], [y for _, y in points], marker=marker)
    drawn = plotext.uncolorize(plotext.build())
    return glyphs("\n".join(line.rstrip() for line in drawn.splitlines()[:height]))


def _padded(low: float, high: float) -> tuple[float, float]:
    """A range with a little air; a flat curve gets one too."""
    air = (high - low) * 0.06 or max(abs(high) * 0.02, 1e-6)
    return low - air, high + air


def _label(value: float, marks: Sequence[float], digits: int) -> str:
    """A tick's label, with as many decimals as its neighbours need."""
    step = abs(marks[1] - marks[0]) if len(marks) > 1 else abs(value) or 1.0
    if abs(value) >= 10_000:
        return words.count(value)
    if 0 < abs(value) < 1e-3 and step < 1e-3:
        return f"{value:.1e}"
    needed = max(digits, math.ceil(-math.log10(step) - 1e-9)) if step < 1 else 0
    return f"{value:.{min(needed, 6)}f}"
