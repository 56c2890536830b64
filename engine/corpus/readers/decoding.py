"""Decoding: an item's bytes as text in blocks, the whole of it or none of it."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from engine.corpus.files.members import HEAD, Member
from engine.corpus.files.streams import BLOCK
from engine.corpus.ledger import Fault, Ledger, raising
from engine.corpus.readers.encodings import (
    NULS,
    binary,
    choose,
    escaped,
    look,
    marked,
    suspects,
    wide,
)

IN_MEMORY = 32 << 20
"""A file of up to this many bytes is read once and held; a longer one is read twice, first to
know that all of it decodes. The first pass over 150 MB of English took 0.1 s; without it a bad
byte near the end would come to light when half the file had become documents."""

Blocks = Callable[[], Iterator[bytes]]


class Decoded(NamedTuple):
    """A text that is known to decode."""

    encoding: str
    blocks: Iterator[str]


def decoded(
    item: Member,
    ledger: Ledger,
    asked: str | None = None,
    limit: int | None = None,
    records: bool = False,
) -> Decoded:
    """The text of an item, known to decode as a whole (or its first ``limit`` bytes are).

    Of ``records`` the line ends are kept, and what came before the item breaks off. Line ends of
    a text come as LF. Raises Fault, here or (it breaks off, the disk fails) in the blocks.
    """
    size = limit or IN_MEMORY
    with item.open() as stream:
        data, fault = gather(stream, size + 1)
    if fault and not (records and data):
        raise fault
    look(data[:HEAD], item.name)
    if len(data) <= size or limit:
        complete = len(data) <= size and not fault
        held = data[:size]
        ledger.cut |= len(data) > size
        ledger.bytes_found += len(held)
        encoding = settle(lambda: _slices(held), asked, item.name, complete)
        text = _text(_slices(held), encoding, complete, not records)
        return Decoded(encoding, chain(text, raising(fault)) if fault else text)
    encoding = settle(lambda: _read(item, None, records), asked, item.name, not records)
    return Decoded(encoding, _text(_read(item, ledger), encoding, True, not records))


def gather(stream: io.BufferedReader, size: int) -> tuple[bytes, Fault | None]:
    """The first bytes of a stream, and the fault that cut them short."""
    parts: list[bytes] = []
    try:
        while size > 0 and (part := stream.read1(min(size, BLOCK))):
            parts.append(part)
            size -= len(part)
    except Fault as fault:
        return b"".join(parts), fault
    return b"".join(parts), None


def _slices(held: bytes) -> Iterator[bytes]:
    return (held[at : at + BLOCK] for at in range(0, len(held), BLOCK))


def _read(item: Member, ledger: Ledger | None, to_fault: bool = False) -> Iterator[bytes]:
    """The item in blocks; ``to_fault``: where it breaks off is where it ends."""
    with item.open(ledger) as stream:
        try:
            while block := stream.read1(BLOCK):
                yield block
        except Fault:
            if not to_fault:
                raise


def settle(blocks: Blocks, asked: str | None, name: str, complete: bool = True) -> str:
    """The encoding that all blocks decode in; a Fault where there is none to rely on."""
    head = next(blocks(), b"")[:BLOCK]
    known = marked(head[:HEAD]) or wide(head[:HEAD]) or escaped(head)
    encoding = known or "utf-8"
    at = _first_error(blocks(), encoding, name, complete)
    tries: list[str] = []
    if at is not None and known is None:
        tries = choose(head, suspects(blocks()), at, asked, name)
    while at is not None and tries:
        encoding = tries.pop(0)
        at = _first_error(blocks(), encoding, name, complete)
    if at is not None:
        message = f"{name} is not all {encoding} (near byte {at:,})"
        raise Fault("not UTF-8 (encoding unknown)", f"{message}; convert it with iconv -t UTF-8")
    return encoding


def _first_error(blocks: Iterator[bytes], encoding: str, name: str, complete: bool) -> int | None:
    """Near which byte the text does not decode; None if it does."""
    decoder = codecs.getincrementaldecoder(encoding)()
    wide_ones = encoding.startswith(("utf-16", "utf-32"))
    at = 0
    try:
        for block in blocks:
            if not wide_ones and block.count(0) > NULS * len(block):
                raise binary(name)
            decoder.decode(block)
            at += len(block)
        if complete:
            decoder.decode(b"", final=True)
    except UnicodeError as error:
        return max(0, at + getattr(error, "start", 0))
    return None


def _text(blocks: Iterator[bytes], encoding: str, complete: bool, translate: bool) -> Iterator[str]:
    """Text in blocks."""
    inner = codecs.getincrementaldecoder(encoding)()
    decoder = io.IncrementalNewlineDecoder(inner, True) if translate else inner
    for block in blocks:
        yield decoder.decode(block)
    if complete:
        yield decoder.decode(b"", final=True)


def byte_length(text: str, encoding: str) -> int:
    """Bytes of a text in its encoding, without a mark."""
    if text.isascii() and not encoding.startswith(("utf-16", "utf-32")):
        return len(text)
    plain = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
    return len(text.encode(plain.get(encoding, encoding), "replace"))
