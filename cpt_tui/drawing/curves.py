"""The curves of training as lines and levels for a chart: what is drawn, not how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cpt_tui.drawing.chart import Line
from cpt_tui.drawing.levels import Level
from cpt_tui.safe import clean_line
from engine.formatting import format_signed
from engine.runs.series import Point, Series
from engine.runs.view import Curve, RunView

HELD_OUT, FORGETTING, TRAIN_LOSS = "held-out", "forgetting", "train loss"
SINGLE = {
    TRAIN_LOSS: ("loss", "Train loss", "nats/token, raw"),
    "rate (LR)": ("lr", "Learning rate", "rate (LR)"),
    "grad norm": ("grad_norm", "Gradient norm before clipping", "grad norm"),
    "tokens/s": ("tokens_per_s", "Throughput", "tokens/s"),
    "memory": ("memory", "Memory", "GB"),
}
"""Curves of one quantity: the series, the title, the name of its line."""
CHOICES = (HELD_OUT, FORGETTING, *SINGLE)
"""What can stand on the large chart, in the order of the key that turns them."""

Points = Callable[[Curve, str], list[Point]]
"""The points of a series of a curve, on the axis that is shown."""


@dataclass(frozen=True)
class Overlay:
    """Another run's curves, drawn beneath."""

    name: str
    curve: Curve


@dataclass(frozen=True)
class Plot:
    """A title, lines and levels."""

    title: str
    lines: list[Line]
    levels: list[Level] = field(default_factory=list)
    beneath: str = ""
    """Whose lines are under the others."""


def plot(
    choice: str,
    view: RunView,
    points: Points,
    change: bool = False,
    overlay: Overlay | None = None,
) -> Plot:
    """One of ``CHOICES`` of the curve in front; ``change`` shows losses since their start."""
    curve = view.curve
    if choice == FORGETTING:
        return _forgetting(view, curve, points, overlay)
    if choice == HELD_OUT and (curve.domain.last or curve.generic.last or not curve.loss.last):
        return _held_out(view, curve, points, change, overlay)
    title = "Train loss (no held-out loss yet)" if choice == HELD_OUT else ""
    name, said, line = SINGLE[TRAIN_LOSS if choice == HELD_OUT else choice]
    lines = [Line(line, points(curve, name))]
    if overlay:
        lines.append(Line(line, points(overlay.curve, name), under=True))
    return Plot(title or said, lines, beneath=_of(overlay))


def _held_out(
    view: RunView, curve: Curve, points: Points, change: bool, overlay: Overlay | None
) -> Plot:
    """Domain and generic loss, and the guard's limits above the generic loss at the start."""
    what = "Base's held-out loss" if view.current == "base" else "Held-out"
    lines = [
        Line(
            _legend(side, getattr(curve, side)),
            since_start(curve, side, points, change),
            place=place,
        )
        for place, side in enumerate(("domain", "generic"))
    ]
    if overlay:
        other = overlay.curve
        for place, side in enumerate(("domain", "generic")):
            last = getattr(other, side).last
            name = f"{side} {last[1]:.3f}" if last else side
            lines.append(Line(name, since_start(other, side, points, change), True, place))
    start = curve.generic.first
    levels = [] if start is None else guard_levels(view, 0.0 if change else start[1])
    return Plot("Change" if change else what, lines, levels, _of(overlay))


def _forgetting(view: RunView, curve: Curve, points: Points, overlay: Overlay | None) -> Plot:
    """Generic loss since its start, close up, against the guard's limits."""
    rise = curve.generic_rise
    said = f"generic {format_signed(rise)} nats, {view.guard}" if rise is not None else "generic"
    lines = [Line(said, since_start(curve, "generic", points, True), place=1)]
    if overlay:
        under = since_start(overlay.curve, "generic", points, True)
        lines.append(Line("generic", under, True, 1))
    levels = guard_levels(view, 0.0) if lines[0].points else []
    return Plot("Forgetting", lines, levels, _of(overlay))


def guard_levels(view: RunView, start: float) -> list[Level]:
    """The forgetting guard's limits above a starting loss, in words; none while a base is made."""
    if view.curve is not view.curves.get("train"):
        return []
    green, amber = view.limits["forgetting_green"], view.limits["forgetting_amber"]
    return [
        Level(start + green, *_limit("amber", start + green, start), "yellow"),
        Level(start + amber, *_limit("red", start + amber, start), "red"),
    ]


def _limit(word: str, at: float, start: float) -> tuple[str, str]:
    """The long and the short words of a limit."""
    value = f"{at:.3f}" if start else f"{at:+g}"
    long = f"green below {value}, amber above" if word == "amber" else f"red above {value}"
    return long, f"{word} {value}"


def since_start(curve: Curve, side: str, points: Points, change: bool) -> list[Point]:
    """The points, or their change since the first."""
    first = getattr(curve, side).first
    start = first[1] if change and first else 0.0
    return [(x, y - start) for x, y in points(curve, side)]


def _legend(name: str, series: Series) -> str:
    """``domain 2.1034 (-0.31)``"""
    if series.first is None or series.last is None:
        return name
    change = series.last[1] - series.first[1]
    return f"{name} {series.last[1]:.3f} ({change:+.3f})"


def _of(overlay: Overlay | None) -> str:
    """The other run's name; a long one keeps its end, which tells runs apart."""
    if overlay is None:
        return ""
    name = clean_line(overlay.name, 200)
    return name if len(name) <= 28 else f"{name[:14]}...{name[-11:]}"
