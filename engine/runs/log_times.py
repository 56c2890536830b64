"""What the report needs of the log: held-out losses over the steps, and time spent by stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.runs import events as ev
from engine.runs.run import Run

WANTED = (b'"kind":"train.eval"', b'"kind":"stage.', b'"kind":"run.')
"""A log holds a line a step; only these are parsed."""

Points = list[tuple[float, float]]


@dataclass
class LogTimes:
    """The log of one run, folded."""

    domain: Points = field(default_factory=list)
    generic: Points = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage: time a worker spent in it, over all its attempts."""
    starts: int = 0
    """Workers that took the run."""
    _stage: str = ""
    _since: float = 0.0

    def take(self, event: ev.Event, before: float) -> None:
        """Fold one event in; ``before`` is the time of the event before it (a killed worker's
        last word)."""
        if isinstance(event, ev.RunStarted):
            self._leave(before)
            self.starts += 1
        elif isinstance(event, ev.StageStarted):
            self._leave(event.t)
            self._stage, self._since = event.stage, event.t
        elif isinstance(event, (ev.StageDone, ev.RunEnded)):
            self._leave(event.t)
        elif isinstance(event, ev.EvalPoint) and event.series == "train":
            for points, value in ((self.domain, event.domain), (self.generic, event.generic)):
                _put(points, event.step, value)

    def _leave(self, t: float) -> None:
        if self._stage and t:
            spent = max(0.0, t - self._since)
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + spent
        self._stage = ""


def _put(points: Points, step: float, value: float | None) -> None:
    """A step that comes again was trained again: the later points are of weights that are gone."""
    while points and points[-1][0] >= step:
        points.pop()
    if value is not None:
        points.append((step, value))


def history(run: Run) -> LogTimes:
    """Fold the run's log; a log that cannot be read is an empty one."""
    found, last = LogTimes(), b""
    try:
        with run.events_path.open("rb") as handle:
            for line in handle:
                if any(mark in line[:64] for mark in WANTED):
                    event, before = ev.parse(line), ev.parse(last) if last else None
                    if event is not None:
                        found.take(event, before.t if before else 0.0)
                last = line
    except (OSError, TypeError):
        pass
    return found
