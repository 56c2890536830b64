"""Corpus: files, a folder, a glob, a hub data set or the embedded sample, as cleaned documents."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from engine.corpus import hub
from engine.corpus.extent import EMBEDDED, limited, local_root
from engine.corpus.fields import Layout, text_of
from engine.corpus.files.digests import digests
from engine.corpus.files.kinds import ARCHIVE, holds_records, kind_of
from engine.corpus.files.listing import Listing, list_files
from engine.corpus.files.members import Member, members_of
from engine.corpus.ledger import Fault, Ledger, Row, peek, shown
from engine.corpus.readers.jsonl import BAD_LINE
from engine.corpus.readers.mojibake import mended
from engine.corpus.readers.registry import PEEK, layout_for, rows_of
from engine.corpus.remote.fetched import (
    FetchedText,
    Tick,
    check_remote,
    fetch,
    read_records,
)
from engine.corpus.separators import Border, record_border
from engine.corpus.text import clean
from engine.errors import InputError
from engine.recipe.sections import Source

READER_VERSION = 5
"""Part of every fingerprint; raise it when the same files would give other documents."""

CHECK_SECONDS = 0.8
CHECK_BYTES = 2 << 20
CHECK_ROWS = 5000
"""Rows of a file that a check looks at: a table of columns knows no first bytes."""
SAMPLED_FILES = 100
TURNED = ("chat", "preference")
"""Records whose marks are the form of a conversation."""
NOT_FOUND = ("no such column", "no text column")
"""Faults that more of the same file may refute."""


@dataclass(frozen=True)
class Document:
    """One cleaned text, and the ``file:line`` it came from (``archive.zip/file:line``)."""

    text: str
    origin: str
    source: int = 0
    """Which of a side's sources it is of."""


class Sample(NamedTuple):
    """First rows of one file or archive member, as they stand there."""

    name: str
    kind: str
    """text, code, page, lines, json, table, parquet, arrow, pdf, docx or hub."""
    size: int
    """Bytes on disk."""
    rows: list[Any]


