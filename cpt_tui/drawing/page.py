"""Page: text for a panel, built line by line. No markup is ever parsed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
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
    "NOT JUDGED": "bold yellow",
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
        self.put(padded(clean_part(label), at), style)
        for i, line in enumerate(wrapped(text, width - at)):
            self.add(" " * (at if i else 0) + line)
        return self

    def quote(self, text: object, width: int, indent: int = 2, limit: int = 240) -> Page:
        """A piece of foreign text, cut to ``limit`` characters and wrapped behind an indent."""
        for line in wrapped(clean_line(text, limit), width - indent):
            self.add(" " * indent + line)
        return self

    def beside(self, left: Sequence[str], right: Sequence[str], width: int) -> Page:
        """Two columns of lines, each at most ``column_width(width)`` cells wide."""
        room = column_width(width)
        for i in range(max(len(left), len(right))):
            mine = left[i] if i < len(left) else ""
            other = right[i] if i < len(right) else ""
            self.put(padded(mine, room)).draw(" │ ", "dim").add(other)
        return self

    def heading(self, title: str) -> Page:
        if len(self.text):
            self.add()
        return self.add(title, "bold")

    def pair(self, label: str, value: object, style: str = "", width: int = 18) -> Page:
        """``label   value`` with the values in a column."""
        self.put(padded(clean_part(label), width), "dim")
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


_WRAPPER = Console(width=80, color_system=None, legacy_windows=False)


def wrapped(text: object, width: int) -> list[str]:
    """Cleaned text in lines of at most ``width`` cells (20 at least); wide characters count."""
    lines = Text(clean_line(text)).wrap(_WRAPPER, max(20, width))
    return [line.plain.rstrip() for line in lines] or [""]


def padded(text: str, width: int) -> str:
    """The text with spaces up to ``width`` cells; a longer one stays as it is."""
    return set_cell_size(text, width) if cell_len(text) < width else text


def column_width(width: int) -> int:
    """Cells of one of two columns side by side on a page of ``width``."""
    return (width - 3) // 2
