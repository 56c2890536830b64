"""Panel 3: training, live or finished. Domain and generic held-out loss on one chart."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from cpt_tui.drawing.chart import Chart, Sign
from cpt_tui.drawing.curves import CHOICES, FORGETTING, HELD_OUT, TRAIN_LOSS, Overlay, plot
from cpt_tui.drawing.page import STATE_STYLES
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
KEYS = "v curve  x axis  d change  +/- zoom  h/l cursor  n alarm  L log  S smooth"


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


@dataclass(frozen=True)
class StepAlarm:
    """An alarm of training, where it is on the axis."""

    step: int
    level: str


class TrainingPanel(Vertical):
    """One chart that matters, the rest in numbers and sparklines."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.change = False
        """Show each loss as its change since the first evaluation."""
        self.tokens = False
        """Count the x axis in tokens instead of steps."""
        self.smooth = self.log_y = False
        self.cursor: float | None = None
        """The step whose values are read out."""
        self.choice = 0
        """Which of ``CHOICES`` stands on the large chart."""
        self.zoom = Zoom()
        self.overlay: Overlay | None = None
        self.machine = ""
        """How the machine is, in words."""
        self.detail: Detail | None = None
        self._drawn: tuple[object, ...] = ()
        self._written: tuple[list[SampleWritten], int] = ([], 0)
        self._plots: dict[str, tuple[object, ...]] = {}
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
        state = self._state(view, curve)
        if state != self._drawn:
            self._drawn = state
            self._draw_charts(view)
        self._put("#chart-note", self._note(curve))
        scroll = self.query_one("#training-scroll", VerticalScroll)
        samples = self.query_one("#samples", VerticalScroll)
        text = training_text(view, curve, max(30, text_width(scroll)), not samples.display)
        if self.machine and view.at_work:
            text.append(f"\nmachine    {self.machine}", "dim")
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

    def _state(self, view: RunView, curve: Curve) -> tuple[object, ...]:
        """All that the charts depend on."""
        other = self.overlay.curve if self.overlay else Curve()
        series = (curve.domain, curve.generic, curve.loss, other.domain, other.generic, other.loss)
        return (
            *(id(curve), id(self.detail), self.overlay, self.change, self.tokens, self.choice),
            *(self.zoom.width, self.zoom.right, self.size.width),
            *(self.smooth, self.log_y, self.cursor),
            *(len(view.checkpoints), len(view.alarms)),
            *(one.version for one in series),
        )

    def on_resize(self) -> None:
        """A panel that just came to the front knows its width only now."""
        if self._view is not None:
            with contextlib.suppress(*MALFORMED):
                self.show(self._view)

    def _draw_charts(self, view: RunView) -> None:
        window = self._axis_window(view.curve) or self._axis_ends(view.curve)
        signs = self._signs(view)
        beside = FORGETTING if self.choice == 0 else HELD_OUT
        below = TRAIN_LOSS if CHOICES[self.choice] != TRAIN_LOSS else FORGETTING
        shown = [("#heldout", CHOICES[self.choice])]
        if self.query_one("#beside").display:
            shown += [("#forgetting", beside), ("#train-loss", below)]
        for selector, choice in shown:
            drawn = plot(choice, view, self._points, self.change, self.overlay, self.smooth)
            chart = self.query_one(selector, Chart)
            # A change may be negative: it has no logarithm.
            log = self.log_y and not (self.change and choice == HELD_OUT) and choice != FORGETTING
            now = (drawn, window, signs, log)
            if self._plots.get(selector) != now:  # most steps bring no evaluation
                self._plots[selector] = now
                chart.show(
                    drawn.title,
                    drawn.lines,
                    drawn.levels,
                    window,
                    drawn.beneath,
                    drawn.bands,
                    signs,
                    log,
                )

    def _signs(self, view: RunView) -> list[Sign]:
        """Checkpoints, alarms and the cursor on the axis that is shown."""
        curve = view.curve
        steps = [(float(c.step), "\N{BLACK DIAMOND}", "cyan") for c in view.checkpoints]
        steps += [(float(a.step), "!", STATE_STYLES.get(a.level, "")) for a in self._alarms(view)]
        if self.cursor is not None:
            steps.append((self.cursor, "\N{BLACK UP-POINTING TRIANGLE}", "bold reverse"))
        if curve is not view.curves.get("train"):
            return []
        axis = curve.tokens.points()
        moved = scaled([(x, 0.0) for x, _, _ in steps], axis) if self.tokens else None
        places = [x for x, _ in moved] if moved else [x for x, _, _ in steps]
        return [Sign(x, glyph, style) for x, (_, glyph, style) in zip(places, steps, strict=True)]

    def _alarms(self, view: RunView) -> list[StepAlarm]:
        """Alarms of training that matter, by their step."""
        found = [(a.step, a.level) for a in view.alarms if a.step is not None]
        return [StepAlarm(step, level) for step, level in found if level in ("amber", "red")]

    def _readout(self, curve: Curve) -> str:
        """What the curves are at the cursor: the newest point up to it."""
        at = self.cursor or 0.0
        parts = []
        for name, label in (("domain", "domain"), ("generic", "generic"), ("loss", "train")):
            before = [y for x, y in getattr(curve, name).points() if x <= at]
            parts += [f"{label} {before[-1]:.4f}"] if before else []
        return f"at step {at:,.0f}: {'  '.join(parts)}"

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
        said += ", log y" * self.log_y
        text = Text(said, no_wrap=True, overflow="ellipsis", end="")
        if self.cursor is not None:
            return text.append(f"  {self._readout(curve)}", "bold")
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
            self.cursor = None
        elif what == "log":
            self.log_y = not self.log_y
        elif what == "smooth":
            self.smooth = not self.smooth
        elif what in ("earlier", "later"):
            self._move_cursor(what == "later")
        elif what in ("alarm", "alarm_before"):
            self._jump(what == "alarm")

    def _move_cursor(self, later: bool) -> None:
        """By a column of the chart; it begins at the newest step."""
        left, right = self.zoom.window(*self.extent())
        if self.cursor is None:
            self.cursor = right
            return
        by = max(1.0, (right - left) / max(10, self.size.width - 10))
        self.cursor = min(right, max(left, self.cursor + (by if later else -by)))

    def _jump(self, forward: bool) -> None:
        """The cursor to the next alarm after it, or to the one before; round the ends."""
        steps = sorted(a.step for a in self._alarms(self._view)) if self._view else []
        if steps:
            at = self.cursor if self.cursor is not None else -1.0
            on = [s for s in steps if (s > at if forward else s < at)]
            self.cursor = float((on or steps)[0 if forward else -1])

    def read_samples(self) -> None:
        """Bring what the model writes to the front, or the numbers again."""
        self.toggle_class("-writing")
        name = "#samples" if self.has_class("-writing") else "#training-scroll"
        self.call_after_refresh(self.query_one(name).focus)
