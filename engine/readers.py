"""Readers: one file to rows (line number, text or record), streaming and in flat memory.

A file that cannot be read raises ``Fault``; a row that cannot be read is counted in the
ledger. Nothing here decides which column is text, see ``shape``.
"""

from __future__ import annotations

import codecs
import io
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from engine.text import WHOLE, choose_cut, split, without_surrogates

BLOCK = 1 << 20
LONGEST_RECORD = 64 << 20
"""A JSON record or line above this many bytes is skipped."""

SNIFF = 8192
NOTES = 50

TEXT = (".txt", ".md")
LINES = (".jsonl", ".ndjson")
KNOWN = (*TEXT, *LINES, ".json", ".parquet")

PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}

Row = tuple[int, Any]
"""A line (or record) number from 1, and a text or a record."""


class Fault(Exception):
    """A file that cannot be read: the ledger's reason, and one sentence for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(without_surrogates(message))
        self.reason = reason


@dataclass
class Ledger:
    """What was read and what was not."""

    files: int = 0
    bytes_total: int = 0
    """Sum of the file sizes, known before reading; 0 for a hub data set."""
    bytes_read: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Skipped files, lines and records by reason."""
    skipped_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    """At most 50 lines, then one that counts the rest."""
    text_column: str | None = None
    _unsaid: int = 0
    _cuts: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def skip(self, reason: str, size: int = 0, count: int = 1) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        self.skipped_bytes += size

    def note(self, line: str) -> None:
        if len(self.notes) < NOTES:
            self.notes.append(without_surrogates(line))
            return
        self._unsaid += 1
        self.notes[NOTES:] = [f"and {self._unsaid:,} more notes"]

    def cut(self, how: str, documents: int, name: str) -> None:
        """A long text file was split; ``note_cuts`` says so, one line for each way."""
        files, before, first = self._cuts.get(how, (0, 0, name))
        self._cuts[how] = (files + 1, before + documents, first)

    def note_cuts(self) -> None:
        for how, (files, documents, first) in self._cuts.items():
            who = first if files == 1 else f"{files:,} long text files (the first: {first})"
            self.note(f"{who} split {how}: {documents:,} documents")


def shown(path: Path | str) -> str:
    """A file name as valid Unicode (undecodable bytes as U+FFFD)."""
    return without_surrogates(str(path))


def open_bytes(path: Path) -> BinaryIO:
    """The file opened for reading; never a pipe, a socket or a device."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Fault("not a regular file", f"{shown(path)} is not a regular file; give a file")
        return path.open("rb")
    except PermissionError:
        message = f"{shown(path)} cannot be read: permission denied; change its mode or its owner"
        raise Fault("permission denied", message) from None
    except OSError as error:
        message = f"{shown(path)} cannot be opened: {error.strerror or error}"
        raise Fault("not readable", message) from None


def sniff(path: Path) -> str:
    """The encoding of a text file, by its first bytes; binary files and pointers are faults."""
    with open_bytes(path) as handle:
        head = handle.read(SNIFF)
    name = shown(path)
    if not head:
        raise Fault("empty", f"{name} is empty; give a file with text")
    if head.startswith(b"version https://git-lfs"):
        message = f"{name} is a git-LFS pointer, not text; fetch the file with 'git lfs pull'"
        raise Fault("git-LFS pointer", message)
    for magic, kind in PACKED.items():
        if head.startswith(magic):
            raise Fault("compressed", f"{name} is {kind}-compressed; unpack it and give the result")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\r\x0b\x0c\x1b")
    if b"\x00" in head or control > 0.3 * len(head):
        raise Fault("binary", f"{name} is binary, not text; give .txt, .md, .jsonl or .parquet")
    return "utf-8-sig"


def decoded(path: Path, encoding: str, ledger: Ledger) -> Iterator[str]:
    """The text in blocks, line ends as LF, bytes counted in the ledger."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), True)
    at = 0
    with open_bytes(path) as handle:
        try:
            while chunk := _read(handle, path):
                yield decoder.decode(chunk)  # type: ignore[arg-type]
                at += len(chunk)
                ledger.bytes_read += len(chunk)
            yield decoder.decode(b"", final=True)  # type: ignore[arg-type]
        except UnicodeDecodeError as error:
            raise _not_utf8(path, max(0, at + error.start)) from None


def _read(handle: BinaryIO, path: Path, size: int = BLOCK) -> bytes:
    try:
        return handle.read(size)
    except OSError as error:
        message = f"{shown(path)} broke off while it was read: {error.strerror or error}"
        raise Fault("not readable", message) from None


