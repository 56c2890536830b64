"""A run's log as it grows, folded into a view: from its index on, where there is one that holds.

A viewer of a long run loads the index and reads only the rest. The worker keeps the index up
to date while it writes the log; a log without one (an older cpt, a copy) is read once, from
the beginning and in blocks, and the viewer that did so leaves an index for the next.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.runs import index
from engine.runs.event_log import EventLog
from engine.runs.events import EvalPoint, Event, Tail, TrainStep
from engine.runs.view import Curve, RunView

BLOCK = 256 << 10
"""Bytes of log taken in at once, and the least between two landmarks of a series."""
SAVE_EVERY = 1 << 20
"""Bytes of log after which its index is written again: what a viewer has to read at most."""
WINDOW_BYTES = 8 << 20
"""Most bytes of log read for a closer look at a part of a curve: about 30,000 steps."""
LANDMARKS = 4096
"""Most landmarks of a series; every other one goes when there are more."""


@dataclass
class History:
    """One log, followed from wherever its index ends. Opens nothing until the first ``read``."""

    log: Path
    view: RunView = field(default_factory=RunView)
    landmarks: index.Landmarks = field(default_factory=dict)
    behind: int = 0
    """Bytes of log not read yet, as of the last ``read``."""
    saved: int = 0
    """Where the index on disk ends; 0 where there is none that holds."""
    _tail: Tail | None = None
    _held: bool = False
    """Whether the index on disk was found to hold."""

    @property
    def offset(self) -> int:
        """Bytes of log read so far."""
        return self._tail.offset if self._tail else 0

    def open(self) -> None:
        """Start from the index, if there is one that holds; else from the log's beginning."""
        kept = index.load(self.log)
        self._held = kept is not None
        if kept is not None:
            self.view, self.landmarks, self.saved = kept.view, kept.landmarks, kept.offset
        self._tail = Tail(self.log, self.saved)

    def read(self, limit: int = BLOCK) -> tuple[int, list[Event]]:
        """The next events of at most ``limit`` bytes, not folded, and the offset they begin at."""
        if self._tail is None:
            self.open()
            assert self._tail is not None
        start, batch = self._tail.offset, self._tail.read(limit)
        with contextlib.suppress(OSError):
            self.behind = max(0, self.log.stat().st_size - self._tail.offset)
        return start, batch

    def fold(self, start: int, batch: Sequence[Event]) -> None:
        """Take a batch into the view, and note where its steps stand in the log."""
        self.view.apply_all(batch)
        for name, curve in self.view.curves.items():
            marks = self.landmarks.setdefault(name, [])
            if curve.rewound is not None:
                back, curve.rewound = curve.rewound, None
                marks[:] = [mark for mark in marks if mark[1] < back]
            elif step := _first_step(batch, name):
                _note(marks, start, step)

    def catch_up(self) -> RunView:
        """Read all there is now; returns the view."""
        before = -1
        while self.offset > before:
            before = self.offset
            self.fold(*self.read())
        return self.view

    @property
    def worth_saving(self) -> bool:
        """Whether the index on disk is far enough behind what was read."""
        return self.offset - self.saved >= SAVE_EVERY

    def save(self) -> None:
        """Write the index; a directory that cannot be written to goes without."""
        with contextlib.suppress(OSError, ValueError):
            index.save(self.log, index.Snapshot(self.view, self.landmarks, self.offset))
        self.saved = self.offset

    def leave_index(self) -> None:
        """For viewers: write the index, unless the worker or another viewer keeps it."""
        if self._held:
            self.saved = max(self.saved, index.reach(self.log))
        if not self._held or self.offset - self.saved >= 2 * SAVE_EVERY:
            self.save()
            self._held = True

    def window(self, name: str, first: float, last: float) -> Curve | None:
        """Every step of a series from ``first`` to ``last`` and a little around them.

        None where that is more of the log than ``WINDOW_BYTES``: the view's own curve, which
        keeps the extremes, is then as good.
        """
        marks = self.landmarks.get(name) or []
        steps = [step for _, step in marks]
        at, after = bisect_right(steps, first), bisect_right(steps, last)
        start = marks[at - 1][0] if at else 0
        end = marks[after][0] if after < len(marks) else self.offset
        if end - start > WINDOW_BYTES:
            return None
        curve, tail, before = Curve(), Tail(self.log, start), -1
        while before < tail.offset < end:
            before = tail.offset
            for event in tail.read(min(BLOCK, end - tail.offset)):
                _take(curve, event, name)
        return curve


def _first_step(batch: Sequence[Event], name: str) -> int | None:
    for event in batch:
        if isinstance(event, TrainStep) and event.series == name:
            return event.step
    return None


def _note(marks: list[tuple[int, int]], start: int, step: int) -> None:
    """One more landmark, if it is far enough from the one before."""
    if marks and (start - marks[-1][0] < BLOCK or step <= marks[-1][1]):
        return
    marks.append((start, step))
    if len(marks) > LANDMARKS:
        del marks[1::2]


def _take(curve: Curve, event: Event, name: str) -> None:
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(event, TrainStep) and event.series == name:
            curve.add_step(event)
        elif isinstance(event, EvalPoint) and event.series == name:
            curve.add_eval(event)


class IndexedLog(EventLog):
    """The worker's log: keeps the index beside it up to date by reading its own lines back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._history: History | None = History(path)

    def append(self, event: Event) -> None:
        """As ``EventLog.append``; every ``BLOCK`` bytes one more block is taken into the index.

        Whatever goes wrong with an index, training must go on: it is then left as it is.
        """
        super().append(event)
        try:
            self._advance()
        except Exception:
            self._history = None

    def _advance(self) -> None:
        history = self._history
        if history is None or os.fstat(self._fd).st_size - history.offset < BLOCK:
            return
        history.fold(*history.read())
        if history.worth_saving:
            history.save()
