"""The run screen: the rail at the left, one of four panels at the right."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import ClassVar, cast

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher, Footer, Static

from cpt_tui.drawing.curves import Overlay
from cpt_tui.drawing.page import STATE_STYLES, wrapped
from cpt_tui.feed import Feed
from cpt_tui.keys.registry import bindings
from cpt_tui.panels.evidence import EvidencePanel
from cpt_tui.panels.gate import GatePanel
from cpt_tui.panels.machine_row import Machine
from cpt_tui.panels.packing import PackingPanel
from cpt_tui.panels.panel import MALFORMED
from cpt_tui.panels.stage_rail import PANEL_OF, StageRail
from cpt_tui.panels.status_line import status_text
from cpt_tui.panels.training import Detail, TrainingPanel
from cpt_tui.run_list import trained_runs
from cpt_tui.safe import clean_line
from cpt_tui.screens.confirm import ChoiceScreen
from cpt_tui.screens.next_steps import NextStepsScreen
from cpt_tui.workspace.cells import shortened
from engine.formatting import format_bytes, format_short_duration
from engine.gate import items
from engine.runs.run import Run

PANELS = ("evidence", "packing", "training", "gate")
TITLES = ("Evidence", "Packing", "Training", "Gate")
FAULT_ROWS = 3
"""Rows of a failure's sentence; more stands behind a key."""
RAIL_FROM = 100
"""Columns from which the rail stands beside the panel, as the style sheet has it."""
BEAT = 1.0
"""Seconds between looks at the log; nothing is redrawn more often."""


