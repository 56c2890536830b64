"""The report's charts as SVG text: no library, no script, no font, light and dark by themselves.

Colour is never alone: lines carry their names, points their numbers. Text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from engine.formatting import tick_labels, ticks

Points = Sequence[tuple[float, float]]
"""(step, value) in order of step."""

WIDTH, LEFT, RIGHT, TOP = 720, 64, 112, 40
MOST_POINTS = 400
"""Points of a line that are drawn; an evaluation is made about 20 times a run."""
STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#24292f}
.t{font-weight:600;font-size:14px}.o{font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:5}.m{fill:#59636e;font-size:12px}
.g{stroke:#d1d9e0;stroke-width:1}.z{stroke:#59636e;stroke-width:1.5}
.d{stroke:#0860ca;fill:none;stroke-width:2.5}.e{stroke:#b35900;fill:none;stroke-width:2.5}
.D{fill:#0860ca}.E{fill:#b35900}.h{fill:#fff;stroke:#59636e;stroke-width:2}
.k{stroke:#0860ca;stroke-width:6;stroke-linecap:round}.j{stroke:#8c959f;stroke-width:3}
.x{stroke:#b35900;stroke-width:1.5;stroke-dasharray:5 4}
.b1{fill:#2da44e;fill-opacity:.16}.b2{fill:#d4a72c;fill-opacity:.22}.b3{fill:#cf222e;fill-opacity:.14}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.o{stroke:#0d1117}.m{fill:#9198a1}.g{stroke:#3d444d}
.z{stroke:#9198a1}.d{stroke:#58a6ff}.e{stroke:#f0a04b}.D{fill:#58a6ff}.E{fill:#f0a04b}
.h{fill:#0d1117;stroke:#9198a1}.k{stroke:#58a6ff}.j{stroke:#6e7681}.x{stroke:#f0a04b}
.b1,.b2,.b3{fill-opacity:.28}}
""".replace("\n", "")


