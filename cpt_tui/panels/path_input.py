"""A field for a path: Tab completes it, and says what there is to choose from."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from cpt_tui.interview.paths import complete_path
from cpt_tui.safe import clean_line


class PathInput(Input):
    """Where nothing can be completed, Tab goes to the next widget as it always does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "complete", show=False)]

    class Matches(Message):
        """What the path may go on with; none once it is unambiguous."""

        def __init__(self, names: list[str]) -> None:
            super().__init__()
            self.names = names

    def __init__(self, value: str = "", **kwargs: Any) -> None:
        super().__init__(value, compact=True, select_on_focus=False, **kwargs)
        self.cursor_blink = False
        self.completes = True
        """Whether what is typed here is a path."""

    def action_complete(self) -> None:
        """As far as every match agrees; the names where they differ."""
        done, names = complete_path(self.value) if self.completes else ("", [])
        if not names:
            self.screen.focus_next()
            return
        if clean_line(done) == done:  # a name that cannot be shown is not typed for the user
            self.value = done
            self.cursor_position = len(done)
        self.post_message(self.Matches(names if len(names) > 1 else []))
