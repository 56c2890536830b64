"""The rail: every stage with its state in words, and where the run is."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from cpt_tui.drawing.page import Page
from cpt_tui.terminal import ascii_only
from engine.formatting import format_short_duration
from engine.runs.view import RunView
from engine.summary.page import state_words
from engine.summary.remaining import stage_extent

PANEL_OF = {
    "base": 3,
    "scan": 1,
    "probe": 1,
    "decide": 1,
    "baseline": 4,
    "extend": 2,
    "pack": 2,
    "train": 3,
    "gate": 4,
    "report": 4,
    "arms": 4,
    "finish": 4,
    "export": 4,
}
"""The panel that shows a stage."""


class StageRail(Static):
    """Down the left edge, where there is room for it; a row a stage."""

    def __init__(self, id: str) -> None:
        super().__init__(markup=False, id=id)
        self._shown: Text | None = None

    def show(self, view: RunView, panel: int) -> None:
        """Redraw; ``panel`` marks the stages it belongs to."""
        text = rail_text(view, panel)
        if text != self._shown:
            self._shown = text
            self.update(text)


def rail_text(view: RunView, panel: int) -> Text:
    """A row a stage: its name, its state, time taken or share done."""
    page = Page()
    arrow = ">" if ascii_only() else "▸"
    for name in view.stages:
        state = state_words(view, name)
        here = view.current == name
        page.put(f"{arrow if here else ' '} ", "bold")
        page.put(f"{name:<9}", "bold" if here else "" if PANEL_OF.get(name) == panel else "dim")
        page.state(state).add(f" {_extent(view, name)}".rstrip(), "dim")
    page.text.rstrip()
    return page.text


def _extent(view: RunView, name: str) -> str:
    """Time taken, or how far a running or paused stage is."""
    stage = view.stages[name]
    if stage.state in ("done", "skipped"):
        return format_short_duration(stage.seconds) if stage.seconds is not None else ""
    share = stage_extent(view, name).share
    return f"{share:.0%}" if share is not None and not view.gone else ""
