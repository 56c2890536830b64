"""Panel 3: training, live. Domain and generic held-out loss on one chart."""

from __future__ import annotations

import contextlib
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from cpt_tui.safe import clean_line
from cpt_tui.terminal import glyphs
from cpt_tui.widgets.bars import spark
from cpt_tui.widgets.chart import Chart, Line
from cpt_tui.widgets.page import STATE_STYLES, Page
from cpt_tui.widgets.panel import MALFORMED
from engine import words
from engine.events import TrainStep
from engine.findings import NEVER_THE_VERDICT
from engine.plain import progress_words
from engine.series import Point, Series
from engine.view import Curve, RunView

NO_CURVE = "No held-out loss yet. The first point comes before the first step."


class TrainingPanel(Vertical):
    """One chart that matters, the rest in numbers and sparklines."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.change = False
        """Show each loss as its change since the first evaluation."""
        self._drawn: tuple[Any, ...] = ()
        self._view: RunView | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="charts"):
            yield Chart("Held-out loss", NO_CURVE, id="heldout")
            yield Chart("Train loss", "No steps yet.", id="train-loss")
        yield Static(markup=False, id="training-text")

    def show(self, view: RunView) -> None:
        """Redraw what changed: the charts only when their points did."""
        self._view = view
        curve = view.curve
        state = (
            id(curve),
            self.change,
            self.size.width,
            *(s.version for s in (curve.domain, curve.generic, curve.loss)),
        )
        if state != self._drawn:
            self._drawn = state
            self._draw_charts(view, curve)
        width = max(30, self.size.width - 2)
        self.query_one("#training-text", Static).update(training_text(view, curve, width))

    def on_resize(self) -> None:
        """A panel that just came to the front knows its width only now."""
        if self._view is not None:
            with contextlib.suppress(*MALFORMED):
                self.show(self._view)

    def _draw_charts(self, view: RunView, curve: Curve) -> None:
        loss = Line("nats/token, raw", curve.loss.points())
        self.query_one("#train-loss", Chart).show("Train loss", [loss])
        if curve.domain.last is None and curve.generic.last is None and loss.points:
            self.query_one("#heldout", Chart).show("Train loss (no held-out loss yet)", [loss])
            return
        pairs = [("domain", curve.domain), ("generic", curve.generic)]
        lines = [Line(name, shifted(series, self.change)) for name, series in pairs]
        legend = [_legend(name, series) for name, series in pairs]
        what = "Base's held-out loss" if view.current == "base" else "Held-out"
        title = "Change" if self.change else what
        self.query_one("#heldout", Chart).show(title, lines, legend)


def shifted(series: Series, change: bool) -> list[Point]:
    """The points, or their change since the first."""
    start = series.first[1] if change and series.first else 0.0
    return [(x, y - start) for x, y in series.points()]


def _legend(name: str, series: Series) -> str:
    """``domain 2.1034 (-0.31)``"""
    if series.first is None or series.last is None:
        return name
    change = series.last[1] - series.first[1]
    return f"{name} {series.last[1]:.3f} ({change:+.3f})"


def training_text(view: RunView, curve: Curve, width: int) -> Text:
    """Under the charts: guard, progress, sparklines, alarms."""
    page = Page()
    page.add(NEVER_THE_VERDICT, "italic")
    if curve.step is None:
        stage = view.stages["train"]
        waits = progress_words(stage.progress) if stage.progress else "no steps yet"
        return page.add(f"Training: {waits}", "dim").text
    _guard(page, view, curve)
    _progress(page, view, curve)
    _sparks(page, curve, width)
    _alarms(page, view, width)
    _sample(page, view, width)
    page.text.rstrip()
    return page.text


def _guard(page: Page, view: RunView, curve: Curve) -> None:
    """The forgetting guard in a word, with its number and limits."""
    page.put("forgetting ", "dim")
    if curve is not view.curves.get("train"):
        page.add("not watched here: a demo builds its base model first", "dim")
        return
    page.state(view.guard)
    rise = curve.generic_rise
    if rise is None:
        page.add(" (needs two evaluations of generic text)", "dim")
        return
    green, amber = view.limits["forgetting_green"], view.limits["forgetting_amber"]
    page.add(f": generic {rise:+.3f} nats (limits {green:g} and {amber:g})")


def _progress(page: Page, view: RunView, curve: Curve) -> None:
    step = curve.step
    assert step is not None
    left = _left(view, step)
    memory = f"  {step.memory_gb:.1f} GB" if step.memory_gb else ""
    page.put("step ", "dim").put(f"{step.step:,} of {step.total:,}", "bold")
    page.put(f"  {words.count(step.tokens)} tokens  ").put(left, "bold").put(memory)
    if curve.loss.lost:
        page.put(f"  {len(curve.loss.lost)} steps not finite", "bold red")
    page.add()


def _left(view: RunView, step: TrainStep) -> str:
    """Time left while it runs; where it stands once it does not."""
    if view.paused:
        return "paused"
    if view.ended or view.failure:
        return "done" if step.step >= step.total else "stopped here"
    return f"{words.duration(step.eta_s)} left"


def _sparks(page: Page, curve: Curve, width: int) -> None:
    """Four curves in a row of characters each, on their own ranges."""
    assert curve.step is not None
    rows = (
        ("train loss", words.loss(curve.step.loss), curve.loss),
        ("rate (LR)", f"{curve.step.lr:.2e}", curve.lr),
        ("grad norm", _plain(curve.step.grad_norm), curve.grad_norm),
        ("tokens/s", words.count(curve.step.tokens_per_s), curve.tokens_per_s),
    )
    room = max(8, min(100, width - 24))
    for label, value, series in rows:
        page.put(f"{label:<11}", "dim").put(f"{value:<11}", "bold")
        page.put(glyphs(spark(series.points(), room)), "dim").add()


def _plain(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"


def _alarms(page: Page, view: RunView, width: int) -> None:
    """The newest alarms; the newest of all first."""
    for alarm in reversed(view.alarms[-2:]):
        style, at = STATE_STYLES.get(alarm.level, ""), len(alarm.level) + 1
        page.item(alarm.level, clean_line(alarm.message, 2 * (width - at) - 8), width, style, at)
    if view.checkpoints:
        newest = view.checkpoints[-1]
        page.put("checkpoint ", "dim").put(clean_line(newest.name, 30))
        page.add(f" at step {newest.step:,}, {newest.megabytes:.1f} MB", "dim")


def _sample(page: Page, view: RunView, width: int) -> None:
    """The newest continuation the model wrote."""
    if view.samples:
        sample = view.samples[-1]
        page.put(f"wrote at step {sample.step}: ", "dim")
        page.add(clean_line(f"{sample.prompt} {sample.current}", max(20, 2 * width - 24)))
