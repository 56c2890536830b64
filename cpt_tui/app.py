"""The app: order of the screens, themes, and how it ends. Loads neither torch nor numpy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from cpt_tui.drawing.changed_cells import ShownCells
from cpt_tui.keys.registry import KEYS, key_names
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.terminal import ascii_only, end_when_hung_up
from engine.runs.launch import read_status
from engine.runs.run import Run, list_runs

MOST_RUNS = 200
"""Runs that are looked at for a living worker when the app ends; the newest ones."""


class PlainScrollBar(ScrollBarRender):
    """A scrollbar of whole cells, for terminals without block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class CptApp(App[int]):
    """Home, interview and run screens over files; all work happens in worker processes."""

    TITLE = "cpt"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "redraw", "draw again", show=False, id="app.redraw"),
        Binding("ctrl+z", "suspend_process", "suspend", show=False, id="app.suspend-anywhere"),
    ]

    def __init__(
        self, start: Run | None = None, home: Path | None = None, overlay: Run | None = None
    ) -> None:
        super().__init__()
        self.start_run = start
        self.overlay = overlay
        self.home = home
        self.left: Run | None = None
        """The run whose screen was left last."""
        self.animation_level = "none"
        self._cells = ShownCells()
        self._last_lines: list[str] = []

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Textual's own, with an update cut down to the cells that changed."""
        shown = self._running and not self._closed and not self._batch_count
        inline = self._driver is None or self._driver.is_inline or self.is_headless
        if shown and not inline and isinstance(renderable, (ChopsUpdate, LayoutUpdate)):
            narrowed = self._cells.narrow(renderable, self.console)
            at = self.screen.outer_size.clamp_offset(self.cursor_position)
            if not narrowed.text and at == self._previous_cursor_position:
                return
            renderable = narrowed
        super()._display(screen, renderable)

    def on_resize(self) -> None:
        """A terminal that changes its size moves what stands on it."""
        self._cells.forget()

    def action_redraw(self) -> None:
        """Write the whole screen again, where something else wrote on the terminal."""
        self._cells.forget()
        self.screen.refresh(layout=True)

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda _: self._cells.forget())
        if ascii_only():
            self.add_class("-ascii")
        ScrollBar.renderer = PlainScrollBar if ascii_only() else ScrollBarRender
        if theme := os.environ.get("CPT_THEME"):
            self.theme = theme if theme in self.available_themes else self.theme
        self.open_first()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: a row for each key of the screen in front, and the themes.

        One that cannot act now stands there too, with the reason.
        """
        yield SystemCommand("theme", "Other colours, light and dark", self.action_change_theme)
        if not isinstance(screen, CptScreen):
            return
        for key in KEYS:
            if not key.palette or screen.PLACE not in key.places:
                continue
            name = key.action.partition("(")[0]
            said, reason = key.label or key.help, screen.why_not(name)
            if not reason:
                run = partial(screen.run_action, key.action)
                more = key.help if key.label else ""
                yield SystemCommand(said, f"{key_names(key):<9} {more}".rstrip(), run)
            else:
                say = partial(self.notify, f"{said}: {reason}", markup=False)
                yield SystemCommand(f"{said} (not now)", f"{key_names(key):<9} {reason}", say)

    def open_first(self) -> None:
        """The run given on the command line, else home."""
        if self.start_run is not None:
            from cpt_tui.screens.run import RunScreen

            self.push_screen(RunScreen(self.start_run, self.overlay))
        else:
            from cpt_tui.screens.home.home import HomeScreen

            self.push_screen(HomeScreen(self.home))

    def open_home(self, run: Run | None = None) -> None:
        """Back by one screen, and from the first one to home; the cursor is then on ``run``."""
        self.left = run or self.left
        if len(self.screen_stack) > 2:
            self.pop_screen()
            return
        from cpt_tui.screens.home.home import HomeScreen

        self.switch_screen(HomeScreen(self.home))

    def leave_app(self) -> None:
        """Quit, and say what goes on running without a screen."""
        watched = getattr(self.screen, "watched", None)
        runs = list_runs(self.home)[:MOST_RUNS]
        if watched is not None and watched not in runs:
            runs.append(watched)
        names = [clean_line(run.id) for run in runs if read_status(run).alive]
        said = [*self._last_lines, *([goes_on(names)] if names else [])]
        self.exit(0, message=Text("\n".join(said)) if said else None)

    def say_at_end(self, line: str) -> None:
        """What is printed in the shell once the app is left."""
        self._last_lines.append(clean_line(line))

    async def action_quit(self) -> None:
        """Ctrl+Q and the palette end the app as ``q`` does."""
        self.leave_app()

    def open_run(self, run: Run, instead: bool = False, overlay: Run | None = None) -> None:
        """A run's screen, above the screen in front or instead of it."""
        from cpt_tui.screens.run import RunScreen

        show = self.switch_screen if instead else self.push_screen
        show(RunScreen(run, overlay))

    def open_interview(self, run: Run | None, home: Path | None = None) -> None:
        """The interview on a draft, or a new one for None."""
        from cpt_tui.screens.interview import InterviewScreen

        self.push_screen(InterviewScreen(run, home))

    def open_help(self, place: str) -> None:
        """Every key, those of the place first."""
        from cpt_tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(place))

    def open_glossary(self, topic: str) -> None:
        """Every term, those of the topic first."""
        from cpt_tui.screens.glossary import GlossaryScreen

        self.push_screen(GlossaryScreen(topic))


def goes_on(names: list[str]) -> str:
    """What is said at the end of the runs whose workers go on."""
    if len(names) == 1:
        return f"The run goes on without this screen. Watch it again: cpt watch {names[0]}"
    watch = "".join(f"\n  cpt watch {name}" for name in names)
    return f"{len(names)} runs go on without this screen. Watch one again:{watch}"


def run_app(start: Run | None = None, home: Path | None = None, overlay: Run | None = None) -> int:
    """Show the app until the user leaves; returns the exit code.

    ``home`` overrides the directory of runs for this app and the workers it starts.
    """
    if home is not None:
        os.environ["CPT_HOME"] = str(home)
    app = CptApp(start, home, overlay)
    app.call_later(end_when_hung_up, app)
    code = app.run(mouse=os.environ.get("CPT_MOUSE", "0") not in ("", "0"))
    return code if code is not None else app.return_code or 0
