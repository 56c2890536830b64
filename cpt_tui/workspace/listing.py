"""All runs of a home: found by one look at the folder, read only as far as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpt_tui.run_list import RunRow, run_row
from engine.files import home as runs_home
from engine.runs.run import Run

FILES = ("events.jsonl", "status.json", "recipe.toml", "label.txt")
"""What a row is read from: a run whose files have the stamps of before is not read again."""
ORDERS: dict[str, Callable[[RunRow], tuple[object, ...]]] = {
    "newest": lambda row: (-row.changed_at,),
    "name": lambda row: (row.name.lower(),),
    "state": lambda row: (not row.alive, row.word, -row.changed_at),
    "effect": lambda row: (row.effect is None, -(row.effect or 0.0), -row.changed_at),
    "model": lambda row: (row.model.lower(), row.corpus.lower(), -row.changed_at),
}
"""What the list can be ordered by."""

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class _Found:
    """A run's folder as one look at it tells."""

    name: str
    stamp: Stamp
    changed_ns: int


class RunListing:
    """The rows of all runs. ``look`` is cheap for thousands; ``read`` costs files of each."""

    def __init__(self, home: Path | None) -> None:
        self._home = home
        self._found: list[_Found] = []
        self._rows: dict[str, tuple[Stamp, RunRow]] = {}

    @property
    def folder(self) -> Path:
        return (self._home or runs_home()) / "runs"

    def look(self) -> None:
        """See which runs there are, newest first, and which of them changed."""
        folder = str(self.folder)
        try:
            names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
        except OSError:
            names = []
        found = [one for name in names if (one := _look_at(folder, name))]
        self._found = sorted(found, key=lambda one: -one.changed_ns)
        there = {one.name for one in found}
        self._rows = {name: row for name, row in self._rows.items() if name in there}

    def read(self, most: int, first: Iterable[str] = ()) -> int:
        """Read at most so many rows that are missing, changed, or of a living worker.

        Those named ``first`` before all others. Returns how many are left.
        """
        by_name = {one.name: one for one in self._found}
        wanted = [by_name[name] for name in first if name in by_name]
        wanted += [one for one in self._found if not self._holds(one)]
        for one in wanted[:most]:
            self._rows[one.name] = (one.stamp, run_row(Run(self.folder / one.name)))
        return max(0, len(wanted) - most)

    def _holds(self, one: _Found) -> bool:
        """Whether the row that is kept is what the files say."""
        kept = self._rows.get(one.name)
        return kept is not None and kept[0] == one.stamp

    def living(self) -> list[str]:
        """Runs whose worker lived when they were last read: their rows age by themselves."""
        return [name for name, (_, row) in self._rows.items() if row.alive]

    def rows(self) -> list[RunRow]:
        """Every run, newest first; one that was not read yet has no state."""
        folder = self.folder
        return [
            self._rows[one.name][1]
            if one.name in self._rows
            else RunRow(Run(folder / one.name), changed_at=one.changed_ns / 1e9)
            for one in self._found
        ]


def _look_at(folder: str, name: str) -> _Found | None:
    """A run's stamps; None for a folder that holds no run, or may not be looked into."""
    stamp: list[int] = []
    changed = 0
    for file in FILES:
        try:
            info = os.stat(f"{folder}/{name}/{file}")  # noqa: PTH116 (thousands of them)
        except OSError:
            if file == "recipe.toml":
                return None
            stamp.append(0)
            continue
        stamp += [info.st_mtime_ns, info.st_size]
        if file == "events.jsonl" or (file == "recipe.toml" and not changed):
            changed = info.st_mtime_ns
    return _Found(name, tuple(stamp), changed)


def matches(row: RunRow, words: Sequence[str]) -> bool:
    """Whether each word stands in something that the list shows of the run."""
    told = f"{row.name} {row.run.id} {row.about} {row.word} {row.stage} {row.note}".lower()
    return all(word in told for word in words)


def arranged(rows: Sequence[RunRow], query: str, order: str) -> list[RunRow]:
    """The rows that a filter leaves, in an order."""
    words = query.lower().split()
    left = [row for row in rows if matches(row, words)] if words else list(rows)
    return left if order == "newest" else sorted(left, key=ORDERS[order])
