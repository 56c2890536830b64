"""Texts: rows of plain text, source code and HTML pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from engine.corpus.files.members import Member
from engine.corpus.ledger import Fault, Ledger, Row
from engine.corpus.readers.decoding import byte_length, decoded
from engine.corpus.text import LONGEST, WHOLE, Cut, choose_cut, split

LONGEST_PAGE = 16 << 20
"""An HTML page beyond this many bytes is refused: its tree is held in memory."""

LEAST_MAIN = 0.1
"""Share of a page's text that its main text is at least; less, and it was not found."""

AS_CODE = Cut(f"in blocks, being longer than {LONGEST:,} characters", re.compile(r"(?!)"), LONGEST)


def text_rows(
    item: Member, ledger: Ledger, asked: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Documents of a text file, decoded as a whole or not at all, and how it was split."""
    text = decoded(item, ledger, asked, limit)
    ledger.encoded(text.encoding, item.name)
    head = ""
    while len(head) <= WHOLE and (block := next(text.blocks, None)) is not None:
        head += block
    cut = choose_cut(head)
    pieces = 0
    for line, piece in split(chain([head], text.blocks), cut, ledger.separators):
        pieces += 1
        yield Row(line, piece, byte_length(piece, text.encoding))
    if cut:
        ledger.group(f"split {cut.how}", item.name, pieces)


def code_rows(
    item: Member, ledger: Ledger, asked: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """A file of source code as one document."""
    text = decoded(item, ledger, asked, limit)
    ledger.encoded(text.encoding, item.name)
    pieces = 0
    for line, piece in split(text.blocks, AS_CODE):
        pieces += 1
        yield Row(line, piece, byte_length(piece, text.encoding))
    if pieces > 1:
        ledger.group(f"split {AS_CODE.how}", item.name, pieces)


def page_rows(
    item: Member, ledger: Ledger, asked: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """The main text of an HTML page as one document: no menus, no scripts, blocks on lines."""
    found = ledger.bytes_found
    if item.size > LONGEST_PAGE:
        raise _too_large(item)
    text = decoded(item, ledger, asked)
    size = ledger.bytes_found - found
    if not 0 < size <= LONGEST_PAGE:  # nothing is counted yet of what is not held in memory
        raise _too_large(item)
    source = "".join(text.blocks)
    try:
        plain, whole = _page_text(source)
    except Exception as error:  # the parser is a library of its own
        message = f"{item.name} is not a readable HTML page ({type(error).__name__})"
        raise Fault("broken HTML", f"{message}; give its text") from None
    ledger.encoded(text.encoding, item.name)
    if whole:
        ledger.group("read whole, menus included: no main text was found in it", item.name)
    yield Row(1, plain, size)


def _page_text(source: str) -> tuple[str, bool]:
    """A page's main text, or where that is next to nothing the whole page and True."""
    from resiliparse.extract.html2text import extract_plain_text

    main: str = extract_plain_text(source, main_content=True, noscript=False, alt_texts=False)
    page: str = extract_plain_text(source, noscript=False, alt_texts=False)
    whole = len(main) < LEAST_MAIN * len(page)
    return (page, True) if whole else (main, False)


def _too_large(item: Member) -> Fault:
    limit = f"{LONGEST_PAGE >> 20} MB"
    return Fault("page too large", f"{item.name} is an HTML page above {limit}; give its text")
