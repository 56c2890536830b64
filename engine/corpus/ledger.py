"""Ledger: what was read, what was not and why; Fault: why a file cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

from engine.corpus.text import without_surrogates

NOTES = 50
BESIDE = "beside the corpus"
"""The reason for which a file is skipped that is none of the corpus's texts."""


class Row(NamedTuple):
    """One text or record of a file, in the order it stands there."""

    line: int
    """Line or record number from 1."""
    value: Any
    size: int = 0
    """Bytes it takes up in the (unpacked) file; a share of the file where rows have no place."""


class Fault(Exception):
    """A file that cannot be read: the ledger's reason, and one sentence for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(without_surrogates(message))
        self.reason = reason


@dataclass
class Ledger:
    """What was read and what was not.

    After a full reading ``bytes_text + skipped_bytes == bytes_found``. An unpacked file counts
    by its unpacked bytes, every other file by its bytes on disk.
    """

    files: int = 0
    bytes_total: int = 0
    """On disk, of the files that may hold text, known before reading; 0 for a hub data set."""
    bytes_read: int = 0
    """Of ``bytes_total``: how far the reading has come."""
    bytes_found: int = 0
    """Content met so far, files of unknown type included."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Skipped files, lines and records by reason."""
    skipped_sizes: dict[str, int] = field(default_factory=dict)
    """Skipped bytes by reason."""
    encodings: dict[str, int] = field(default_factory=dict)
    """Files of text or of lines, by the encoding they were read in."""
    mojibake_documents: int = 0
    """Documents that look wrongly decoded, whether repaired or not."""
    notes: list[str] = field(default_factory=list)
    """At most 50 lines, then one that counts the rest."""
    text_column: str | None = None
    companions: list[str] = field(default_factory=list)
    """Names of files beside the corpus that were left out."""
    separators: dict[str, int] = field(default_factory=dict)
    """Marks that stood between documents and are no part of them, with how often each did."""
    cut: bool = False
    """A reader ended at its limit: what it did not meet may stand behind that."""
    _unsaid: int = 0
    used: int = 0
    """Bytes of the rows of the item at hand that became documents."""
    _groups: dict[str, tuple[int, str, int]] = field(default_factory=dict)

    @property
    def skipped_bytes(self) -> int:
        return sum(self.skipped_sizes.values())

    @property
    def bytes_text(self) -> int:
        """Bytes of what became documents, with the line ends and marks around it."""
        return self.bytes_found - self.skipped_bytes

    def skip(self, reason: str, size: int = 0, count: int = 1) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        self.skipped_sizes[reason] = self.skipped_sizes.get(reason, 0) + size

    def joined(self, other: Ledger) -> Ledger:
        """This ledger and that of another source, as one; neither is changed."""
        both = Ledger(notes=list(self.notes), text_column=self.text_column or other.text_column)
        both.companions = [*self.companions, *other.companions]
        for name in ("files", "bytes_total", "bytes_read", "bytes_found", "mojibake_documents"):
            setattr(both, name, getattr(self, name) + getattr(other, name))
        for name in ("skipped", "skipped_sizes", "encodings", "separators"):
            counts = Counter(getattr(self, name))
            counts.update(getattr(other, name))
            setattr(both, name, dict(counts))
        for line in other.notes:
            both.note(line)
        return both

    def place(self) -> tuple[int, int, int]:
        """Where an item begins, for ``lose``."""
        self.used = 0
        return self.bytes_found, self.bytes_read, self.skipped_bytes

    def lose(self, fault: Fault, place: tuple[int, int, int], size: int, packed: bool) -> None:
        """An item broke off: all of it but what became documents or was skipped is lost.

        An unpacked item counts by what came out of it and, as packed, what did not.
        """
        found, read, skipped = place
        passed = self.used + self.skipped_bytes - skipped
        if packed and passed:
            unread = max(0, size - (self.bytes_read - read))
            size = self.bytes_found - found + unread
        self.bytes_found = found + max(size, passed)
        self.skip(fault.reason, max(0, size - passed))
        self.note(str(fault))

    def encoded(self, encoding: str, name: str) -> None:
        """One more file in this encoding; UTF-8 and files with a mark are not worth a note."""
        self.encodings[encoding] = self.encodings.get(encoding, 0) + 1
        if not encoding.startswith("utf"):
            self.group(f"read as {encoding} (detected)", name)

    def note(self, line: str) -> None:
        if len(self.notes) < NOTES:
            self.notes.append(without_surrogates(line))
            return
        self._unsaid += 1
        self.notes[NOTES:] = [f"and {self._unsaid:,} more notes"]

    def group(self, how: str, name: str, pieces: int = 0) -> None:
        """Something that may happen to many: ``note_groups`` says so, one line for each way."""
        count, first, before = self._groups.get(how, (0, name, 0))
        self._groups[how] = (count + 1, first, before + pieces)

    def note_groups(self) -> None:
        for how, (count, first, pieces) in self._groups.items():
            who = first if count == 1 else f"{first} and {count - 1:,} more"
            self.note(f"{who}: {how}" + (f", {pieces:,} documents" if pieces else ""))


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))}


def shown(path: object) -> str:
    """A file name on one line: undecodable bytes as U+FFFD, control characters as \\x1b."""
    name = str(path)
    return name if name.isprintable() else without_surrogates(name).translate(_CONTROLS)


def peek(rows: Iterator[Row], count: int) -> tuple[list[Row], Iterator[Row]]:
    """The first rows, and all rows; a fault among the first is kept for its place."""
    first: list[Row] = []
    try:
        for row in islice(rows, count):
            first.append(row)
    except Fault as fault:
        if not first:
            raise
        return first, chain(first, raising(fault))
    return first, chain(first, rows)


def raising(fault: Fault) -> Iterator[Any]:
    """Nothing, and then the fault."""
    raise fault
    yield  # makes it an iterator: the fault comes when the rows before it are used up
