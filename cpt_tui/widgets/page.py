"""Page: text for a panel, built line by line. No markup is ever parsed."""

from __future__ import annotations

import textwrap

from rich.text import Text

from cpt_tui.safe import clean, clean_line
from cpt_tui.terminal import glyphs

STATE_STYLES = {
    "running": "bold",
    "done": "green",
    "kept": "green",
    "failed": "bold red",
    "paused": "bold yellow",
    "waiting": "dim",
    "not run": "dim",
    "green": "green",
    "amber": "bold yellow",
    "red": "bold red",
    "unknown": "dim",
    "note": "cyan",
    "GO": "bold green",
    "EARNED": "bold green",
    "NOT YET": "bold yellow",
    "TIE": "bold yellow",
    "STOPPED": "bold yellow",
    "NO-GO": "bold red",
    "HURT": "bold red",
    "FAILED": "bold red",
}
"""Colour only repeats what the word says."""


class Page:
    """Lines of styled text; every string that comes in is cleaned."""

    def __init__(self) -> None:
        self.text = Text()

    def add(self, text: object = "", style: str = "") -> Page:
        """A line of its own."""
        self.text.append(clean(text) + "\n", style or None)
        return self

    def put(self, text: object, style: str = "") -> Page:
        """A piece of the current line."""
        self.text.append(clean_part(text), style or None)
        return self

    def item(self, label: object, text: object, width: int, style: str = "", at: int = 15) -> Page:
        """``label`` and then text wrapped into a column of its own, from column ``at``."""
        lines = textwrap.wrap(clean_line(text), max(20, width - at)) or [""]
        self.put(f"{clean_part(label):<{at}}", style)
        for i, line in enumerate(lines):
            self.add(" " * (at if i else 0) + line)
        return self

    def heading(self, title: str) -> Page:
        if len(self.text):
            self.add()
        return self.add(title, "bold")

    def pair(self, label: str, value: object, style: str = "", width: int = 18) -> Page:
        """``label   value`` with the values in a column."""
        self.put(f"{label:<{width}}", "dim")
        return self.add(clean_line(value), style)

    def state(self, word: str) -> Page:
        """A state in its word and colour, as a piece of the line."""
        return self.put(word, STATE_STYLES.get(word, ""))

    def draw(self, text: str, style: str = "") -> Page:
        """A piece made of drawing characters, in ASCII where the terminal needs it."""
        return self.put(glyphs(text), style)


def clean_part(text: object) -> str:
    """Cleaned and on one line, keeping the spaces that align columns."""
    return clean(text).replace("\n", " ").replace("\t", " ")
