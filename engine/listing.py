"""Listing: the files of a corpus folder, sorted; pipes, loops and hidden files left alone."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.readers import KNOWN, Ledger, shown


@dataclass
class Listing:
    """Files that may hold text with their sizes, and what was left out."""

    files: dict[Path, int] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_bytes: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    """Unknown suffixes."""
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    """Why the root itself cannot be read."""

    def enter(self, ledger: Ledger) -> None:
        """Start a ledger with what is known before reading."""
        ledger.files = len(self.files)
        ledger.bytes_total = sum(self.files.values())
        for reason, count in self.skipped.items():
            ledger.skip(reason, count=count)
        ledger.skipped_bytes = self.skipped_bytes
        for line in self.notes:
            ledger.note(line)
        if self.unknown:
            ledger.note(f"{self.unknown.total():,} files of unknown type skipped: {self.suffixes}")

    @property
    def suffixes(self) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in self.unknown.most_common(8))

    def why_none(self, root: Path) -> str:
        """One sentence for a root without a file to read."""
        if self.problem:
            return self.problem
        wanted = f"give a folder with {', '.join(KNOWN)}"
        if self.unknown:
            return f"{shown(root)} has no file of a known type (found {self.suffixes}); {wanted}"
        if self.skipped:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in self.skipped.items())
            return f"{shown(root)} has no file that can be read ({reasons}); {wanted}"
        return f"{shown(root)} is an empty folder; {wanted}"

    def skip(self, reason: str, path: Path | None = None) -> None:
        self.skipped[reason] += 1
        if path is not None:
            self.notes.append(f"{shown(path)} skipped: {reason}")

    def add(self, path: Path, found: os.stat_result) -> None:
        """A regular file: kept if its type is known."""
        suffix = path.suffix.lower()
        if suffix in KNOWN:
            self.files[path] = found.st_size
            return
        self.unknown[shown(suffix) or "no suffix"] += 1
        self.skipped["unknown type"] += 1
        self.skipped_bytes += found.st_size


def list_files(root: Path) -> Listing:
    """Every file below ``root`` in the order of its name, or ``root`` itself."""
    listing = Listing()
    try:
        found = root.stat()
    except ValueError:
        listing.problem = f"{shown(root)!r} is not a file name; give a file or a folder"
        return listing
    except OSError as error:
        listing.problem = _why_missing(root, error)
        return listing
    if stat.S_ISREG(found.st_mode):
        listing.files[root] = found.st_size
        return listing
    if not stat.S_ISDIR(found.st_mode):
        listing.problem = f"{shown(root)} is neither a file nor a folder; give one of the two"
        return listing
    entries = sorted(_walk(root, listing), key=lambda item: item[0].parts)
    for path, status in entries:
        listing.add(path, status)
    return listing


def _why_missing(root: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{shown(root)} cannot be read: permission denied; change its mode or its owner"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{shown(root)} does not exist; give a file, a folder or hub:owner/name"
    return f"{shown(root)} cannot be read ({error.strerror}); give a file or a folder"


def _walk(root: Path, listing: Listing) -> Iterator[tuple[Path, os.stat_result]]:
    """Regular files below a folder; every folder is entered once, whatever links point at it."""
    folders, seen = [root], set[tuple[int, int]]()
    while folders:
        folder = folders.pop()
        try:
            status = folder.stat()
            names = sorted(entry.name for entry in os.scandir(folder))
        except OSError as error:
            listing.skip(_reason(error), folder)
            continue
        if (status.st_dev, status.st_ino) in seen:
            listing.skip("link to a folder already read", folder)
            continue
        seen.add((status.st_dev, status.st_ino))
        for path in (folder / name for name in names if not name.startswith(".")):
            found = _status(path, listing)
            if found and stat.S_ISDIR(found.st_mode):
                folders.append(path)
            elif found and stat.S_ISREG(found.st_mode):
                yield path, found
            elif found:
                listing.skip("not a regular file", path)


def _status(path: Path, listing: Listing) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError as error:
        listing.skip("broken link" if path.is_symlink() else _reason(error), path)
        return None


def _reason(error: OSError) -> str:
    return "permission denied" if isinstance(error, PermissionError) else "not readable"
