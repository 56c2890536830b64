"""The run screen: the rail at the left, one of four panels at the right."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar, cast

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher, Footer, Static

from cpt_tui.feed import Feed
from cpt_tui.keys import bindings
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.screens.confirm import ConfirmScreen
from cpt_tui.widgets.evidence_panel import EvidencePanel
from cpt_tui.widgets.gate_panel import GatePanel
from cpt_tui.widgets.packing_panel import PackingPanel
from cpt_tui.widgets.panel import MALFORMED
from cpt_tui.widgets.stage_rail import PANEL_OF, StageRail
from cpt_tui.widgets.training_panel import TrainingPanel
from engine import launch, words
from engine.errors import CptError
from engine.run import Run

PANELS = ("evidence", "packing", "training", "gate")
TITLES = ("Evidence", "Packing", "Training", "Gate")
BEAT = 1.0
"""Seconds between looks at the log; nothing is redrawn more often."""


class RunScreen(CptScreen):
    """Watches one run. Reads only, until the user asks for something and confirms it."""

    PLACE = "run"
    BINDINGS: ClassVar[list[BindingType]] = bindings("run")

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.feed = Feed(run)
        self.panel = 1
        self.following = True
        self.frozen = False
        self._reading = False
        self._malformed = False
        self._stale = False
        self._drawn_at = 0.0

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="run-header", classes="header")
        yield Static(markup=False, id="run-fault")
        with Horizontal(id="run-body"):
            yield StageRail(id="rail")
            with Vertical(id="run-main"):
                yield Static(markup=False, id="tabs")
                with ContentSwitcher(initial="evidence", id="panels"):
                    yield EvidencePanel(id="evidence")
                    yield PackingPanel(id="packing")
                    yield TrainingPanel(id="training")
                    yield GatePanel(id="gate")
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        await self.refresh_feed()
        self.set_interval(BEAT, self.refresh_feed)

    async def refresh_feed(self) -> None:
        """One beat: read what is new, redraw at most once."""
        if self._reading:
            return
        self._reading = True
        try:
            changed = await self.feed.poll()
        finally:
            self._reading = False
        if self.feed.behind:
            self.set_timer(0.02, self.refresh_feed)
        self._stale = self._stale or changed
        if self._stale and not self.frozen and monotonic() - self._drawn_at >= BEAT * 0.9:
            self._follow()
            self.redraw()
        else:
            self._draw_header()

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    def _follow(self) -> None:
        """Go to the panel of the running stage, or of the last one."""
        view = self.feed.view
        if not self.following:
            return
        self._show_panel(PANEL_OF.get(view.current or view.latest, self.panel))

    def _show_panel(self, number: int) -> None:
        self.panel = number
        self.query_one("#panels", ContentSwitcher).current = PANELS[number - 1]

    def redraw(self) -> None:
        """Draw the header, the rail and the panel in front in one update."""
        view = self.feed.view
        self._stale, self._drawn_at = False, monotonic()
        with self.app.batch_update():
            self._draw_header()
            self._draw_fault()
            self.query_one(StageRail).show(view, self.panel)
            self.put_text("#tabs", self._tabs())
            panel = cast(EvidencePanel, self.query_one(f"#{PANELS[self.panel - 1]}"))
            try:
                panel.show(view)
            except MALFORMED as error:
                self._say_malformed(error)

    def _say_malformed(self, error: Exception) -> None:
        """A log of another version must not end the viewer; said once."""
        if not self._malformed:
            self._malformed = True
            text = f"A part of this log cannot be shown: {type(error).__name__}: {error}"
            self.notify(clean_line(text, 200), severity="warning", markup=False)

    def _tabs(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for number, title in enumerate(TITLES, 1):
            style = "bold reverse" if number == self.panel else "dim"
            text.append(f" {number} {title} ", style)
        if self.frozen:
            text.append("  ON HOLD (space)", "bold yellow")
        else:
            text.append("  following" if self.following else "  f to follow", "dim")
        return text

    def _draw_fault(self) -> None:
        """Why the run failed, in a sentence; the traceback is one key away."""
        failure = self.feed.view.failure
        said = f"{failure.stage} failed: {failure.message}" if failure else ""
        self.put_text("#run-fault", Text(clean_line(said, 300)).append("  t says more", "dim"))
        self.query_one("#run-fault").display = bool(said)

    def _draw_header(self) -> None:
        if self.is_attached:
            self.put_text("#run-header", self.header_text())

    def header_text(self) -> Text:
        """Run, worker liveness in words, age of the data; always there."""
        feed, text = self.feed, Text(no_wrap=True, overflow="ellipsis", end="")
        age = words.duration(round(feed.age_s)) + " old" if feed.age_s is not None else "none yet"
        if feed.behind:
            age = f"reading history, {words.size(feed.behind)} left"
        tail = f"  worker {clean_line(feed.liveness())}  data {age}"
        room = max(20, self.size.width - len(tail) - 2)
        text.append(clean_line(self.run.id, room), "bold")
        text.append("  worker ", "dim").append(clean_line(feed.liveness()), "bold")
        return text.append("  data ", "dim").append(age)

    @property
    def topic(self) -> str:
        return PANELS[self.panel - 1]

    @property
    def watched(self) -> Run | None:
        return self.run

    def action_panel(self, number: int) -> None:
        self.following = False
        self._show_panel(number)
        self.call_after_refresh(self.redraw)

    def action_follow(self) -> None:
        self.following = True
        self._follow()
        self.call_after_refresh(self.redraw)

    def action_freeze(self) -> None:
        """Hold the display still; the worker does not notice."""
        self.frozen = not self.frozen
        self.redraw()

    def action_change(self) -> None:
        panel = self.query_one(TrainingPanel)
        panel.change = not panel.change
        self.redraw()

    def action_report(self) -> None:
        from cpt_tui.screens.report import ReportScreen

        self.app.push_screen(ReportScreen(self.run))

    def action_traceback(self) -> None:
        from cpt_tui.screens.traceback import TracebackScreen

        self.app.push_screen(TracebackScreen(self.run, self.feed.view))

    def action_interview(self) -> None:
        from cpt_tui.screens.interview import InterviewScreen

        self.app.push_screen(InterviewScreen(self.run))

    @work
    async def action_stop(self) -> None:
        await self._ask("stop", "Stop this run?", "It saves a checkpoint and can be resumed.")

    @work
    async def action_checkpoint(self) -> None:
        await self._ask("checkpoint", "Save a checkpoint now?", "Training goes on after it.")

    @work
    async def action_pause(self) -> None:
        if self.feed.view.paused:
            await self._ask("resume", "Go on with training?", "From the step where it paused.")
        else:
            await self._ask(
                "pause", "Pause training?", "The worker keeps its memory and waits for 'resume'."
            )

    async def _ask(self, action: str, question: str, detail: str) -> None:
        """Ask back, then leave the request for the worker's next step."""
        if not launch.read_status(self.run).alive:
            self.notify("No worker is running on this run; nothing to do.", markup=False)
            return
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, action)):
            return
        try:
            launch.ask(self.run, action)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self.notify(f"Asked the worker to {action}; it does so at its next step.", markup=False)
