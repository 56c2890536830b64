"""The report of a run, rendered."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from cpt_tui.drawing.markdown import markdown_text
from cpt_tui.keys.registry import bindings
from cpt_tui.panels.panel import text_width
from cpt_tui.safe import clean, clean_line
from cpt_tui.screens.base import TextScreen
from engine.runs.run import Run

LIMIT = 200_000
WIDEST = 110
"""Cells of a line of text that are read with ease."""


class ReportScreen(TextScreen):
    """Shows ``report.md`` as it stands on disk, as wide as there is room to read."""

    PLACE = "report"
    BINDINGS: ClassVar[list[BindingType]] = bindings("report")

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    @property
    def watched(self) -> Run | None:
        return self._run

    def copied(self) -> str:
        try:
            return clean(self._run.report_path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return ""

    def heading(self) -> Text:
        return Text(f"Report of {clean_line(self._run.label or self._run.id, 60)}")

    def body(self) -> Text:
        return Text("reading", "dim")

    def on_resize(self) -> None:
        self.run_worker(self._render_report(), exclusive=True, group="report")

    async def _render_report(self) -> None:
        """In a thread: a long report takes a moment to lay out."""
        room = min(WIDEST, text_width(self.query_one(VerticalScroll)))
        text = await asyncio.to_thread(self.report_text, room)
        if self.is_attached:
            self.query_one(VerticalScroll).query_one(Static).update(text)

    def report_text(self, width: int) -> Text:
        """The page, with what is wrong with its file above it."""
        try:
            with self._run.report_path.open(encoding="utf-8", errors="replace") as handle:
                raw = handle.read(LIMIT)
        except OSError:
            return Text("There is no report yet. It is the last stage of a run.")
        text = Text()
        if fault := self._run.find_fault("report"):
            said = f"Not as it was written ({fault}); cpt report {self._run.id} writes it anew."
            text.append(f"{clean_line(said)}\n\n", "bold red")
        text.append_text(markdown_text(raw, width))
        return text.append(f"\n\nFile: {clean_line(self._run.report_path)}\n", "dim")
