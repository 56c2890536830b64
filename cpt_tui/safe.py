"""The one door for text that strangers wrote: corpora, models, file names, tracebacks.

``clean`` returns plain ``str`` without anything a terminal would obey or a reader would be
deceived by. It never returns markup: show it with ``rich.text.Text`` or ``markup=False``.
"""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "..."
MAX_MARKS = 4
"""Combining marks kept on one character; more would smear over the lines around it."""

_ESCAPES = re.compile(
    r"""
    (?: \x1b\[ | \x9b ) [0-?]* [ -/]* [@-~]?                     # CSI: colours, cursor
  | (?: \x1b[\]PX^_] | [\x9d\x90\x98\x9e\x9f] ) [^\x07\x1b\x9c\n]*  # OSC, DCS, SOS, PM, APC
    (?: \x07 | \x1b\\ | \x9c )?
  | \x1b [ -/]* [0-~]?                                           # any other escape
    """,
    re.VERBOSE,
)
_MARKER = "\N{SYMBOL FOR ESCAPE}"
_NEWLINES = re.compile("\r\n|[\r\u2028\u2029\x85\x0b\x0c]")
_FORMAT_OK = frozenset("\u200d")
"""Zero-width joiner: part of emoji and of Indic scripts; kept only between visible characters."""


def clean(text: object, limit: int | None = None) -> str:
    """Plain, printable text; what was removed leaves a visible mark where it could deceive.

    Escape sequences and controls become visible symbols, bidi controls and zero-width
    characters ``\N{REPLACEMENT CHARACTER}`` or nothing; newline and tab stay. ``limit`` is the
    most characters returned, cut with ``...``.
    """
    raw = text if isinstance(text, str) else str(text)
    if limit is not None:
        raw = raw[: 8 * limit + 64]
    shown = "".join(_visible(raw))
    if limit is not None and len(shown) > limit:
        shown = shown[: max(0, limit - len(ELLIPSIS))] + ELLIPSIS[:limit]
    return shown


def clean_line(text: object, limit: int | None = None) -> str:
    """``clean`` on one line: newlines and tabs become single spaces."""
    return clean(" ".join(clean(text, None if limit is None else 2 * limit).split()), limit)


def _visible(raw: str) -> list[str]:
    """The pieces of cleaned text, one for each character that stays or is replaced."""
    text = _NEWLINES.sub("\n", _ESCAPES.sub(_MARKER, raw))
    found: list[str] = []
    marks = 0
    for char in text:
        if char.isascii() and char.isprintable():
            found.append(char)
            marks = 0
            continue
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= MAX_MARKS:
            found.append(_replace(char, category, found))
    return found


def _replace(char: str, category: str, before: list[str]) -> str:
    """The character, or what stands for it."""
    if char in "\n\t":
        return char
    if category == "Cc":
        code = ord(char)
        return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"
    if category == "Cf":
        joins = char in _FORMAT_OK and before and not before[-1].isspace() and before[-1] != char
        return char if joins else "\N{REPLACEMENT CHARACTER}"
    if category in ("Cs", "Co", "Cn", "Zl", "Zp"):
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category == "Zs" else char