class Corpus:
    """A text source, read as often as needed; ``ledger`` speaks of the last reading."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.is_hub = source.is_hub
        self.is_remote = source.is_remote
        self.is_embedded = source.path == EMBEDDED
        self.label = (
            "embedded sample (written by this project)"
            if self.is_embedded
            else (hub.hub_id(source) if self.is_hub else shown(source.path))
        )
        self.ledger = Ledger()
        self._listing: Listing | None = None

    @cached_property
    def root(self) -> Path:
        """The file, folder or glob that is read; what is elsewhere is fetched first."""
        return self.fetch().root if self.is_remote else local_root(self.source)

    def fetch(self, tick: Tick = lambda done: None) -> FetchedText:
        """What is elsewhere, on this disk; ``tick`` is told the bytes while it is fetched."""
        return fetch(self.source, tick)

    def fetch_all(self, tick: Tick = lambda done: None) -> None:
        """Fetch whatever is elsewhere, so that what follows needs no network."""
        if self.is_remote:
            self.fetch(tick)

    # what there is

    def files(self) -> list[Path]:
        """Files that may hold text, sorted; none for a hub data set."""
        return [] if self.is_hub else list(self._listed().files)

    def kinds(self) -> dict[str, int]:
        """Bytes on disk by kind (see ``Sample.kind``; ``zip`` for archives)."""
        sizes: Counter[str] = Counter()
        for path, size in {} if self.is_hub else self._listed().files.items():
            sizes[kind_of(path.name) or "text"] += size
        return dict(sizes)

    def _listed(self) -> Listing:
        if self._listing is None:
            self._listing = list_files(self.root, self.source.keep_companions)
        return self._listing

    @property
    def _explicit(self) -> bool:
        """The files were named, by path or by glob: any type is read."""
        return bool(self._listed().pattern) or not self.root.is_dir()

    @property
    def _alone(self) -> bool:
        """One file and no archive: what is wrong with it is wrong with the corpus."""
        return self.root.is_file() and kind_of(self.root.name) != ARCHIVE

    def _items(self, path: Path, size: int, ledger: Ledger) -> Iterator[Member]:
        keep = self.source.keep_companions
        return members_of(path, size, self._explicit, ledger, keep)

    def check(self) -> None:
        """Fail early, in about a second, with one sentence: is there any text to read?

        Of what is elsewhere only whether it can be fetched.
        """
        if self.is_remote:
            check_remote(self.source)
        else:
            self._check_files()

    def _check_files(self) -> None:
        files = list(self._listed().files.items())
        if not files:
            raise InputError(self._listed().why_none())
        self._open_ledger()
        if self.source.text_column:
            files.sort(key=lambda item: not holds_records(item[0].name))
        faults: list[Fault] = []
        limit = time.monotonic() + CHECK_SECONDS
        for path, size in files:
            fault = self._first_fault(path, size, limit)
            if fault is None and not holds_records(path.name):
                self._require_column(faults)
            if fault is None or (faults and time.monotonic() > limit):
                return
            faults.append(fault)
        raise InputError(self._why_unreadable(faults))

    def _require_column(self, faults: list[Fault]) -> None:
        """The named column is in no file of records, though plain text was found."""
        for fault in faults:
            if fault.reason == "no such column":
                raise InputError(str(fault))

    def _why_unreadable(self, faults: list[Fault]) -> str:
        first = next((f for f in faults if f.reason == "no such column"), faults[0])
        if len(faults) == 1 or first.reason == "no such column":
            return str(first)
        where = f"{self.label} has no readable text in its {len(faults):,} files"
        return f"{where}; the first fault: {first}"

    def _first_fault(self, path: Path, size: int, limit: float) -> Fault | None:
        """Why a file gives no text; None where one of its items does, or time is up."""
        ledger, first = Ledger(), None
        try:
            for item in self._items(path, size, ledger):
                fault = self._fault_of(item)
                if fault is None or (first and time.monotonic() > limit):
                    return None
                first = first or fault
        except Fault as fault:
            first = first or fault
        ledger.note_groups()
        why = (ledger.notes or ["it is empty"])[0]
        none = Fault("no text", f"{shown(path)} holds no file that can be read: {why}")
        return first or none

    def _fault_of(self, item: Member) -> Fault | None:
        """Why an item gives no text, by its first records; alone, it must be sound as well.

        Where only a part of it was looked at, no text in that part is no fault: the scan sees all.
        Many lines that are no JSON are one.
        """
        read, ledger = 0, Ledger()
        try:
            for _ in islice(self._texts(item, ledger, CHECK_BYTES), PEEK):
                read += 1
        except Fault as fault:
            unseen = ledger.cut and fault.reason in NOT_FOUND
            return None if unseen or (read and not self._alone) else fault
        why = (ledger.notes or [f"{item.name} holds no text"])[0]
        unseen = ledger.cut and ledger.skipped.get(BAD_LINE, 0) < PEEK
        return None if read or unseen else Fault("no text", f"{why}; give a file with text")

    # reading

    def documents(self) -> Iterator[Document]:
        """All documents, streamed and cleaned; starts the ledger anew.

        A text is taken whole or not at all. Of a file of records that is broken further on, the
        records before count; alone, such a file is an InputError.
        """
        self._open_ledger()
        return self._limited()

    def _limited(self) -> Iterator[Document]:
        yield from limited(self._stream(), self.source, self.ledger)
        self.ledger.note_groups()

    def _open_ledger(self) -> None:
        self.ledger = Ledger()
        if not self.is_hub:
            self._listed().enter(self.ledger)

    def _stream(self) -> Iterator[Document]:
        if self.is_hub:
            yield from self._hub_documents()
            return
        for path, size in self._listed().files.items():
            begun = self.ledger.bytes_read
            try:
                for item in self._items(path, size, self.ledger):
                    yield from self._item_documents(item)
            except Fault as fault:  # of the file as a whole: alone, or an archive
                if self.root.is_file():
                    raise InputError(str(fault)) from None
                self.ledger.bytes_found += size
                self.ledger.skip(fault.reason, size)
                self.ledger.note(str(fault))
            self.ledger.bytes_read = begun + size

    def _item_documents(self, item: Member) -> Iterator[Document]:
        """An item's documents; its fault is counted, unless it is all there is."""
        place = self.ledger.place()
        try:
            yield from self._texts(item, self.ledger)
        except Fault as fault:
            if self._alone:
                raise
            self.ledger.lose(fault, place, item.size, item.packed)
            return
        if not item.packed and self.ledger.bytes_found - place[0] != item.size:
            read = f"{self.ledger.bytes_found - place[0]:,} bytes of it were read"
            self.ledger.note(f"{item.name} changed while it was read; {read}")

    def _hub_documents(self) -> Iterator[Document]:
        rows = read_records(self.fetch())
        try:
            for document in self._documents(rows, self.source.path, self.ledger):
                self.ledger.bytes_read += len(document.text.encode())
                yield document
        except Fault as fault:
            raise InputError(str(fault)) from None

    def _texts(self, item: Member, ledger: Ledger, limit: int | None = None) -> Iterator[Document]:
        rows = rows_of(item, ledger, self.source, limit)
        rows = _first(rows, ledger) if limit else rows
        return self._documents(rows, item.name, ledger, holds_records(item.name))

    def _documents(
        self, rows: Iterator[Row], name: str, ledger: Ledger, records: bool = True
    ) -> Iterator[Document]:
        """Documents out of rows, once the first rows have shown which columns hold text.

        Marks between the documents of one record are borders, as they are in a text file.
        """
        name = self._named(name)
        layout, rows = self._find_layout(rows, name, ledger)
        border: Border | None = None
        if records and (layout is None or layout.kind not in TURNED):
            first, rows = peek(rows, PEEK)
            border = record_border(text_of(row.value, layout) or "" for row in first)
        for line, value, size in rows:
            text = text_of(value, layout)
            if text is None:
                ledger.skip("no text in the record", size)
                continue
            pieces = border.split(text, ledger.separators) if border else [text]
            kept = [cleaned for piece in pieces if (cleaned := clean(piece)).strip()]
            if not kept:
                ledger.skip("empty text", size)
                continue
            ledger.used += size
            origin = f"{name}:{line}"
            for cleaned in kept:
                yield Document(mended(self.source, cleaned, origin, ledger), origin)

    def _find_layout(
        self, rows: Iterator[Row], name: str, ledger: Ledger
    ) -> tuple[Layout | None, Iterator[Row]]:
        """Which columns hold text, by the first rows that have any, and the rows from there on.

        The rows before are counted as such without text. A Fault where there is none to the end.
        """
        missing: Fault | None = None
        while True:
            first, rows = peek(rows, PEEK)
            values = [row[1] for row in first]
            try:
                layout = layout_for(values, name, self.source.text_column, ledger)
            except Fault as fault:
                missing = missing or fault
                if len(first) < PEEK:
                    raise missing from None
                for row in islice(rows, len(first)):
                    ledger.skip("no text in the record", row[2])
                continue
            if missing and not first:
                raise missing
            return layout, rows

    def _named(self, name: str) -> str:
        """A file's name as it is told: that of what was fetched is its address."""
        if not self.is_remote or self.is_hub:
            return shown(name)
        root = str(self.root)
        return shown(name).replace(root, shown(self.source.path), 1)

    # looking

    def samples(self, n: int) -> list[Sample]:
        """About ``n`` first rows spread over the files, records with all their columns."""
        if self.is_hub:
            rows = read_records(self.fetch())
            return [Sample(self.label, "hub", 1, [row[1] for row in islice(rows, n)])]
        listed = list(self._listed().files.items())
        chosen = listed[:: max(1, -(-len(listed) // min(n, SAMPLED_FILES)))]
        quota = -(-n // max(1, len(chosen)))
        return [one for path, size in chosen for one in self._first_rows(path, size, quota)]

    def _first_rows(self, path: Path, size: int, quota: int) -> list[Sample]:
        found: list[Sample] = []
        ledger = Ledger()
        with contextlib.suppress(Fault):
            for item in self._items(path, size, ledger):
                rows: list[Any] = []
                with contextlib.suppress(Fault):
                    read = rows_of(item, ledger, self.source, CHECK_BYTES, all_columns=True)
                    for row in islice(read, quota):
                        rows.append(row.value)  # a loop: what came before a fault counts
                found.append(Sample(item.name, item.kind, item.size, rows))
                quota -= len(rows)
                if quota <= 0:
                    break
        return found

    def sample(self, n: int) -> list[Any]:
        """The first raw records or texts, spread over the files."""
        return [value for one in self.samples(n) for value in one.rows][:n]

    def fingerprint(self) -> str:
        """sha256 over what is read: names, contents, how it is read, and the reader's version."""
        source = self.source
        total = hashlib.sha256(f"reader {READER_VERSION}".encode())
        parts = [source.text_column or "", str(source.max_documents or ""), source.encoding or ""]
        parts += [str(source.repair_mojibake), str(source.keep_companions)]
        if self.is_hub:
            parts += [hub.hub_id(source), source.config or "", source.split]
            parts.append(self.fetch().meta.sha256)
        if source.take_tokens:
            parts.append(f"{source.take_tokens} tokens")
        files = self.files()
        root = self.root if not files else self._listed().root
        for path, digest in zip(files, digests(files), strict=True):
            name = path.relative_to(root) if path != root else Path(path.name)
            parts += [shown(name), digest]
        for part in parts:
            total.update(f"{len(part)}:{part}".encode())
        return total.hexdigest()


def _first(rows: Iterator[Row], ledger: Ledger) -> Iterator[Row]:
    """The first ``CHECK_ROWS``."""
    for number, row in enumerate(rows):
        if number == CHECK_ROWS:
            ledger.cut = True
            return
        yield row
