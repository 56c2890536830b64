"""The curves of training as lines and levels for a chart: what is drawn, not how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.text import Text

from cpt_tui.drawing.bands import Bands
from cpt_tui.drawing.chart import Line
from cpt_tui.drawing.levels import Level
from cpt_tui.drawing.page import STATE_STYLES
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

SMOOTHING = 0.9
"""Of the mean before, at each point: raw is the default, as smoothing hides spikes."""
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
    bands: Bands | None = None
    """Forgetting on its own scale, for the strip below."""


def plot(
    choice: str,
    view: RunView,
    points: Points,
    change: bool = False,
    overlay: Overlay | None = None,
    smooth: bool = False,
) -> Plot:
    """One of ``CHOICES`` of the curve in front; ``change`` shows losses since their start."""
    curve = view.curve
    if choice == FORGETTING:
        return _forgetting(view, curve, points, overlay)
    if choice == HELD_OUT and (curve.domain.last or curve.generic.last or not curve.loss.last):
        return _held_out(view, curve, points, change, overlay)
    title = "Train loss (no held-out loss yet)" if choice == HELD_OUT else ""
    name, said, line = SINGLE[TRAIN_LOSS if choice == HELD_OUT else choice]
    even = smoothed if smooth else list
    line = f"{line.removesuffix(', raw')}, smoothed (EMA {SMOOTHING:g})" if smooth else line
    lines = [Line(line, even(points(curve, name)))]
    if overlay:
        lines.append(Line(line, even(points(overlay.curve, name)), under=True))
    return Plot(title or said, lines, beneath=_of(overlay))


def smoothed(points: list[Point]) -> list[Point]:
    """An exponential mean over the points that are kept, begun at the first."""
    found, held = [], None
    for x, y in points:
        held = y if held is None else SMOOTHING * held + (1 - SMOOTHING) * y
        found.append((x, held))
    return found


def _held_out(
    view: RunView, curve: Curve, points: Points, change: bool, overlay: Overlay | None
) -> Plot:
    """Domain and generic loss; forgetting below on a scale of its own, where it can be read.

    The guard's limits are a hundredth of the range of both losses: lines for them among these
    would touch the generic curve while the guard is green.
    """
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
    return Plot("Change" if change else what, lines, [], _of(overlay), _bands(view, points))


def _forgetting(view: RunView, curve: Curve, points: Points, overlay: Overlay | None) -> Plot:
    """Generic loss since its start, close up, against the guard's limits."""
    rise = curve.generic_rise
    said = f"generic {format_signed(rise)} nats, {view.guard}" if rise is not None else "generic"
    lines = [Line(said, since_start(curve, "generic", points, True), place=1)]
    if overlay:
        under = since_start(overlay.curve, "generic", points, True)
        lines.append(Line("generic", under, True, 1))
    levels = guard_levels(view) if lines[0].points else []
    return Plot("Forgetting", lines, levels, _of(overlay))


def _bands(view: RunView, points: Points) -> Bands | None:
    """Generic loss since its start against the guard's limits; None while a base is made."""
    curve = view.curves.get("train")
    if curve is None or view.curve is not curve or curve.generic.first is None:
        return None
    rise, title = curve.generic_rise, Text("Forgetting", "bold", no_wrap=True, end="")
    if rise is None:
        title.append("  generic, since the start: the second evaluation is to come", "dim")
    else:
        title.append(f"  generic {format_signed(rise)} nats since the start: ", "not bold")
        title.append(view.guard, STATE_STYLES[view.guard])
    limits = view.limits
    rises = since_start(curve, "generic", points, True)
    return Bands(title, rises, limits["forgetting_green"], limits["forgetting_amber"])


def guard_levels(view: RunView) -> list[Level]:
    """The forgetting guard's limits on the rise since the start; none while a base is made."""
    if view.curve is not view.curves.get("train"):
        return []
    green, amber = view.limits["forgetting_green"], view.limits["forgetting_amber"]
    both = f"green below {green:+g}, amber above"
    return [
        Level(green, both, f"amber above {green:+g}", "yellow"),
        Level(amber, f"red above {amber:+g}", f"red above {amber:+g}", "red"),
    ]


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
