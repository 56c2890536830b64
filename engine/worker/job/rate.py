"""How fast work goes now: a rate over a recent window, for every rate and every time left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0
"""The shortest window: shorter ones make the time left jump with every slow step."""
WINDOW_SHARE = 0.25
"""Of the time so far, where that is longer: evaluations then count with the steps between them."""
MARKS = 256
"""Marks kept in a window, whatever the number of steps in it."""


@dataclass
class RecentRate:
    """Units of work a second over a recent window of a clock that stands still in a pause.

    A mean since the beginning counts a pause, a warm-up or a machine that was shared an hour
    ago as if they went on; this forgets them.
    """

    clock: Callable[[], float]
    """Seconds while the run works, as ``Context.clock`` has them."""
    _marks: deque[tuple[float, float]] = field(default_factory=deque)
    """(time, work done by then), oldest first; the last one is always the newest."""
    _began: float = 0.0

    def add(self, done: float) -> None:
        """Note how much is done by now. Work that went back (a resume) begins a new window."""
        now = self.clock()
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()
        if not self._marks:
            self._began = now
        window = max(WINDOW_SECONDS, WINDOW_SHARE * (now - self._began))
        if len(self._marks) > 1 and now - self._marks[-2][0] < window / MARKS:
            self._marks.pop()
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] >= window:
            self._marks.popleft()

    @property
    def per_second(self) -> float | None:
        """The rate; None before two marks, and where nothing was done between them."""
        if len(self._marks) < 2:
            return None
        (first, before), (last, done) = self._marks[0], self._marks[-1]
        return (done - before) / (last - first) if last > first and done > before else None

    def seconds_left(self, total: float) -> float | None:
        """Seconds to ``total`` at this rate; None where it is not known."""
        if not total or not self._marks:
            return None
        todo, rate = max(0.0, total - self._marks[-1][1]), self.per_second
        if not todo:
            return 0.0
        return None if rate is None else todo / rate
