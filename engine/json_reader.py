"""JSON files, read value by value: a list, one object, or objects one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.readers import (
    LONGEST_RECORD,
    Fault,
    Ledger,
    Row,
    decoded,
    shown,
    sniff,
    what_is_wrong,
)


class _Values:
    """JSON values read one by one from a stream of text, in flat memory."""

    def __init__(self, path: Path, blocks: Iterator[str]) -> None:
        self.path = path
        self.blocks = blocks
        self.buffer = ""
        self.at = 0
        self.line = 1
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
        self.at = to

    def take(self) -> Any:
        """The next value."""
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.at)
            except (ValueError, RecursionError) as error:
                if self.ended or self._hopeless(error):
                    raise self.fault(what_is_wrong(error)) from None
            else:
                if end < len(self.buffer) or self.ended:
                    self.move(end)
                    return value
            self.grow()

    def _hopeless(self, error: ValueError | RecursionError) -> bool:
        """True where more text cannot help: too much already, or wrong well before the end."""
        if len(self.buffer) - self.at > LONGEST_RECORD or isinstance(error, RecursionError):
            return True
        if not isinstance(error, json.JSONDecodeError) or error.msg.startswith("Unterminated"):
            return False
        return error.pos < len(self.buffer) - 64

    def fault(self, what: str) -> Fault:
        where = f"{shown(self.path)} is not valid JSON near line {self.line}"
        return Fault("malformed JSON", f"{where}: {what}; mend the file or give JSON lines")


WRAPPERS = ("data", "rows", "records", "examples", "documents", "train")


def _unwrapped(value: Any) -> list[Any]:
    """The records of an object that is only a wrapper around a list of them."""
    if isinstance(value, dict):
        for key in WRAPPERS:
            inner = value.get(key)
            if isinstance(inner, list) and inner and all(isinstance(one, dict) for one in inner):
                return inner
    return [value]


def json_rows(path: Path, ledger: Ledger) -> Iterator[Row]:
    """Records of a .json file: a list, one object, or objects one after the other."""
    encoding = sniff(path)
    values = _Values(path, decoded(path, encoding, ledger))
    if values.peek() != "[":
        while values.peek():
            line = values.line
            yield from ((line, record) for record in _unwrapped(values.take()))
        return
    values.move(values.at + 1)
    if values.peek() == "]":
        return
    while True:
        line = values.line
        yield line, values.take()
        mark = values.peek()
        if mark not in (",", "]"):
            raise values.fault("a comma or a closing bracket is missing")
        values.move(values.at + 1)
        if mark == "]":
            break
        values.peek()
    if values.peek():
        raise values.fault("text after the end of the list")