class RunScreen(NextStepsScreen):
    """Watches one run, another run's curves beneath its own where ``overlay`` names one."""

    PLACE = "run"
    BINDINGS: ClassVar[list[BindingType]] = bindings("run")

    def __init__(self, run: Run, overlay: Run | None = None) -> None:
        super().__init__(run)
        self.beneath = Feed(overlay) if overlay else None
        self._called = run.label or run.id
        self.panel = 1
        self._in_front = 0
        self._machine = Machine(run.path)
        self.following = True
        self.frozen = False
        self._reading = False
        self._malformed = False
        self._stale = False
        self._drawn_at = 0.0
        self._items: tuple[tuple[str, int], ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="run-header", classes="header")
        yield Static(markup=False, id="run-status")
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
        self.set_interval(BEAT, self._beat)

    def _beat(self) -> None:
        """One more look at the log, as a task of its own: keys must not wait for it."""
        if not self._reading:
            self.run_worker(self.refresh_feed(), group="feed")

    async def refresh_feed(self) -> None:
        """One beat: read what is new, redraw at most once."""
        if self._reading:
            return
        self._reading = True
        try:
            changed = await self.feed.poll()
            changed = await self._poll_beneath() or changed
            changed = await self._look_at_items() or changed
            if self.feed.status.alive and await asyncio.to_thread(self._machine.look):
                self.query_one(TrainingPanel).machine = self._machine.words
                changed = True
        finally:
            self._reading = False
        if self.feed.behind or (self.beneath and self.beneath.behind):
            self.set_timer(0.02, self._beat)
        self._stale = self._stale or changed
        if self._stale and not self.frozen and monotonic() - self._drawn_at >= BEAT * 0.9:
            self._follow()
            self.redraw()
        else:
            self._draw_header()

    async def _poll_beneath(self) -> bool:
        """One look at the other run, if there is one."""
        if self.beneath is None or not await self.beneath.poll():
            return False
        panel, view = self.query_one(TrainingPanel), self.beneath.view
        curve = view.curves.get("train") or view.curve
        if panel.overlay is None and curve.step is None and not self.beneath.behind:
            name = clean_line(self.beneath.run.id, 60)
            self.notify(f"{name} has no curves of training yet.", markup=False)
        panel.overlay = Overlay(self.beneath.run.id, curve)
        return True

    async def _look_at_items(self) -> bool:
        """The gold items, once the gate is in front and whenever their files changed."""
        if self.panel != PANELS.index("gate") + 1:
            return False
        stamp = await asyncio.to_thread(items.stamp, self.run)
        if stamp == self._items:
            return False
        self._items = stamp
        self.query_one(GatePanel).items = await asyncio.to_thread(items.load, self.run)
        return True

    async def _look_closer(self) -> None:
        """Read the part of the log that a zoomed curve needs, and draw again with it."""
        panel = self.query_one(TrainingPanel)
        wanted = panel.wanted()
        if wanted is None:
            return
        found = await asyncio.to_thread(self.feed.history.window, *wanted)
        if found is not None and self.is_attached:
            panel.detail = Detail(*wanted, found)
            self.redraw()

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    def _follow(self) -> None:
        """Go to the panel of the running stage, or of the last one."""
        view = self.feed.view
        if not self.following:
            return
        self._show_panel(PANEL_OF.get(view.current or view.latest, self.panel))

    def _show_panel(self, number: int) -> None:
        """Bring a panel to the front; the keys that scroll are then its own."""
        if number == self.panel and self.panel == self._in_front:
            return  # a focus that is set again has the footer made anew
        self.panel = self._in_front = number
        self.query_one("#panels", ContentSwitcher).current = PANELS[number - 1]
        self.query_one(f"#{PANELS[number - 1]}").focus(scroll_visible=False)

    def redraw(self) -> None:
        """Draw the header, the rail and the panel in front in one update."""
        if not self.query("#panels"):  # being taken down
            return
        view = self.feed.view
        self._stale, self._drawn_at = False, monotonic()
        with self.app.batch_update():
            self._draw_header()
            self._draw_fault()
            rail = self.query_one(StageRail)
            if rail.display:
                rail.show(view, self.panel)
            self.put_text("#tabs", self._tabs())
            panel = self.query_one(f"#{PANELS[self.panel - 1]}")
            try:
                cast(EvidencePanel, panel).show(view)
            except MALFORMED as error:
                self._say_malformed(error)
        if isinstance(panel, TrainingPanel) and panel.wanted():
            self.run_worker(self._look_closer(), group="closer", exclusive=True)

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
            over = self.feed.view.ended and not self.feed.status.alive
            following = "" if over else "  following" if self.following else "  f to follow"
            text.append(following, "dim")
        return text

    def _draw_fault(self) -> None:
        """Why the run failed, in a sentence; the traceback is one key away."""
        failure, width = self.feed.view.failure, max(20, self.size.width - 2)
        said = f"{failure.stage or 'the worker'} failed: {failure.message}" if failure else ""
        whole = wrapped(said, width)
        lines = wrapped(said, width)[:FAULT_ROWS]
        if len(whole) > FAULT_ROWS:
            more = " ...  t says more"
            lines[-1] = clean_line(lines[-1], width - len(more)) + more
        self.put_text("#run-fault", Text("\n".join(lines)))
        self.query_one("#run-fault").display = bool(said)

    def _draw_header(self) -> None:
        if self.is_attached:
            self.put_text("#run-header", self.header_text())
            strip = self.size.width < RAIL_FROM
            if not self.frozen or "#run-status" not in self._texts:
                self.put_text("#run-status", status_text(self.feed, strip))
            self._offer_keys()

    def header_text(self) -> Text:
        """Run, worker liveness in words, age of the data; always there."""
        feed, text = self.feed, Text(no_wrap=True, overflow="ellipsis", end="")
        age = format_short_duration(feed.age_s) + " old" if feed.age_s is not None else "none yet"
        if feed.behind:
            read = feed.history.offset / (feed.history.offset + feed.behind)
            age = f"reading history, {read:.0%}, {format_bytes(feed.behind)} left"
        guard = f" forgetting {feed.view.guard} " if feed.view.guard in ("amber", "red") else ""
        tail = f"  worker {clean_line(feed.liveness())}  data {age}  {guard}"
        room = max(20, self.size.width - len(tail) - 2)
        text.append(shortened(self._called, room), "bold")
        if guard:
            text.append("  ").append(guard, f"{STATE_STYLES[feed.view.guard]} reverse")
        text.append("  worker ", "dim").append(clean_line(feed.liveness()), "bold")
        return text.append("  data ", "dim").append(age)

    @property
    def topic(self) -> str:
        return PANELS[self.panel - 1]

    def action_panel(self, number: int) -> None:
        self.following = False
        self._show_panel(number)
        self.call_after_refresh(self.refresh_panel)

    async def refresh_panel(self) -> None:
        """Draw a panel that just came to the front; the gate needs its items first."""
        await self._look_at_items()
        self.redraw()

    def action_follow(self) -> None:
        self.following = True
        self._follow()
        self.call_after_refresh(self.redraw)

    def action_freeze(self) -> None:
        """Hold the display still; the worker does not notice."""
        self.frozen = not self.frozen
        self.redraw()

    def why_not(self, action: str) -> str:
        """Keys of a panel work while it is in front; those of a worker while they can act."""
        place = {"curve": "training", "overlay": "training", "samples": "training", "items": "gate"}
        if action in place and PANELS[self.panel - 1] != place[action]:
            return f"for the panel {PANELS.index(place[action]) + 1}, {place[action]}"
        if action == "report" and not self.run.report_path.is_file():
            return "there is no report yet"
        if action == "freeze" and not (self.frozen or self.feed.status.alive):
            return "nothing moves"
        return super().why_not(action)

    def action_curve(self, what: str) -> None:
        self.query_one(TrainingPanel).turn(what)
        self.redraw()

    def action_samples(self) -> None:
        self.query_one(TrainingPanel).read_samples()
        self.call_after_refresh(self.redraw)

    @work
    async def action_overlay(self) -> None:
        """Pick another run whose curves are drawn beneath; again, to take it away."""
        panel = self.query_one(TrainingPanel)
        if self.beneath is not None:
            self.beneath = panel.overlay = None
            self.redraw()
            return
        home = self.run.path.parent.parent
        others = [run for run in await asyncio.to_thread(trained_runs, home) if run != self.run]
        if not others:
            self.notify("No other run has curves of training to lay beneath.", markup=False)
            return
        names = [run.id for run in others]
        chosen = await self.app.push_screen_wait(ChoiceScreen("Which run beneath?", names))
        if chosen is not None:
            self.beneath = Feed(others[chosen])
            await self.refresh_feed()
            self.redraw()

    def action_items(self) -> None:
        from cpt_tui.screens.items import ItemsScreen

        found = self.query_one(GatePanel).items
        if not found.items:
            judged = self.feed.view.stages["gate"].state == "done"
            said = "This run kept no items." if judged else "No items are scored yet."
            self.notify(said, markup=False)
            return
        self.app.push_screen(ItemsScreen(found))

    def action_report(self) -> None:
        from cpt_tui.screens.report import ReportScreen

        self.app.push_screen(ReportScreen(self.run))

    def action_traceback(self) -> None:
        from cpt_tui.screens.traceback import TracebackScreen

        self.app.push_screen(TracebackScreen(self.run, self.feed.view))

    def action_interview(self) -> None:
        self.opener.open_interview(self.run)
