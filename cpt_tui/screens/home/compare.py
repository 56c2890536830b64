"""Two runs side by side: their curves, and everything that was measured of both."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from cpt_tui.drawing.chart import Chart
from cpt_tui.drawing.curves import CHOICES, Overlay, plot
from cpt_tui.feed import Feed
from cpt_tui.keys.registry import bindings
from cpt_tui.panels.panel import MALFORMED, text_width
from cpt_tui.run_list import RunRow
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.workspace.comparison import Side, comparison_text, head_text
from engine.runs.series import Point
from engine.runs.view import Curve


class CompareScreen(CptScreen):
    """Reads both logs once; the second run's curves are drawn beneath the first's."""

    PLACE = "compare"
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")

    def __init__(self, left: RunRow, right: RunRow) -> None:
        super().__init__()
        self._rows = (left, right)
        self._feeds = (Feed(left.run), Feed(right.run))
        self._choice = 0

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="compare-header", classes="header")
        yield Chart("Held-out loss", "Neither run has curves of training.", id="compare-chart")
        yield Static(markup=False, id="compare-names")
        with VerticalScroll(id="compare-body", classes="body"):
            yield Static(markup=False, id="compare-text")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.put_text("#compare-header", Text("Two runs, reading their logs"))
        self.query_one("#compare-body").focus()
        self.run_worker(self._read(), exclusive=True)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    @property
    def topic(self) -> str:
        return "run"

    async def _read(self) -> None:
        """Both logs to their end; a long one is drawn as far as it is read."""
        for feed in self._feeds:
            await feed.poll()
            while feed.behind and self.is_attached:
                await feed.poll()
                await asyncio.sleep(0.01)
        self._draw()

    def _draw(self) -> None:
        if not self.is_attached:
            return
        left, right = (
            Side(row, feed.view) for row, feed in zip(self._rows, self._feeds, strict=True)
        )
        page = self.query_one("#compare-body", VerticalScroll)
        width = text_width(page)
        head = Text(f"Two runs  {CHOICES[self._choice]}", no_wrap=True, end="")
        self.put_text("#compare-header", head.append("  v next curve, o opens the first", "dim"))
        try:
            self.put_text("#compare-names", head_text(left, right, width))
            self.put_text("#compare-text", comparison_text(left, right, width))
            self._draw_chart(left, right)
        except MALFORMED as error:
            self.notify(clean_line(f"A part cannot be shown: {error}", 200), markup=False)

    def _draw_chart(self, left: Side, right: Side) -> None:
        other = right.view.curves.get("train") or Curve()
        mine = left.view.curves.get("train") or Curve()
        chart = self.query_one("#compare-chart", Chart)
        chart.display = mine.step is not None or other.step is not None
        overlay = Overlay(right.row.name, other)
        drawn = plot(CHOICES[self._choice], left.view, _points, overlay=overlay)
        chart.show(drawn.title, drawn.lines, drawn.levels, None, drawn.beneath, None)

    def copied(self) -> str:
        return "\n".join(self._texts[name].plain for name in ("#compare-names", "#compare-text"))

    def action_curve(self) -> None:
        self._choice = (self._choice + 1) % len(CHOICES)
        self._draw()

    def action_open(self) -> None:
        """The first run, the second beneath its curves."""
        self.opener.open_run(self._rows[0].run, overlay=self._rows[1].run)

    def action_swap(self) -> None:
        """The other one first."""
        self._rows, self._feeds = self._rows[::-1], self._feeds[::-1]
        self._draw()

    def action_move(self, by: int) -> None:
        self.query_one("#compare-body", VerticalScroll).scroll_relative(y=by, animate=False)

    def action_end(self, last: int) -> None:
        body = self.query_one("#compare-body", VerticalScroll)
        body.scroll_end(animate=False) if last else body.scroll_home(animate=False)


def _points(curve: Curve, name: str) -> list[Point]:
    points: list[Point] = getattr(curve, name).points()
    return points
