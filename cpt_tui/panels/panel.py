"""Panel: a scrolling page of text about a run; the base of the numbered panels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from cpt_tui.drawing.page import Page
from engine.runs.view import RunView

if TYPE_CHECKING:
    from engine.artifacts.all_stages import Artifacts

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What drawing a log of another version may raise; such a log must not end the viewer."""


def text_width(area: VerticalScroll) -> int:
    """Cells for text in a scrolling area, whether its scrollbar is there yet or not."""
    bar = 0 if area.show_vertical_scrollbar else area.styles.scrollbar_size_vertical
    return area.scrollable_content_region.width - bar


def put_unreadable(page: Page, made: Artifacts, stages: Iterable[str], width: int) -> None:
    """A line for each of these stages whose evidence is not what this version can read."""
    for stage in stages:
        if line := made.describe_unreadable(stage):
            page.quote(line, width, indent=0, limit=400)


class Panel(VerticalScroll):
    """Redraws its text when it is shown a view; keeps its scroll position."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.can_focus = True
        self._shown: Text | None = None
        self._view: RunView | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False, classes="page")

    def show(self, view: RunView) -> None:
        """Draw the view, if the text differs from what is there."""
        self._view = view
        text = self.written(view, max(30, text_width(self)))
        if self._shown is None or text != self._shown:
            self._shown = text
            self.query_one(".page", Static).update(text)

    def on_resize(self) -> None:
        """A panel that just came to the front knows its width only now."""
        if self._view is not None:
            with contextlib.suppress(*MALFORMED):
                self.show(self._view)

    def written(self, view: RunView, width: int) -> Text:
        """The text of the panel."""
        raise NotImplementedError