@dataclass
class SvgPlot:
    """One drawing area: data ranges to pixels, and the marks that were put."""

    title: str
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    bottom: int = 46
    marks: list[str] = field(default_factory=list)

    def px(self, x: float) -> float:
        low, high = self.x
        return LEFT + (x - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def py(self, y: float) -> float:
        low, high = self.y
        room = self.height - TOP - self.bottom
        return TOP + (1 - (y - low) / ((high - low) or 1)) * room

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        self.marks.append(
            f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def line(self, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
        self.marks.append(
            f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def dot(self, kind: str, x: float, y: float, told: str, size: float = 5) -> None:
        self.marks.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"><title>{escape(told)}'
            "</title></circle>"
        )

    def band(self, kind: str, low: float, high: float) -> None:
        """A horizontal band of the y axis, cut to the drawing."""
        bottom, top = (self.py(min(max(v, self.y[0]), self.y[1])) for v in (low, high))
        width = WIDTH - LEFT - RIGHT
        self.marks.append(
            f'<rect class="{kind}" x="{LEFT}" y="{top:.1f}" width="{width}" '
            f'height="{max(0.0, bottom - top):.1f}"/>'
        )

    def rows(self) -> None:
        """Grid lines of the y axis with their values."""
        marks = ticks(*self.y, 5)
        for value, label in zip(marks, tick_labels(marks), strict=True):
            y = self.py(value)
            self.line("g", LEFT, y, WIDTH - RIGHT, y)
            self.text(LEFT - 8, y + 4, label, "m", "end")

    def columns(self, label: str) -> None:
        """Values of the x axis, and what they are."""
        base, marks = self.height - self.bottom, ticks(*self.x, 6)
        for value, said in zip(marks, tick_labels(marks), strict=True):
            self.text(self.px(value), base + 18, said, "m", "middle")
        self.text((LEFT + WIDTH - RIGHT) / 2, base + 36, label, "m", "middle")

    def curve(self, kind: str, points: Points, name: str) -> None:
        """A line with its name and last value at its end."""
        shown = thinned(points)
        path = " ".join(f"{self.px(x):.1f},{self.py(y):.1f}" for x, y in shown)
        self.marks.append(f'<polyline class="{kind}" points="{path}"><title>{escape(name)}</title>')
        self.marks.append("</polyline>")
        for x, y in shown if len(shown) <= 60 else shown[-1:]:
            self.dot(kind.upper(), self.px(x), self.py(y), f"{name}, step {x:g}: {y:.4f}", 2.5)

    def svg(self, told: str) -> str:
        """The whole picture; ``told`` is what it shows, in words."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'role="img" aria-label="{escape(told, quote=True)}">'
            f"<style>{STYLE}</style>"
            f'<text class="t" x="4" y="18">{escape(self.title)}</text>'
        )
        return head + "".join(self.marks) + "</svg>"


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most about ``MOST_POINTS`` of them, the last one included."""
    step = max(1, len(points) // MOST_POINTS)
    return [*points[:-1:step], points[-1]]


def spread(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    """The range of values with a margin on both sides."""
    low, high = min(values), max(values)
    margin = share * (high - low) or abs(high) * share or 1.0
    return low - margin, high + margin


def losses(domain: Points, generic: Points) -> str:
    """Held-out loss of both sides over the steps of training."""
    both = [*domain, *generic]
    plot = SvgPlot(
        "Held-out loss while training, nats/token", 300, _steps(both), spread([y for _, y in both])
    )
    plot.rows()
    plot.columns("step")
    ends = []
    for kind, name, points in (("d", "domain", domain), ("e", "generic", generic)):
        plot.curve(kind, points, name)
        ends.append((plot.py(points[-1][1]), f"{name} {points[-1][1]:.3f}"))
    _labels(plot, ends)
    return plot.svg("Held-out loss in nats per token, domain and generic, over the training steps")


def _labels(plot: SvgPlot, ends: list[tuple[float, str]]) -> None:
    """Names at the ends of lines, kept apart."""
    last = -math.inf
    for y, words in sorted(ends):
        last = max(y, last + 16)
        plot.text(WIDTH - RIGHT + 8, last + 4, words)


def forgetting(generic: Points, green: float, amber: float) -> str:
    """Generic loss since the start of training, in the guard's bands."""
    start = generic[0][1]
    change = [(x, y - start) for x, y in generic]
    low, high = spread([0.0, amber * 1.4, *(y for _, y in change)])
    plot = SvgPlot(
        "Forgetting: generic loss since the start, nats/token", 260, _steps(change), (low, high)
    )
    for kind, bottom, top in (("b1", low, green), ("b2", green, amber), ("b3", amber, high)):
        plot.band(kind, bottom, top)
    plot.rows()
    plot.columns("step")
    plot.line("z", LEFT, plot.py(0), WIDTH - RIGHT, plot.py(0))
    plot.curve("e", change, "generic")
    names = [(plot.py(green), f"green to {green:g}"), (plot.py(amber), f"amber to {amber:g}")]
    _labels(plot, [*names, (plot.py(change[-1][1]), f"now {change[-1][1]:+.3f}")])
    return plot.svg(f"Generic loss rose by {change[-1][1]:.3f} nats; amber from {green:g}")


def pairs(seeds: Sequence[int], base: Sequence[float], cpt: Sequence[float]) -> str:
    """Score of both arms under each seed."""
    height = TOP + 30 * len(seeds) + 62
    names = "Each seed: base (ring) and CPT (dot), on the same gold set"
    plot = SvgPlot(names, height, spread([*base, *cpt], 0.12), (0.0, 1.0))
    plot.columns("points")
    rows = zip(seeds, base, cpt, strict=True)
    for number_, (seed, one, two) in enumerate(rows):
        y = TOP + 30 * number_ + 14
        plot.line("g", LEFT, y, WIDTH - RIGHT, y)
        plot.line("j", plot.px(one), y, plot.px(two), y)
        plot.dot("h", plot.px(one), y, f"base, seed {seed}: {one:.1f}", 6)
        plot.dot("D", plot.px(two), y, f"CPT, seed {seed}: {two:.1f}", 6)
        plot.text(LEFT - 8, y + 4, f"seed {seed}", "m", "end")
        plot.text(WIDTH - RIGHT + 8, y + 4, f"{two - one:+.1f}")
    return plot.svg("Gold score of base and CPT under each seed, in points")


def interval(estimate: float, low: float, high: float, margin: float, level: float) -> str:
    """The difference with its interval, against zero and the margin."""
    title = f"CPT minus base, {level:.0%} interval; zero (line), margin {margin:g} (dashed)"
    around = spread([low, high, 0.0, -margin, margin], 0.12)
    plot = SvgPlot(title, 176, around, (0.0, 1.0))
    top, base, y = TOP + 14, 176 - plot.bottom, 100.0
    plot.columns("points")
    for x, kind in ((0.0, "z"), (margin, "x"), (-margin, "x")):
        plot.line(kind, plot.px(x), top, plot.px(x), base)
    plot.line("k", plot.px(low), y, plot.px(high), y)
    told = f"{estimate:+.1f} ({low:+.1f} to {high:+.1f})"
    plot.dot("h", plot.px(estimate), y, told, 7)
    plot.text(plot.px(estimate), y - 16, told, "o", _anchor(plot.px(estimate)))
    return plot.svg(f"CPT minus base {told} points; margin {margin:g}")


def _anchor(x: float) -> str:
    """Where a label hangs so that it stays inside the picture."""
    return "start" if x < LEFT + 90 else "end" if x > WIDTH - RIGHT - 10 else "middle"


def _steps(points: Points) -> tuple[float, float]:
    return min(x for x, _ in points), max(max(x for x, _ in points), 1.0)
