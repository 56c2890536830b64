"""Help: every key of the screen the user comes from, and of the others, from the registry."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from cpt_tui.drawing.page import Page
from cpt_tui.keys.registry import bindings, described
from cpt_tui.screens.base import TextScreen

PLACES = {
    "home": "Home",
    "interview": "Interview",
    "run": "Run",
    "report": "Report",
    "traceback": "Traceback",
    "items": "The gate's items",
    "item": "One item",
    "compare": "Two runs side by side",
}
ABOUT = (
    "The worker is a process of its own. Quitting, closing the laptop or losing",
    "SSH never touches it; watch it again from any shell with: cpt watch",
    "F3 (g too, but in lists) says what the terms mean, on every screen and in every question.",
    "Ctrl+P opens the command palette (themes too). Ctrl+Q quits from anywhere.",
    "Ctrl+C only hints. Ctrl+Z goes to the shell; fg comes back.",
    "CPT_ASCII=1 draws with ASCII only, NO_COLOR=1 drops colour, CPT_MOUSE=1",
    "turns the mouse on (off, so that the terminal's own selection works).",
    "Without a screen: cpt watch --plain, cpt watch --once; --json everywhere.",
)


class HelpScreen(TextScreen):
    """One page of keys, those that work here at its top."""

    PLACE = "help"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("help"),
        Binding("escape,question_mark,f1,q", "leave", "back", key_display="esc"),
    ]

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def heading(self) -> Text:
        return Text("Help")

    def body(self) -> Text:
        page = Page()
        order = sorted(PLACES, key=lambda place: place != self._place)
        for place in order:
            page.heading(f"Keys: {PLACES[place]}" + (" (here)" if place == self._place else ""))
            for keys, text in described(place):
                page.item(f"  {keys}", text, 76, "bold", at=22)
        page.heading("Beside the keys")
        for line in ABOUT:
            page.add(line)
        return page.text
