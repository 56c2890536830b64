"""Feed: one run's log followed from a byte offset, folded into its view."""

from __future__ import annotations

import asyncio

from cpt_tui.terminal import now
from engine.recipe.seal import answers_digest
from engine.runs import history
from engine.runs.launch import STALE_AFTER, Status, read_status
from engine.runs.run import Run
from engine.runs.view import RunView

BLOCK = history.BLOCK
"""Bytes of log taken in at once; a long history is caught up with over several beats."""
QUIET_AFTER = 60.0
"""Seconds without an event after which a living worker's quiet is told."""
BEAT_SECONDS = 0.4
"""Longest time of one beat, so that keys answer while a long history is read."""


class Feed:
    """What any number of viewers do: read, fold, say how old the data is.

    Writes nothing but the index of a long log that has none, for the next viewer.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.status: Status = Status(False, "none", "", None, None)
        self.answers_changed = False
        """Whether an answer is newer than the run's decision."""
        self._answered = (0, "")
        self.history = history.History(run.events_path)

    @property
    def view(self) -> RunView:
        return self.history.view

    @property
    def behind(self) -> int:
        """Bytes of log not read yet."""
        return self.history.behind

    async def poll(self) -> bool:
        """Read what is new; True if the view changed. Blocking reads happen in a thread."""
        before = (id(self.view), self.view.version)
        deadline = asyncio.get_running_loop().time() + BEAT_SECONDS
        while True:
            start, batch = await asyncio.to_thread(self.history.read, BLOCK)
            self.history.fold(start, batch)
            if not self.behind or start == self.history.offset:
                break
            if asyncio.get_running_loop().time() > deadline:
                break
        if not self.behind and self.history.worth_saving:
            await asyncio.to_thread(self.history.leave_index)
        self.status = await asyncio.to_thread(read_status, self.run)
        turned = self.view.see(self.status)
        decided = str(self.view.evidence("decide").get("answers", ""))
        changed = bool(decided) and await asyncio.to_thread(self._answers) != decided
        turned = turned or changed != self.answers_changed
        self.answers_changed = changed
        return turned or (id(self.view), self.view.version) != before

    def _answers(self) -> str:
        """The digest of the answers as they are now; read again where the file changed."""
        try:
            stamp = self.run.recipe_path.stat().st_mtime_ns
            if self._answered[0] != stamp:
                self._answered = (
                    stamp,
                    answers_digest(self.run.recipe_path.read_text(encoding="utf-8-sig")),
                )
        except (OSError, UnicodeDecodeError):
            return ""
        return self._answered[1]

    @property
    def age_s(self) -> float | None:
        """Seconds since the newest event; None before the first."""
        return max(0.0, now() - self.view.last_t) if self.view.last_t else None

    def liveness(self) -> str:
        """The worker's state in words, and the data's age where it says something."""
        view, status = self.view, self.status
        if view.ended and not status.alive:
            return f"ended: {view.outcome}" + (f"; {status.fault}" if status.fault else "")
        age = self.age_s or 0.0
        beats = status.age_s is not None and status.age_s <= STALE_AFTER
        if status.alive and beats and age > QUIET_AFTER and not view.paused:
            return f"{status.words}: alive, no news"
        return status.words.partition(" (")[0]
