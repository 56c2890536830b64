"""Text: cleaning it, its content hash, and where one long file falls into documents."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from engine.corpus.line_records import are_line_records
from engine.corpus.separators import find_border
from engine.normal_form import normal_text

WHOLE = 16_000
"""A text file of up to this many characters is one document."""

BLOCK = 8_000
"""Target size, in characters, of a document cut out of a long text."""

LONGEST = 2_000_000
"""A document between separators or headings longer than this is cut into blocks."""

SEPARATOR = re.compile(r"<\|endoftext\|>(?:(?=[ \t]*\n)|(?<=\n<\|endoftext\|>))")
"""The most common mark between documents, looked for in all of a text that is cut."""
HEADING = re.compile(r"\n[ \t]*(?=\n ?= [^=\n]+ = *\n[ \t]*\n)")

_BREAKS = (
    re.compile(r"\n[ \t]*\n"),
    re.compile(r"\n"),
    re.compile(r"\s"),
    re.compile("(?<=[。！？])"),
)
_LAST_SPACE = re.compile(r"\s(?=\S*\Z)")


def clean(text: str) -> str:
    """NUL and BOM removed, line ends as LF, lone surrogates replaced, no trailing spaces."""
    if not text.isascii():
        text = without_surrogates(text).replace("\ufeff", "")
    text = text.replace("\x00", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if " \n" in text or "\t\n" in text:
        text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return text.rstrip(" \t\n").lstrip("\n")


def without_surrogates(text: str) -> str:
    """Pairs joined to the character they stand for, lone halves turned into U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def content_hash(text: str) -> bytes:
    """16 bytes of blake2b over the text's normal form with its whitespace collapsed.

    The key of exact deduplication and of the held-out split.
    """
    collapsed = " ".join(normal_text(text).split()).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(collapsed, digest_size=16).digest()


@dataclass(frozen=True)
class Cut:
    """How a long text is cut: the boundary looked for and the longest document kept whole."""

    how: str
    boundary: re.Pattern[str]
    longest: int


AT_HEADINGS = Cut("at article headings (= Title =)", HEADING, LONGEST)
AT_LINES = Cut("at line ends, each line being a record", re.compile(r"\n"), LONGEST)
IN_BLOCKS = Cut(f"at blank lines, into blocks of about {BLOCK:,} characters", SEPARATOR, WHOLE)


def choose_cut(head: str) -> Cut | None:
    """The cut for a text that starts with ``head``; None where it is one document."""
    if border := find_border(head):
        return Cut(f"at {' and '.join(border.marks)}", border.cut, LONGEST)
    if are_line_records(head):
        return AT_LINES
    if len(head) <= WHOLE:
        return None
    return AT_HEADINGS if HEADING.search(head) else IN_BLOCKS


def split(
    blocks: Iterable[str], cut: Cut | None, dropped: dict[str, int] | None = None
) -> Iterator[tuple[int, str]]:
    """Pieces of a streamed text with the line each starts at; only separators are dropped.

    Those that are written marks are counted in ``dropped``.
    """
    cut = cut or IN_BLOCKS
    line, buffer = 0, "\n"  # the extra line end lets a separator match on the first line
    for block in chain(blocks, (None,)):
        buffer += "\n\n" if block is None else block
        done = 0
        for start, end, resume in _spans(buffer, cut, last=block is None):
            piece = buffer[start:end]
            if stripped := piece.lstrip():
                lead = piece.count("\n", 0, len(piece) - len(stripped))
                yield max(1, line + lead), piece
            if dropped is not None and (mark := buffer[end:resume].strip()):
                dropped[mark] = dropped.get(mark, 0) + 1
            line += buffer.count("\n", start, resume)
            done = resume
        buffer = buffer[done:]


Span = tuple[int, int, int]
"""Start and end of a piece, and where the next one starts."""


def _spans(buffer: str, cut: Cut, last: bool) -> Iterator[Span]:
    """Finished pieces of the buffer; what comes after them waits for more text."""
    at = 0
    for found in cut.boundary.finditer(buffer):
        *pieces, (start, end, _) = _bounded(buffer, at, found.start(), cut.longest)
        yield from pieces
        yield start, end, found.end()
        at = found.end()
    *pieces, rest = _bounded(buffer, at, len(buffer), cut.longest)
    yield from pieces
    if last:
        yield rest


def _bounded(text: str, start: int, stop: int, longest: int) -> Iterator[Span]:
    """``text[start:stop]`` in one span, or in blocks if it is longer than ``longest``."""
    if stop - start > longest:
        while stop - start > WHOLE:
            end = _block_end(text, start, stop)
            yield start, end, end
            start = end
    yield start, stop, stop


def _block_end(text: str, start: int, stop: int) -> int:
    """Where to end a block: a blank line, a line end, a space; inside a word only at the last."""
    for pattern in _BREAKS:
        if found := pattern.search(text, start + BLOCK, min(start + WHOLE, stop)):
            return found.start()
    before = _LAST_SPACE.search(text[start + 1 : start + BLOCK])
    return start + 1 + before.start() if before else start + WHOLE
