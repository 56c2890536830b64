"""Text of strangers made inert for Markdown, code spans and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def inert(text: object) -> str:
    """Foreign text inside Markdown: one line, control characters, markup and links made inert."""
    kept = "".join(c if c.isprintable() else " " for c in str(text))
    for mark in ("\\", "`", "*", "_", "<", ">", "[", "]", "|", "#", "~", "&", "!"):
        kept = kept.replace(mark, f"\\{mark}")
    kept = kept.replace("://", "\\://").replace("www.", "www\\.")
    return " ".join(kept.split())


def code(text: object) -> str:
    """Foreign text as a code span, in a table too: one line, nothing in it ends the span."""
    kept = "".join(c if c.isprintable() else " " for c in str(text)).replace("`", "'")
    return f"`{' '.join(kept.split()) or ' '}`".replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells are taken as they are."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])
