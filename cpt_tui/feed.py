"""Feed: one run's log followed from a byte offset, folded into its view."""

from __future__ import annotations

import asyncio
import contextlib

from cpt_tui.terminal import now
from engine.events import Event, Tail
from engine.launch import STALE_AFTER, Status, read_status
from engine.run import Run
from engine.view import RunView

BLOCK = 1 << 20
"""Bytes of log taken in at once; a long history is caught up with over several beats."""
QUIET_AFTER = 60.0
"""Seconds without an event after which a living worker's quiet is told."""
BEAT_SECONDS = 0.4
"""Longest time of one beat, so that keys answer while a long history is read."""


class Feed:
    """What any number of viewers do: read, fold, say how old the data is. Never writes."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.view = RunView()
        self.status: Status = Status(False, "none", "", None, None)
        self.behind = 0
        """Bytes of log not read yet."""
        self._tail = Tail(run.events_path)

    async def poll(self) -> bool:
        """Read what is new; True if the view changed. Blocking reads happen in a thread."""
        before = self.view.version
        deadline = asyncio.get_running_loop().time() + BEAT_SECONDS
        while True:
            batch = await asyncio.to_thread(self._read)
            self.view.apply_all(batch)
            if not batch or not self.behind or asyncio.get_running_loop().time() > deadline:
                break
        self.status = await asyncio.to_thread(read_status, self.run)
        return self.view.version != before

    def poll_now(self) -> None:
        """Read everything there is, at once; for short logs."""
        while batch := self._read():
            self.view.apply_all(batch)
        self.status = read_status(self.run)

    def _read(self) -> list[Event]:
        batch = self._tail.read(BLOCK)
        with contextlib.suppress(OSError):
            self.behind = max(0, self.run.events_path.stat().st_size - self._tail.offset)
        return batch

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest event; None before the first."""
        return max(0.0, now() - self.view.last_t) if self.view.last_t else None

    def liveness(self) -> str:
        """The worker's state in words, and the data's age where it says something."""
        view, status = self.view, self.status
        if view.ended and not status.alive:
            return f"ended: {view.outcome}"
        age = self.age_s or 0.0
        beats = status.age_s is not None and status.age_s <= STALE_AFTER
        if status.alive and beats and age > QUIET_AFTER and not view.paused:
            return f"{status.words}: alive, no news"
        return status.words.partition(" (")[0]
