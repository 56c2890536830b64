"""Panel 3: training, live or finished. Domain and generic held-out loss on one chart."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from cpt_tui.drawing.chart import Chart
from cpt_tui.drawing.curves import CHOICES, FORGETTING, HELD_OUT, TRAIN_LOSS, Overlay, Plot, plot
from cpt_tui.drawing.zoom import Zoom, closer, scaled, steps_of
from cpt_tui.panels.panel import MALFORMED, text_width
from cpt_tui.panels.training_text import samples_text, training_text
from cpt_tui.terminal import glyphs
from engine.formatting import format_count
from engine.runs.events import SampleWritten
from engine.runs.series import Point
from engine.runs.view import Curve, RunView

NO_CURVE = "No held-out loss yet. The first point comes before the first step."
DENSE = 4
"""Points in a column that are as good as all of them: a column shows its lowest and highest."""
KEYS = "v curve  x axis  d change  +/- zoom  o overlay  w texts"


@dataclass(frozen=True)
class Detail:
    """Every step of a part of a series, read from the log again."""

    series: str
    left: float
    right: float
    curve: Curve

    def kept(self, series: str, left: float, right: float) -> float:
        """How many steps it has there; all there are where it was read for just that part."""
        if (self.series, self.left, self.right) == (series, left, right):
            return math.inf
        slack = 0.1 * (right - left)
        if self.series != series or left < self.left or right - slack > self.right:
            return 0
        return within(self.curve, left, right)


def within(curve: Curve, left: float, right: float) -> int:
    """Steps of a curve that are kept in a part of it."""
    return sum(left <= x <= right for x, _ in curve.loss.points())


class TrainingPanel(Vertical):
    """One chart that matters, the rest in numbers and sparklines."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.change = False
        """Show each loss as its change since the first evaluation."""
        self.tokens = False
        """Count the x axis in tokens instead of steps."""
        self.choice = 0
        """Which of ``CHOICES`` stands on the large chart."""
        self.zoom = Zoom()
        self.overlay: Overlay | None = None
        self.detail: Detail | None = None
        self._drawn: tuple[object, ...] = ()
        self._written: tuple[list[SampleWritten], int] = ([], 0)
        self._plots: dict[str, tuple[Plot, tuple[float, float]]] = {}
        self._texts: dict[str, Text] = {}
        self._view: RunView | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="charts"):
            yield Chart("Held-out loss", NO_CURVE, id="heldout")
            with Vertical(id="beside"):
                yield Chart("Forgetting", NO_CURVE, id="forgetting")
                yield Chart("Train loss", "No steps yet.", id="train-loss")
        yield Static(markup=False, id="chart-note")
        with Horizontal(id="training-lower"):
            with VerticalScroll(id="training-scroll"):
                yield Static(markup=False, id="training-text")
            with VerticalScroll(id="samples"):
                yield Static(markup=False, id="samples-text")

    def show(self, view: RunView) -> None:
        """Redraw what changed: the charts only when their points did."""
        self._view = view
        curve = view.curve
        state = self._state(curve)
        if state != self._drawn:
            self._drawn = state
            self._draw_charts(view)
        self._put("#chart-note", self._note(curve))
        scroll = self.query_one("#training-scroll", VerticalScroll)
        samples = self.query_one("#samples", VerticalScroll)
        text = training_text(view, curve, max(30, text_width(scroll)), not samples.display)
        self._put("#training-text", text)
        if samples.display:
            room = max(30, text_width(samples))
            if self._written != (view.samples, room):
                self._written = (list(view.samples), room)
                self._put("#samples-text", samples_text(view, room))

    def _put(self, selector: str, text: Text) -> None:
        before = self._texts.get(selector)
        if before != text:
            self._texts[selector] = text
            lines = -1 if before is None else before.plain.count("\n")
            # The lines are wrapped already: as many of them need no new layout.
            self.query_one(selector, Static).update(text, layout=lines != text.plain.count("\n"))

    def _state(self, curve: Curve) -> tuple[object, ...]:
        """All that the charts depend on."""
        other = self.overlay.curve if self.overlay else Curve()
        series = (curve.domain, curve.generic, curve.loss, other.domain, other.generic, other.loss)
        return (
            *(id(curve), id(self.detail), self.overlay, self.change, self.tokens, self.choice),
            *(self.zoom.width, self.zoom.right, self.size.width),
            *(one.version for one in series),
        )

    def on_resize(self) -> None:
        """A panel that just came to the front knows its width only now."""
        if self._view is not None:
            with contextlib.suppress(*MALFORMED):
                self.show(self._view)

    def _draw_charts(self, view: RunView) -> None:
        window = self._axis_window(view.curve) or self._axis_ends(view.curve)
        beside = FORGETTING if self.choice == 0 else HELD_OUT
        below = TRAIN_LOSS if CHOICES[self.choice] != TRAIN_LOSS else FORGETTING
        shown = [("#heldout", CHOICES[self.choice])]
        if self.query_one("#beside").display:
            shown += [("#forgetting", beside), ("#train-loss", below)]
        for selector, choice in shown:
            drawn = plot(choice, view, self._points, self.change, self.overlay)
            chart = self.query_one(selector, Chart)
            if self._plots.get(selector) != (drawn, window):  # most steps bring no evaluation
                self._plots[selector] = (drawn, window)
                chart.show(
                    drawn.title, drawn.lines, drawn.levels, window, drawn.beneath, drawn.bands
                )

    def _points(self, curve: Curve, name: str) -> list[Point]:
        """A series on the axis that is shown, close up where its steps were read again."""
        points = getattr(curve, name).points()
        detail = self.detail
        mine = self._view is not None and curve is self._view.curve
        if detail is not None and mine and detail.series == self._series(curve):
            fine = getattr(detail.curve, name).points()
            points = closer(points, fine, (detail.left, detail.right))
        return scaled(points, curve.tokens.points()) if self.tokens else points

    def _series(self, curve: Curve) -> str:
        return curve.step.series if curve.step else "train"

    def extent(self) -> tuple[float, float]:
        """First and newest step of the curve in front."""
        curve = self._view.curve if self._view else Curve()
        return steps_of((curve.domain, curve.generic, curve.loss))

    def wanted(self) -> tuple[str, float, float] | None:
        """The part of a series that a closer look is worth reading the log for, if any."""
        if self._view is None or self.zoom.whole:
            return None
        curve = self._view.curve
        left, right = self.zoom.window(*self.extent())
        series = self._series(curve)
        enough = min(0.9 * (right - left), DENSE * self.size.width)
        kept = self.detail.kept(series, left, right) if self.detail else 0
        if max(kept, within(curve, left, right)) >= enough:
            return None
        return series, left, right

    def _axis_window(self, curve: Curve) -> tuple[float, float] | None:
        """The window in the axis' unit; None for all of it."""
        if self.zoom.whole:
            return None
        left, right = self.zoom.window(*self.extent())
        if not self.tokens:
            return left, right
        ends = scaled([(left, 0.0), (right, 0.0)], curve.tokens.points())
        return ends[0][0], ends[1][0]

    def _axis_ends(self, curve: Curve) -> tuple[float, float]:
        """All of the axis in its unit, another run's longer curves included."""
        curves = [curve, *([self.overlay.curve] if self.overlay else [])]
        ends = [steps_of((c.domain, c.generic, c.loss)) for c in curves]
        if curve.step is not None:  # up to what is planned: an axis that grows hides how far it is
            ends.append((ends[0][0], float(max(curve.step.total, curve.step.step))))
            curves.append(curve)
        if self.tokens:
            pairs = zip(curves, ends, strict=True)
            moved = [scaled([(a, 0.0), (b, 0.0)], c.tokens.points()) for c, (a, b) in pairs]
            ends = [(one[0][0], one[1][0]) for one in moved]
        return min(a for a, _ in ends), max(b for _, b in ends)

    def _note(self, curve: Curve) -> Text:
        """What the x axis shows, and the keys that change it."""
        unit = "tokens" if self.tokens else "steps"
        left, right = self._axis_window(curve) or self._axis_ends(curve)
        loss = CHOICES[self.choice] in (HELD_OUT, FORGETTING, TRAIN_LOSS)
        said = f"nats/token, {unit}" if loss else unit
        said += f" {format_count(left)} to {format_count(right)}"
        if not self.zoom.whole:
            said += glyphs("  ← → move  0 all")
        text = Text(said, no_wrap=True, overflow="ellipsis", end="")
        return text.append(f"  {KEYS}", "dim")

    # What the keys do; each is followed by a redraw.

    def turn(self, what: str) -> None:
        """``curve``, ``axis``, ``change``, ``in``, ``out``, ``left``, ``right`` or ``all``."""
        first, last = self.extent()
        if what == "curve":
            self.choice = (self.choice + 1) % len(CHOICES)
        elif what == "axis":
            self.tokens = not self.tokens
        elif what == "change":
            self.change = not self.change
        elif what in ("in", "out"):
            self.zoom.scale(what == "in", first, last)
        elif what in ("left", "right"):
            self.zoom.pan(what == "right", first, last)
        elif what == "all":
            self.zoom.reset()

    def read_samples(self) -> None:
        """Bring what the model writes to the front, or the numbers again."""
        self.toggle_class("-writing")
        name = "#samples" if self.has_class("-writing") else "#training-scroll"
        self.call_after_refresh(self.query_one(name).focus)
