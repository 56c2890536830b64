"""Listing: the files of a corpus, sorted; pipes, loops and hidden files left alone."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.corpus.files.companions import companions, is_companion
from engine.corpus.files.kinds import kind_of, readable, unknown_suffix
from engine.corpus.ledger import BESIDE, NOTES, Ledger, shown

_MAGIC = re.compile(r"[*?[]")
MOST_FILES = 2_000_000
"""Files that are listed: as many as ``digests`` remembers. A glob over a whole disk ends there."""


@dataclass
class Listing:
    """Files that may hold text with their sizes, and what was left out."""

    root: Path
    """The file or folder; of a glob, the folder above its first wildcard."""
    pattern: str = ""
    """The rest of a glob; its files are taken whatever their type."""
    files: dict[Path, int] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_sizes: Counter[str] = field(default_factory=Counter)
    """Bytes by reason, of what could have been read."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Unknown suffixes."""
    keep_companions: bool = False
    """Whether files beside the corpus are read too."""
    companions: list[str] = field(default_factory=list)
    """Those that are left out, below the root."""
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    """Why the root itself cannot be read."""

    def enter(self, ledger: Ledger) -> None:
        """Start a ledger with what is known before reading."""
        ledger.files = len(self.files)
        ledger.bytes_total = sum(self.files.values())
        ledger.bytes_found = sum(self.skipped_sizes.values())
        for reason, count in self.skipped.items():
            ledger.skip(reason, self.skipped_sizes[reason], count)
        ledger.companions = list(self.companions)
        for line in self.notes:
            ledger.note(line)
        if self.unknown:
            ledger.note(f"{self.unknown.total():,} files of unknown type skipped: {self.suffixes}")

    @property
    def suffixes(self) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in self.unknown.most_common(8))

    @property
    def label(self) -> str:
        return shown(self.root / self.pattern)

    def why_none(self) -> str:
        """One sentence for a root without a file to read."""
        if self.problem:
            return self.problem
        if self.unknown:
            glob = shown(self.root / "**" / "*")
            found = f"{self.label} has no file of a known type (found {self.suffixes})"
            return f"{found}; give {readable()}, or {glob!r} to read them all as text"
        if self.skipped:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in self.skipped.items())
            return f"{self.label} has no file that can be read ({reasons}); give {readable()}"
        what = "matches no file" if self.pattern else "is an empty folder"
        return f"{self.label} {what}; give {readable()}"

    def skip(self, reason: str, path: str) -> None:
        self.skipped[reason] += 1
        if len(self.notes) <= NOTES:
            self.notes.append(f"{shown(path)} skipped: {reason}")

    def add(self, path: Path, size: int) -> None:
        """A regular file: kept if its type is known or a glob named it.

        A licence without a suffix is none of an unknown type.
        """
        beside = is_companion(path.name)
        if self.pattern or kind_of(path.name) or (beside and self.keep_companions):
            self.files[path] = size
            return
        if beside:
            self._leave(path, size)
            return
        self.unknown[shown(unknown_suffix(path.name))] += 1
        self.skipped["unknown type"] += 1
        self.skipped_sizes["unknown type"] += size

    def leave_companions(self) -> None:
        """Leave out what lies beside the corpus, unless the glob itself names such files."""
        if self.keep_companions or is_companion(_MAGIC.sub("", self.pattern)):
            return
        names = {str(path): size for path, size in self.files.items()}
        for name in companions(names):
            path = Path(name)
            self._leave(path, self.files.pop(path))
        self.companions.sort()

    def _leave(self, path: Path, size: int) -> None:
        self.skipped[BESIDE] += 1
        self.skipped_sizes[BESIDE] += size
        self.companions.append(shown(path.relative_to(self.root)))


