"""What all screens share: help, back and quit; and the plain page with a title."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from cpt_tui.safe import clean_line
from engine.errors import describe_os_error
from engine.runs.run import Run


class Opener(Protocol):
    """What opens the screens that lead to each other: the app, which knows them all."""

    def open_run(self, run: Run, instead: bool = False, overlay: Run | None = None) -> None: ...

    def open_interview(self, run: Run | None, home: Path | None = None) -> None: ...

    def open_home(self, run: Run | None = None) -> None: ...

    def leave_app(self) -> None: ...

    def say_at_end(self, line: str) -> None: ...

    def open_help(self, place: str) -> None: ...

    def open_glossary(self, topic: str) -> None: ...


class CptScreen(Screen[None]):
    """A screen whose keys come from the registry."""

    PLACE: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[str, Text] = {}

    @property
    def opener(self) -> Opener:
        """The app, as the one who opens other screens."""
        return cast(Opener, self.app)

    def put_text(self, selector: str, text: Text) -> None:
        """Update a Static only where its text differs: an update repaints far more than it.

        Nothing of a screen that is being taken down.
        """
        if self._texts.get(selector) != text:
            for found in self.query(selector).results(Static):
                self._texts[selector] = text
                height = found.styles.height
                found.update(text, layout=height is None or height.is_auto)

    def action_help(self) -> None:
        self.opener.open_help(self.PLACE)

    def action_glossary(self) -> None:
        self.opener.open_glossary(self.topic)

    @property
    def topic(self) -> str:
        """What this screen is about now, as glossary entries name it; empty for none."""
        return self.PLACE

    def why_not(self, action: str) -> str:
        """Why a key cannot act now, for the palette; empty where it can."""
        return "" if self.check_action(action, ()) else "not now"

    def copied(self) -> str:
        """The text that is copied from here; empty for none."""
        return ""

    def action_copy(self) -> None:
        """To the terminal's clipboard; some terminals and tmux let nothing in unless told to."""
        if text := self.copied():
            self.app.copy_to_clipboard(text)
            shown = text if len(text) < 60 else f"{len(text):,} characters"
            self.notify(f"Copied, if your terminal allows it: {shown}", markup=False)

    def action_picture(self) -> None:
        """Write the screen as SVG beside where the app was started."""
        name = f"cpt-{self.PLACE}-{time.strftime('%Y%m%d-%H%M%S')}.svg"
        try:
            path = self.app.save_screenshot(name, str(Path.cwd()))
        except OSError as error:
            said = describe_os_error(error) or str(error)
            self.notify(clean_line(f"No picture was written: {said}"), severity="error")
            return
        self.notify(f"A picture of the screen: {clean_line(path)}", markup=False)

    async def action_redraw(self) -> None:
        await self.run_action("app.redraw")

    def action_leave(self) -> Any:
        """Back to the screen before."""
        self.leave()

    def leave(self) -> None:
        """The screen before; from the first one, home. It never ends the app."""
        self.opener.open_home(self.watched)

    @property
    def watched(self) -> Run | None:
        """The run this screen is about, if any."""
        return None

    def action_leave_app(self) -> None:
        """Quit; what goes on running is said."""
        self.opener.leave_app()


class TextScreen(CptScreen):
    """A title, a scrolling page of text, the footer."""

    def compose(self) -> ComposeResult:
        yield Static(self.heading(), markup=False, classes="header")
        with VerticalScroll(classes="body"):
            yield Static(self.body(), markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_move(self, by: int) -> None:
        """Some rows down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_end(self, last: int) -> None:
        """To the first row, or to the last."""
        body = self.query_one(VerticalScroll)
        body.scroll_end(animate=False) if last else body.scroll_home(animate=False)

    def heading(self) -> Text:
        raise NotImplementedError

    def body(self) -> Text:
        raise NotImplementedError
