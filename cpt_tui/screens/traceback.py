"""Why a run failed: the sentence, the traceback, and the end of the worker's log."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType

from cpt_tui.drawing.page import Page
from cpt_tui.keys.registry import bindings
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import TextScreen
from engine.runs.run import Run
from engine.runs.view import RunView

LOG_BYTES = 20_000


class TracebackScreen(TextScreen):
    """Everything there is to know about a failure, in order of use."""

    PLACE = "traceback"
    BINDINGS: ClassVar[list[BindingType]] = bindings("traceback")

    def __init__(self, run: Run, view: RunView) -> None:
        super().__init__()
        self._run, self._view = run, view

    def copied(self) -> str:
        return self.body().plain

    def heading(self) -> Text:
        return Text(f"Errors and log of {clean_line(self._run.id, 50)}")

    def body(self) -> Text:
        page = Page()
        failure = self._view.failure
        if failure is None:
            page.add("The worker reported no error.")
        else:
            page.put("What happened: ", "bold red").add(clean_line(failure.message))
            page.heading("Traceback")
            page.add(failure.traceback or "(none: the input is at fault, not the program)")
        for alarm in self._view.alarms[-20:]:
            page.state(alarm.level).add(f" {alarm.stage}: {clean_line(alarm.message)}")
        page.heading(f"End of {clean_line(self._run.log_path)}")
        page.add(self._run.log_tail(LOG_BYTES) or "(empty)")
        return page.text
