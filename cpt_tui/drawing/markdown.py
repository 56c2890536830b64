"""Markdown as styled text for a screen: parsed as Markdown alone, never as a terminal's markup.

The text is cleaned before it is parsed. Links are not followed and pictures are named: a screen
of text shows neither.
"""

from __future__ import annotations

import io
import re

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from cpt_tui.safe import clean
from cpt_tui.terminal import glyphs

_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)\s]*\)")
_HEADINGS = re.compile(r"^(#{1,6}) ", re.MULTILINE)
_RULES = str.maketrans("╭╮╰╯━┃╸╺", "┌┐└┘─│──")
LOOK = {
    **{f"markdown.h{level}": "bold" for level in range(1, 7)},
    **{"markdown.h1": "bold", "markdown.block_quote": "yellow", "markdown.code": "bold"},
    **{"markdown.item.bullet": "dim", "markdown.item.number": "dim", "markdown.hr": "dim"},
    **{"markdown.table.header": "bold", "markdown.table.border": "dim"},
    **{"markdown.code_block": "", "markdown.link": "", "markdown.link_url": "dim"},
}
"""Colours that repeat what stands there, as on the other screens."""


def markdown_text(raw: str, width: int) -> Text:
    """The rendered text in lines of at most ``width`` cells."""
    from rich.markdown import Markdown  # not before a report is read

    source = _PICTURE.sub(_name_picture, clean(raw))
    source = _HEADINGS.sub(lambda found: "#" * max(2, len(found[1])) + " ", source)
    console = Console(
        width=max(20, width),
        file=io.StringIO(),
        color_system="truecolor",
        legacy_windows=False,
        theme=Theme(LOOK),
    )
    page = Markdown(source, hyperlinks=False, justify="left")
    text = Text()
    for line in console.render_lines(page, pad=False):
        for segment in line:
            text.append(glyphs(segment.text.translate(_RULES)), segment.style)
        text.append("\n")
    text.rstrip()
    return text


def _name_picture(found: re.Match[str]) -> str:
    """``(picture: forgetting)``; the page for a browser shows it."""
    return f"*(picture: {found[1] or 'chart'})*"
