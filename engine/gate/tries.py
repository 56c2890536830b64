"""Tries against one gold set, counted across runs: who asks often enough hears what he hopes.

``home()/tries/GOLD.jsonl``, one append-only private file for each gold set, named by the hash of
its items. A try is one registration of the gate with one training (corpus, packing, base,
recipe): the same two again, resumed or replayed, are the same try. Kinds of lines, in order:

- ``registered``: before training. Kept as a record; alone it is not counted.
- ``scoring``: the CPT arm is about to be scored. From here on somebody may have looked, so the
  try counts, with p = 1 until there is one.
- ``judged``: its p value and estimate; the newest line of a try holds.

The rule: a verdict is Holm's over this try and all others counted when it is judged
(``engine.gate.judge``). At any time, at most alpha of all families of tries without an effect
hold a verdict that is significant by the present count. An older verdict was given by a
smaller count: judge again (``cpt gate RUN``) to have it by today's. Someone who stops at the
first EARNED has looked at each count on the way, and errs more often than alpha, though far
less than uncorrected (``tests/benchmarks/error_rates.py``); a fresh gold set starts afresh.

Limits: this counts what ran under one home on one machine. ``[gate] earlier_tries`` adds those
made elsewhere. A gold set with an item changed is another one here.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.files import digest, home, private_dir

UNKNOWN = 1.0
"""The p of a try whose p is not known: it takes its share of alpha and gives nothing back."""


class TryLine(BaseModel):
    """One line of the file; fields that a later version adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["registered", "scoring", "judged"]
    run: str
    registration: str
    """sha256 of the registration."""
    training: dict[str, str]
    """What was trained, by part: digests."""
    t: float = 0.0
    """Seconds since the epoch."""
    p: float | None = Field(None, ge=0, le=1)
    estimate: float | None = Field(None, ge=-100, le=100)
    outcome: str = ""
    seed_variance: float | None = Field(None, ge=0)
    """Of the CPT arm's scores over its seeds, points squared."""

    @property
    def key(self) -> str:
        """The identity of the try."""
        return digest([self.registration, self.training])

    @property
    def said(self) -> dict[str, Any]:
        """What makes a line worth writing: all but when and in which run."""
        return self.model_dump(exclude={"t", "run"})


@dataclass(frozen=True)
class Count:
    """What the file says beside one try."""

    others: list[float]
    """p of the other tries that were scored; 1 where it is not known."""
    problem: str = ""
    """What is wrong with the file, in a clause; empty if nothing is."""
    seed_variance: float | None = None
    """Mean over the other tries of the CPT arm's variance over its seeds, points squared."""


@dataclass(frozen=True)
class Try:
    """One run's try against one gold set."""

    gold: str
    """Hash of the gold set's items: ``engine.gold.identity``."""
    run: str
    registration: str
    training: dict[str, str]

    @property
    def path(self) -> Path:
        return home() / "tries" / f"{self.gold}.jsonl"

    @property
    def key(self) -> str:
        return self._line("registered").key

    @property
    def known(self) -> bool:
        """Whether the file has, or may have, a line of this try."""
        try:
            with _locked(self.path, fcntl.LOCK_SH) as file:
                lines, broken = _parse(file.read())
        except OSError:
            return False
        return bool(broken) or any(line.key == self.key for line in lines)

    def note(self, kind: Literal["registered", "scoring", "judged"], **found: Any) -> str:
        """Append a line, unless the try has it already; returns what went wrong, or ''.

        ``found`` are ``p``, ``estimate``, ``outcome`` and ``seed_variance``. A count that cannot
        be kept must not end a run.
        """
        line = self._line(kind, **found)
        try:
            private_dir(self.path.parent)
            with _locked(self.path, fcntl.LOCK_EX) as file:
                text = file.read()
                mine = [old for old in _parse(text)[0] if (old.key, old.kind) == (self.key, kind)]
                if mine and mine[-1].said == line.said:
                    return ""
                torn = b"\n" if text and not text.endswith(b"\n") else b""
                file.write(torn + line.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            return f"{self.path} cannot be written ({error.strerror or error})"
        return ""

    def count(self) -> Count:
        """The other tries that count. Unreadable lines count together as one of unknown p."""
        try:
            with _locked(self.path, fcntl.LOCK_SH) as file:
                lines, broken = _parse(file.read())
        except OSError as error:
            return Count([], f"{self.path} cannot be read ({error.strerror or error})")
        found: dict[str, float] = {}
        for line in lines:
            if line.kind != "registered" and line.key != self.key:
                before = found.get(line.key, UNKNOWN)
                found[line.key] = before if line.p is None else line.p
        others = [*found.values(), *([UNKNOWN] if broken else [])]
        spread = self._seed_variance(lines)
        if broken:
            return Count(others, f"{self.path} has {broken} unreadable lines", spread)
        if not any(line.key == self.key for line in lines):
            emptied = f"{self.path} was emptied or replaced since the training began"
            return Count(others, emptied, spread)
        return Count(others, seed_variance=spread)

    def _seed_variance(self, lines: list[TryLine]) -> float | None:
        known = {
            line.key: line.seed_variance
            for line in lines
            if line.seed_variance is not None and line.key != self.key
        }
        return sum(known.values()) / len(known) if known else None

    def _line(self, kind: Literal["registered", "scoring", "judged"], **found: Any) -> TryLine:
        return TryLine(
            kind=kind,
            run=self.run,
            registration=self.registration,
            training=self.training,
            t=time.time(),
            **found,
        )


@contextmanager
def _locked(path: Path, how: int) -> Iterator[IO[bytes]]:
    """The file under a lock that the kernel frees when its holder dies; made for a writer."""
    writing = how == fcntl.LOCK_EX
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if writing else os.O_RDONLY
    with os.fdopen(os.open(path, flags, 0o600), "a+b" if writing else "rb") as file:
        fcntl.flock(file, how)
        file.seek(0)
        yield file


def _parse(text: bytes) -> tuple[list[TryLine], int]:
    """(lines, number of unreadable ones)."""
    lines, broken = [], 0
    for row in text.split(b"\n"):
        if not row.strip():
            continue
        try:
            lines.append(TryLine.model_validate_json(row))
        except ValidationError:
            broken += 1
    return lines, broken