def _not_utf8(path: Path, at: int) -> Fault:
    where = f"{shown(path)} is not UTF-8 (near byte {at:,}, encoding unknown)"
    return Fault("not UTF-8 (encoding unknown)", f"{where}; convert it with iconv -t UTF-8")


def validate(path: Path, encoding: str, limit: int | None = None) -> None:
    """Decode the file once (or its first ``limit`` bytes), so that it is taken whole or not."""
    scratch = Ledger()
    for _ in decoded(path, encoding, scratch):
        if limit is not None and scratch.bytes_read >= limit:
            return


def text_rows(path: Path, ledger: Ledger, limit: int | None = None) -> Iterator[Row]:
    """Documents of a text file, decoded as a whole or not at all, and how it was split."""
    encoding = sniff(path)
    validate(path, encoding, limit)
    blocks = decoded(path, encoding, ledger)
    head = ""
    while len(head) <= WHOLE and (block := next(blocks, None)) is not None:
        head += block
    cut = choose_cut(head)
    pieces = 0
    for line, piece in split(chain([head], blocks), cut):
        pieces += 1
        yield line, piece
    if cut:
        ledger.cut(cut.how, pieces, shown(path))


def jsonl_rows(path: Path, ledger: Ledger, limit: int | None = None) -> Iterator[Row]:
    """Records of a JSON-lines file; bad lines are counted, the first one is named."""
    bad, first = 0, ""
    for number, line in enumerate(_lines(path, sniff(path), ledger), 1):
        if not line.strip():
            continue
        if limit is not None and ledger.bytes_read > limit:
            break
        try:
            if len(line) >= LONGEST_RECORD:
                raise ValueError(f"longer than {LONGEST_RECORD >> 20} MB")
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad, first = bad + 1, first or f"{shown(path)}:{number} is {what_is_wrong(error)}"
            ledger.skip("bad JSON line", len(line))
            continue
        yield number, value
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


def _lines(path: Path, encoding: str, ledger: Ledger) -> Iterator[bytes]:
    """Lines as UTF-8; of a line that is too long only the first part comes, the rest is dropped."""
    if encoding == "utf-16":
        yield from _recoded_lines(path, encoding, ledger)
        return
    with open_bytes(path) as handle:
        if handle.read(3) != codecs.BOM_UTF8:
            handle.seek(0)
        while line := handle.readline(LONGEST_RECORD):
            ledger.bytes_read += len(line)
            yield line
            while len(line) == LONGEST_RECORD and not line.endswith(b"\n"):
                line = handle.readline(LONGEST_RECORD)
                ledger.bytes_read += len(line)
                ledger.skipped_bytes += len(line)


def _recoded_lines(path: Path, encoding: str, ledger: Ledger) -> Iterator[bytes]:
    rest = ""
    for block in decoded(path, encoding, ledger):
        *lines, rest = (rest + block).split("\n")
        for line in lines:
            yield line.encode("utf-8", "replace")
        rest = rest[:LONGEST_RECORD]
    if rest:
        yield rest.encode("utf-8", "replace")


def parquet_rows(path: Path, ledger: Ledger, columns: list[str] | None = None) -> Iterator[Row]:
    """Records of a parquet file, a batch at a time."""
    import pyarrow.parquet

    size = path.stat().st_size if path.exists() else 0
    begun, number = ledger.bytes_read, 0
    with open_bytes(path) as handle:
        if handle.read(SNIFF).startswith(b"version https://git-lfs"):
            sniff(path)
        try:
            with pyarrow.parquet.ParquetFile(handle, pre_buffer=False) as source:
                total = source.metadata.num_rows
                for batch in source.iter_batches(64, columns=columns, use_threads=False):
                    for record in batch.to_pylist():
                        number += 1
                        yield number, record
                    ledger.bytes_read = begun + size * number // max(1, total)
        except (pyarrow.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
            what = " ".join(str(error).split())[:120] or type(error).__name__
            message = f"{shown(path)} is not a readable parquet file ({what}); write it again"
            raise Fault("broken parquet", message) from None


def peek(rows: Iterator[Row], count: int) -> tuple[list[Row], Iterator[Row]]:
    """The first rows, and all rows; a fault among the first is kept for its place."""
    first: list[Row] = []
    try:
        for row in islice(rows, count):
            first.append(row)
    except Fault as fault:
        if not first:
            raise
        return first, chain(first, _raising(fault))
    return first, chain(first, rows)


def _raising(fault: Fault) -> Iterator[Row]:
    raise fault
    yield  # makes it an iterator: the fault comes when the rows before it are used up
