"""Corpus: a file, a folder, a hub data set or the embedded sample, as cleaned documents."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engine import hub
from engine.errors import InputError
from engine.json_reader import json_rows
from engine.listing import Listing, list_files
from engine.readers import (
    LINES,
    Fault,
    Ledger,
    Row,
    jsonl_rows,
    open_bytes,
    parquet_rows,
    peek,
    shown,
    text_rows,
)
from engine.recipe import Source
from engine.shape import Layout, detect_shape, layout_of, text_of
from engine.text import clean, content_hash

__all__ = ["Corpus", "Document", "Ledger", "clean", "content_hash", "detect_shape"]

READER_VERSION = 1
"""Part of every fingerprint; raise it when the same files would give other documents."""

EMBEDDED = "embedded"
PEEK = 50
"""Records looked at to find the text column of a file."""

CHECK_SECONDS = 0.8
CHECK_BYTES = 2 << 20
SAMPLED_FILES = 100


@dataclass(frozen=True)
class Document:
    """One cleaned text, and the ``file:line`` it came from."""

    text: str
    origin: str


class Corpus:
    """A text source, read as often as needed; ``ledger`` speaks of the last reading."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.is_hub = source.path.startswith(hub.PREFIX)
        self.is_embedded = source.path == EMBEDDED
        self.root = _embedded() if self.is_embedded else _expanded(source.path)
        self.label = (
            "embedded sample (written by this project)"
            if self.is_embedded
            else (hub.hub_id(source) if self.is_hub else shown(source.path))
        )
        self.ledger = Ledger()
        self._listing: Listing | None = None
        self._commit: str | None = None

    # what there is

    def files(self) -> list[Path]:
        """Files that may hold text, sorted; none for a hub data set."""
        return [] if self.is_hub else list(self._listed().files)

    def _listed(self) -> Listing:
        if self._listing is None:
            self._listing = list_files(self.root)
        return self._listing

    @property
    def _alone(self) -> bool:
        return not self.is_hub and not self.root.is_dir()

    def check(self) -> None:
        """Fail early, in under a second, with one sentence: is there any text to read?"""
        if self.is_hub:
            self._hub_commit()
        else:
            self._check_files()

    def _check_files(self) -> None:
        files = self.files()
        if not files:
            raise InputError(self._listed().why_none(self.root))
        self._open_ledger()
        if self.source.text_column:
            files = sorted(files, key=lambda path: path.suffix.lower() not in (*LINES, ".parquet"))
        faults: list[Fault] = []
        limit = time.monotonic() + CHECK_SECONDS
        for path in files:
            fault = self._first_fault(path)
            if fault is None or (faults and time.monotonic() > limit):
                self._require_column(faults)
                return
            faults.append(fault)
        raise InputError(self._why_unreadable(faults))

    def _require_column(self, faults: list[Fault]) -> None:
        """The named column is in no record file looked at, though plain text was found."""
        for fault in faults:
            if fault.reason == "no such column":
                raise InputError(str(fault))

    def _why_unreadable(self, faults: list[Fault]) -> str:
        first = next((f for f in faults if f.reason == "no such column"), faults[0])
        if len(faults) == 1 or first.reason == "no such column":
            return str(first)
        where = f"{self.label} has no readable text in its {len(faults):,} files"
        return f"{where}; the first fault: {first}"

    def _first_fault(self, path: Path) -> Fault | None:
        """Why the file gives no text, by its first records; alone, it must be sound as well."""
        read, ledger = 0, Ledger()
        try:
            for _ in islice(self._texts(path, ledger, limit=CHECK_BYTES), PEEK):
                read += 1
        except Fault as fault:
            return None if read and not self._alone else fault
        why = (ledger.notes or [f"{shown(path)} holds no text"])[0]
        return None if read else Fault("no text", f"{why}; give a file with text")

    def _hub_commit(self) -> str:
        if self._commit is None:
            self._commit = hub.revision(self.source)
        return self._commit

    # reading

    def documents(self) -> Iterator[Document]:
        """All documents, streamed and cleaned; starts the ledger anew."""
        self._open_ledger()
        return self._limited()

    def _limited(self) -> Iterator[Document]:
        limit = self.source.max_documents
        for number, document in enumerate(self._stream(), 1):
            yield document
            if number == limit:
                self.ledger.note(f"no more than {limit:,} documents read (max_documents)")
                break
        self.ledger.note_cuts()

    def _open_ledger(self) -> None:
        self.ledger = Ledger()
        if not self.is_hub:
            self._listed().enter(self.ledger)

    def _stream(self) -> Iterator[Document]:
        if self.is_hub:
            yield from self._hub_documents()
            return
        for path, size in self._listed().files.items():
            begun, skipped = self.ledger.bytes_read, self.ledger.skipped_bytes
            try:
                yield from self._texts(path, self.ledger)
            except Fault as fault:
                if self._alone:
                    raise InputError(str(fault)) from None
                read = self.ledger.bytes_read - begun
                lost = size if fault.reason != "malformed JSON" else max(0, size - read)
                self.ledger.skipped_bytes = skipped
                self.ledger.skip(fault.reason, lost)
                self.ledger.note(str(fault))
            self.ledger.bytes_read = begun + size

    def _hub_documents(self) -> Iterator[Document]:
        rows = hub.hub_rows(self.source, self._hub_commit())
        try:
            for document in self._documents(rows, self.source.path, self.ledger):
                self.ledger.bytes_read += len(document.text.encode())
                yield document
        except Fault as fault:
            raise InputError(str(fault)) from None

    def _texts(self, path: Path, ledger: Ledger, limit: int | None = None) -> Iterator[Document]:
        return self._documents(self._rows(path, ledger, limit), path, ledger)

    def _rows(self, path: Path, ledger: Ledger, limit: int | None = None) -> Iterator[Row]:
        """Rows of a file by its type; a file of unknown type is text if it decodes."""
        suffix = path.suffix.lower()
        if suffix in LINES:
            return jsonl_rows(path, ledger, limit)
        if suffix == ".json":
            return json_rows(path, ledger)
        if suffix == ".parquet":
            return self._parquet(path, ledger)
        return text_rows(path, ledger, limit)

    def _parquet(self, path: Path, ledger: Ledger) -> Iterator[Row]:
        """Only the columns that hold text are read."""
        first = [record for _, record in islice(parquet_rows(path, Ledger()), PEEK)]
        layout = layout_of(first, self.source.text_column) if first else None
        return parquet_rows(path, ledger, list(layout.columns) if layout else None)

    def _documents(
        self, rows: Iterator[Row], where: Path | str, ledger: Ledger
    ) -> Iterator[Document]:
        """Documents out of rows, once the first rows have shown which columns hold text."""
        name = shown(where)
        first, rows = peek(rows, PEEK)
        layout = self._layout([value for _, value in first], name, ledger)
        for line, value in rows:
            text = text_of(value, layout)
            if text is None:
                ledger.skip("no text in the record")
            elif (cleaned := clean(text)).strip():
                yield Document(cleaned, f"{name}:{line}")
            else:
                ledger.skip("empty text")

    def _layout(self, values: list[Any], name: str, ledger: Ledger) -> Layout | None:
        """The layout of the file's records; a file of records without text is a fault."""
        records = [value for value in values if isinstance(value, dict)]
        if not records:
            return None
        column = self.source.text_column
        layout = layout_of(records, column)
        if layout:
            ledger.text_column = ledger.text_column or layout.name
            return layout
        if len(records) < len(values):
            return None
        columns = ", ".join(dict.fromkeys(str(key) for record in records for key in record))[:200]
        if column is not None:
            message = f'{name} has no column "{column}"; its columns are {columns or "none"}'
            raise Fault("no such column", message)
        message = f"{name} has no column of text (columns: {columns or 'none'})"
        raise Fault("no text column", f"{message}; name one with text_column")

    # looking

    def sample_files(self, n: int) -> list[tuple[int, list[Any]]]:
        """About ``n`` first rows spread over the files: each file's size and rows."""
        if self.is_hub:
            rows = hub.hub_rows(self.source, self._hub_commit())
            return [(1, [value for _, value in islice(rows, n)])]
        listed = list(self._listed().files.items())
        chosen = listed[:: max(1, -(-len(listed) // min(n, SAMPLED_FILES)))]
        quota = -(-n // max(1, len(chosen)))
        return [(size, self._first_rows(path, quota)) for path, size in chosen]

    def _first_rows(self, path: Path, quota: int) -> list[Any]:
        rows: list[Any] = []
        with contextlib.suppress(Fault):
            for _, value in islice(self._rows(path, Ledger(), CHECK_BYTES), quota):
                rows.append(value)  # a loop, since what came before a fault counts
        return rows

    def sample(self, n: int) -> list[Any]:
        """The first raw records or texts, spread over the files."""
        return [value for _, rows in self.sample_files(n) for value in rows][:n]

    def fingerprint(self) -> str:
        """sha256 over what is read: names, contents, text column, limit, reader version."""
        total = hashlib.sha256(f"reader {READER_VERSION}".encode())
        parts = [self.source.text_column or "", str(self.source.max_documents or "")]
        if self.is_hub:
            parts += [hub.hub_id(self.source), self.source.config or "", self.source.split]
            parts.append(self._hub_commit())
        for path in self.files():
            name = path.relative_to(self.root) if path != self.root else Path(path.name)
            parts += [shown(name), _digest(path)]
        for part in parts:
            total.update(f"{len(part)}:{part}".encode())
        return total.hexdigest()


def _embedded() -> Path:
    return Path(str(importlib.resources.files("engine"))) / "data" / "generic_sample.jsonl"


def _expanded(path: str) -> Path:
    with contextlib.suppress(RuntimeError):  # no such user: taken literally
        return Path(path).expanduser()
    return Path(path)


def _digest(path: Path) -> str:
    try:
        open_bytes(path).close()  # never a pipe
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except (Fault, OSError):
        return "unreadable"
