"""The report of a run, as text."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType

from cpt_tui.keys.registry import bindings
from cpt_tui.safe import clean, clean_line
from cpt_tui.screens.base import TextScreen
from engine.runs.run import Run

LIMIT = 200_000


class ReportScreen(TextScreen):
    """Shows ``report.md`` as it stands on disk."""

    PLACE = "report"
    BINDINGS: ClassVar[list[BindingType]] = bindings("report")

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def heading(self) -> Text:
        return Text(f"Report of {clean_line(self._run.id, 60)}")

    def body(self) -> Text:
        try:
            with self._run.report_path.open(encoding="utf-8", errors="replace") as handle:
                raw = handle.read(LIMIT)
        except OSError:
            return Text("There is no report yet. It is the last stage of a run.")
        text = Text()
        if fault := self._run.find_fault("report"):
            said = f"Not as it was written ({fault}); cpt report {self._run.id} writes it anew."
            text.append(f"{clean_line(said)}\n\n", "bold red")
        for line in clean(raw).split("\n"):
            text.append(
                line.lstrip("# ") + "\n" if line.startswith("#") else line + "\n",
                "bold" if line.startswith("#") else None,
            )
        text.append(f"\nFile: {clean_line(self._run.report_path)}\n", "dim")
        return text