def list_files(source: Path, keep_companions: bool = False) -> Listing:
    """Every file below a folder in the order of its name, one file itself, or a glob's files.

    What lies beside the texts is left out unless it is kept; one file itself is always read.
    """
    root, pattern = _parted(source)
    listing = Listing(root, pattern, keep_companions=keep_companions)
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
    elif stat.S_ISDIR(found.st_mode):
        _enter(root, listing)
        listing.leave_companions()
    else:
        listing.problem = f"{shown(root)} is neither a file nor a folder; give one of the two"
    return listing


def _parted(source: Path) -> tuple[Path, str]:
    """A glob as the folder to walk and the pattern below it; a path that exists is no glob."""
    if not _MAGIC.search(str(source)) or os.path.lexists(source):
        return source, ""
    parts = source.parts
    at = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    return Path(*parts[:at]), "/".join(parts[at:])


def _enter(root: Path, listing: Listing) -> None:
    """Walk the root and keep what matches."""
    pattern = tuple((listing.pattern or "**").split("/"))
    depth = None if "**" in pattern else len(pattern)
    hidden = any(segment.startswith(".") for segment in pattern)
    skip = len(root.parts)
    # As if sorted by parts: no name holds a NUL, which sorts before every other character.
    walked = list(itertools.islice(_walk(root, listing, depth, hidden), MOST_FILES + 1))
    if len(walked) > MOST_FILES:
        said = f"{listing.label} reaches more than {MOST_FILES:,} files"
        listing.problem = f"{said}; give a narrower folder or glob"
        return
    found = sorted(walked, key=lambda one: one[0].replace("/", "\0"))
    for name, size in found:
        path = Path(name)
        if not listing.pattern or _matches(path.parts[skip:], pattern):
            listing.add(path, size)


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path fits a glob: ``**`` spans any number of folders.

    All ways of fitting are followed at once, so that no number of ``**`` takes long.
    """
    if pattern[-1:] == ("**",):
        pattern = (*pattern, "*")
    live = _reached({0}, pattern)
    for part in parts:
        stay = {at for at in live if at < len(pattern) and pattern[at] == "**"}
        go = {
            at + 1
            for at in live - stay
            if at < len(pattern) and fnmatch.fnmatchcase(part, pattern[at])
        }
        live = _reached(stay | go, pattern)
    return len(pattern) in live


def _reached(places: set[int], pattern: tuple[str, ...]) -> set[int]:
    """The places in a glob, with those after a ``**`` that spans nothing."""
    found = set(places)
    for at in places:
        while at < len(pattern) and pattern[at] == "**":
            at += 1
            found.add(at)
    return found


def _why_missing(root: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{shown(root)} cannot be read: permission denied; change its mode or its owner"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{shown(root)} does not exist; give a file, a folder, a glob or hub:owner/name"
    return f"{shown(root)} cannot be read ({error.strerror}); give a file or a folder"


def _walk(
    root: Path, listing: Listing, depth: int | None, hidden: bool
) -> Iterator[tuple[str, int]]:
    """Regular files below a folder; every folder is entered once, whatever links point at it."""
    folders, seen = [(str(root), 1)], set[tuple[int, int]]()
    while folders:
        folder, level = folders.pop()
        try:
            status = Path(folder).stat()
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            listing.skip(_reason(error), folder)
            continue
        if (status.st_dev, status.st_ino) in seen:
            listing.skip("link to a folder already read", folder)
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            found = _status(entry, listing)
            if found and stat.S_ISDIR(found.st_mode):
                if depth is None or level < depth:
                    folders.append((entry.path, level + 1))
            elif found and stat.S_ISREG(found.st_mode):
                yield entry.path, found.st_size
            elif found:
                listing.skip("not a regular file", entry.path)


def _status(entry: os.DirEntry[str], listing: Listing) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError as error:
        reason = "broken link" if entry.is_symlink() else _reason(error)
        listing.skip(reason, entry.path)
        return None


def _reason(error: OSError) -> str:
    return "permission denied" if isinstance(error, PermissionError) else "not readable"
