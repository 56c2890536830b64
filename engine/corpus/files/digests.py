"""Digests: the sha256 of files, remembered, so that unchanged files are not read again.

Remembered in ``home()/cache/digests.sqlite3`` by path, size, times, inode and device. A file
changed in the last seconds is not remembered: it could change again within the clock's grain.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.corpus.files.streams import open_bytes
from engine.corpus.ledger import Fault
from engine.files import cache_folder, home, private_dir

RACY = 2_000_000_000
"""Nanoseconds: a file younger than this is hashed every time."""

KEPT = 2_000_000
"""Files remembered at most; the oldest half goes."""

PATIENCE = 2.0
"""Seconds to wait for another process that writes."""

_TABLE = """CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT NOT NULL)"""

UNREADABLE = "unreadable"


def digests(paths: Sequence[Path]) -> list[str]:
    """The hex sha256 of each file, or ``unreadable``; from memory where nothing changed."""
    with _memory() as memory:
        found: list[str] = []
        fresh: list[tuple[bytes, str, str]] = []
        for path in paths:
            key, state = os.fsencode(path.absolute()), _state(path)
            digest = memory.get(key, state) if state else None
            if digest is None:
                digest = _hash(path)
                if digest != UNREADABLE and state and state == _state(path):
                    fresh.append((key, state, digest))
            found.append(digest)
        memory.add(fresh)
    return found


def _hash(path: Path) -> str:
    try:
        with open_bytes(path) as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]
    except (Fault, OSError):
        return UNREADABLE


def _state(path: Path) -> str:
    """What changes when the content does; empty if it cannot be relied on."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ""
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < RACY:
        return ""
    parts = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
    return " ".join(map(str, parts))


class _Memory:
    """The table, or nothing where it cannot be had: it only saves time."""

    def __init__(self, table: sqlite3.Connection | None) -> None:
        self._table = table

    def get(self, key: bytes, state: str) -> str | None:
        if self._table is None:
            return None
        query = "SELECT sha256 FROM digests WHERE path = ? AND state = ?"
        try:
            row = self._table.execute(query, (key, state)).fetchone()
        except sqlite3.Error:
            self._table = None
            return None
        return str(row[0]) if row and len(str(row[0])) == 64 else None

    def add(self, rows: list[tuple[bytes, str, str]]) -> None:
        if self._table is None or not rows:
            return
        with contextlib.suppress(sqlite3.Error), self._table:
            self._table.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", rows)
            (count,) = self._table.execute("SELECT count(*) FROM digests").fetchone()
            if count > KEPT:
                query = "DELETE FROM digests WHERE rowid IN ("
                query += "SELECT rowid FROM digests ORDER BY rowid LIMIT ?)"
                self._table.execute(query, (KEPT // 2,))


@contextlib.contextmanager
def _memory() -> Iterator[_Memory]:
    """The memory, opened; a broken file is begun anew."""
    path = cache_folder() / "digests.sqlite3"
    try:
        table = _opened(path)
    except sqlite3.DatabaseError:  # not a database, or a damaged one
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        table = None
    try:
        yield _Memory(table)
    finally:
        if table is not None:
            table.close()


def _opened(path: Path) -> sqlite3.Connection | None:
    """The table; None where it is locked or has no place. DatabaseError where it is broken."""
    try:
        private_dir(home())
        private_dir(path.parent)
        table = sqlite3.connect(path, timeout=PATIENCE)
    except (OSError, sqlite3.Error):
        return None
    try:
        path.chmod(0o600)
        table.execute(_TABLE)
        table.execute("SELECT path, state, sha256 FROM digests LIMIT 1").fetchone()
    except (sqlite3.OperationalError, OSError):
        table.close()
        return None
    except sqlite3.DatabaseError:
        table.close()
        raise
    return table
