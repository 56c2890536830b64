"""JSON files, read value by value: a list, one object, or objects one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.corpus.files.members import Member
from engine.corpus.ledger import Fault, Ledger, Row
from engine.corpus.readers.decoding import IN_MEMORY, byte_length, decoded
from engine.corpus.readers.jsonl import LONGEST_RECORD, what_is_wrong


class _Values:
    """JSON values read one by one from a stream of text, in flat memory."""

    def __init__(self, name: str, blocks: Iterator[str], encoding: str) -> None:
        self.name = name
        self.blocks = blocks
        self.encoding = encoding
        self.buffer = ""
        self.at = 0
        self.line = 1
        self.passed = 0
        self.ended = False
        self.decoder = json.JSONDecoder()

    def grow(self) -> None:
        """At least double what lies ahead."""
        parts = [self.buffer[self.at :]]
        self.at, size, wanted = 0, len(parts[0]), 2 * len(parts[0])
        while not self.ended and size <= wanted:
            block = next(self.blocks, None)
            self.ended = block is None
            parts.append(block or "")
            size += len(parts[-1])
        self.buffer = "".join(parts)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            here = self.at
            while here < len(self.buffer) and self.buffer[here] in " \t\n\r\ufeff":
                here += 1
            self.move(here)
            if here < len(self.buffer) or self.ended:
                return self.buffer[here : here + 1]
            self.grow()

    def move(self, to: int) -> None:
        self.line += self.buffer.count("\n", self.at, to)
        self.passed += byte_length(self.buffer[self.at : to], self.encoding)
        self.at = to

    def row(self, line: int, value: object) -> Row:
        """A row as large as all that was passed since the one before."""
        size, self.passed = self.passed, 0
        return Row(line, value, size)

    def take(self) -> object:
        """The next value."""
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.at)
            except (ValueError, RecursionError) as error:
                if len(self.buffer) - self.at > LONGEST_RECORD:
                    raise self.fault(f"a value is longer than {LONGEST_RECORD >> 20} MB") from None
                if self.ended or self._hopeless(error):
                    raise self.fault(what_is_wrong(error)) from None
            else:
                if end < len(self.buffer) or self.ended:
                    self.move(end)
                    return value
            self.grow()

    def _hopeless(self, error: ValueError | RecursionError) -> bool:
        """True where more text cannot help: it is wrong well before the end."""
        if isinstance(error, RecursionError):
            return True
        if not isinstance(error, json.JSONDecodeError) or error.msg.startswith("Unterminated"):
            return False
        return error.pos < len(self.buffer) - 64

    def fault(self, what: str) -> Fault:
        where = f"{self.name} is not valid JSON near line {self.line}"
        return Fault("malformed JSON", f"{where}: {what}; mend the file or give JSON lines")


WRAPPERS = ("data", "rows", "records", "examples", "documents", "train")


def _unwrapped(value: object) -> list[object]:
    """The records of an object that is only a wrapper around a list of them."""
    if isinstance(value, dict):
        for key in WRAPPERS:
            inner = value.get(key)
            if isinstance(inner, list) and inner and all(isinstance(one, dict) for one in inner):
                return inner
    return [value]


def json_rows(
    item: Member, ledger: Ledger, asked: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Records of a .json file: a list, one object, or objects one after the other.

    With a ``limit``, those of its first 32 MB: where a value is cut there is no fault.
    """
    begun = ledger.bytes_found
    text = decoded(item, ledger, asked, IN_MEMORY if limit else None, records=True)
    cut = limit is not None and ledger.bytes_found - begun >= IN_MEMORY
    ledger.encoded(text.encoding, item.name)
    try:
        yield from _rows(_Values(item.name, text.blocks, text.encoding))
    except Fault:
        if not cut:
            raise


def _rows(values: _Values) -> Iterator[Row]:
    if values.peek() != "[":
        yield from _one_by_one(values)
        return
    values.move(values.at + 1)
    if values.peek() == "]":
        values.move(values.at + 1)
    else:
        yield from _listed(values)
    if values.peek():
        raise values.fault("text after the end of the list")


def _one_by_one(values: _Values) -> Iterator[Row]:
    while values.peek():
        line = values.line
        records = _unwrapped(values.take())
        whole = values.row(line, None).size
        for record in records:
            yield Row(line, record, whole // len(records))


def _listed(values: _Values) -> Iterator[Row]:
    """The values of a list whose first one comes next."""
    while True:
        line = values.line
        value = values.take()
        mark = values.peek()
        if mark in (",", "]"):
            values.move(values.at + 1)
        yield values.row(line, value)
        if mark == "]":
            return
        if mark != ",":
            raise values.fault("a comma or a closing bracket is missing")
        values.peek()
