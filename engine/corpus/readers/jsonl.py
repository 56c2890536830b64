"""Lines: rows of JSON-lines files; a bad line is counted and does not stop the file."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

from engine.corpus.files.members import HEAD, Member
from engine.corpus.files.streams import BLOCK
from engine.corpus.ledger import Fault, Ledger, Row
from engine.corpus.readers.decoding import byte_length, decoded, gather, settle
from engine.corpus.readers.encodings import look

BAD_LINE = "bad JSON line"
LONGEST_RECORD = 64 << 20
"""A JSON record or line above this many bytes is skipped."""


def line_rows(
    item: Member, ledger: Ledger, asked: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Records of a JSON-lines file; bad lines are counted, the first one is named.

    With a ``limit``, those of about so many first bytes; the first line whatever its length.
    """
    bad, first, begun = 0, "", ledger.bytes_found
    for number, (line, size) in enumerate(_lines(item, ledger, asked), 1):
        if limit is not None and number > 1 and ledger.bytes_found - begun > limit + BLOCK:
            ledger.cut = True
            break
        if not line.strip():
            continue
        try:
            if size >= LONGEST_RECORD:
                raise ValueError(f"longer than {LONGEST_RECORD >> 20} MB")
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad, first = bad + 1, first or f"{item.name}:{number} is {what_is_wrong(error)}"
            ledger.skip(BAD_LINE, size)
            continue
        yield Row(number, value, size)
    if bad:
        more = f"; {bad:,} bad lines skipped in this file" if bad > 1 else "; line skipped"
        ledger.note(first + more)


def what_is_wrong(error: ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg}, column {error.colno})"
    return f"not JSON ({error})"


def _lines(item: Member, ledger: Ledger, asked: str | None) -> Iterator[tuple[bytes, int]]:
    """Lines as UTF-8 with their size; of one that is too long only the first part comes."""
    encoding = _encoding(item, asked)
    ledger.encoded(encoding, item.name)
    if encoding not in ("utf-8", "utf-8-sig"):
        yield from _recoded(item, ledger, asked)
        return
    with item.open(ledger) as stream:
        if stream.peek(3)[:3] == codecs.BOM_UTF8:
            stream.read(3)
        while line := stream.readline(LONGEST_RECORD):
            size, ended = len(line), len(line) < LONGEST_RECORD or line.endswith(b"\n")
            while not ended:
                more = stream.readline(BLOCK)
                size += len(more)
                ended = not more or more.endswith(b"\n")
            yield line, size


def _encoding(item: Member, asked: str | None) -> str:
    """By the first megabyte: the format is UTF-8, so single bad lines do not make it another."""
    with item.open() as stream:
        head, fault = gather(stream, BLOCK)
    if fault and not head:
        raise fault
    look(head[:HEAD], item.name)
    try:
        return settle(lambda: iter([head]), asked, item.name, complete=False)
    except Fault as fault:
        if fault.reason == "binary":
            raise
        return "utf-8"


def _recoded(item: Member, ledger: Ledger, asked: str | None) -> Iterator[tuple[bytes, int]]:
    text = decoded(item, ledger, asked, records=True)
    rest = ""
    for block in text.blocks:
        *lines, rest = (rest + block).split("\n")
        for line in lines:
            yield line.encode(), byte_length(line + "\n", text.encoding)
        rest = rest[: LONGEST_RECORD + 1]
    if rest:
        yield rest.encode(), byte_length(rest, text.encoding)
