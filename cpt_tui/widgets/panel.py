"""Panel: a scrolling page of text about a run; the base of the numbered panels."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from engine.view import RunView


class Panel(VerticalScroll):
    """Redraws its text when it is shown a view; keeps its scroll position."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.can_focus = True
        self._shown: Text | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False, classes="page")

    def show(self, view: RunView) -> None:
        """Draw the view, if the text differs from what is there."""
        text = self.written(view, max(30, self.size.width - 2))
        if self._shown is None or text != self._shown:
            self._shown = text
            self.query_one(".page", Static).update(text)

    def written(self, view: RunView, width: int) -> Text:
        """The text of the panel."""
        raise NotImplementedError
