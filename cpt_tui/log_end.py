"""What the end of a run's log says, read from its last lines and no more than they need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.files import open_regular
from engine.runs import events as ev

TAIL_BYTES = 64 << 10
JUDGED = ("EARNED", "TIE", "HURT")
"""Outcomes whose size the gate's evidence tells."""
STEPPING = ("train", "base")
"""Stages whose steps are a series of the same name."""


@dataclass
class LogEnd:
    """The newest of each thing, filled from the last line backwards."""

    outcome: str = ""
    stage: str = ""
    ended: bool | None = None
    """None as long as nothing was read that tells."""
    t: float = 0.0
    guard: str = ""
    broken: int = 0
    """Lines that are not as they were written."""
    share: float | None = None
    """How far the stage is, in [0, 1]; None where it does not say."""
    seconds_left: float | None = None
    effect: float | None = None
    """Points, CPT minus base; None before a verdict of the gate."""
    message: str = ""
    """Its last word: why it failed, or the verdict in a sentence."""
    told: bool = False
    """Whether the newest stage has told how far it is, or begins later than that."""

    @property
    def complete(self) -> bool:
        """Whether earlier lines have nothing to add."""
        if not self.stage or self.ended is None:
            return False
        return self.effect is not None or self.outcome not in JUDGED if self.ended else self.told

    def take(self, event: ev.Event) -> None:
        """An event that stands before all that were taken so far."""
        self.t = self.t or event.t
        if isinstance(event, (ev.RunStarted, ev.RunEnded)):
            if self.ended is None:
                self.ended = isinstance(event, ev.RunEnded)
                if isinstance(event, ev.RunEnded):
                    self.outcome, self.message = event.outcome, event.message
        elif isinstance(event, (ev.StageStarted, ev.StageDone, ev.Failed)):
            self._enter(event.stage)
            self.told = True
            if isinstance(event, ev.StageDone):
                self._judge(event)
        elif isinstance(event, ev.TrainStep) and event.series in STEPPING:
            self._enter(event.series)
            self._advance(event.series, event.step, event.total, event.eta_s)
        elif isinstance(event, ev.Progress):
            self._enter(event.stage)
            self._advance(event.stage, event.done, event.total, event.eta_s)

    def _enter(self, stage: str) -> None:
        """A sign of work in a stage: a worker that said goodbye gives none after it."""
        self.stage = self.stage or stage
        self.ended = bool(self.ended)

    def _judge(self, event: ev.StageDone) -> None:
        guard, effect = event.evidence.get("guard"), event.evidence.get("estimate")
        self.guard = self.guard or (str(guard) if guard else "")
        if event.stage == "gate" and isinstance(effect, (int, float)) and self.effect is None:
            self.effect = float(effect)

    def _advance(self, stage: str, done: float, total: float, left: float | None) -> None:
        if self.told or stage != self.stage:
            return
        self.told = True
        if total > 0:
            self.share, self.seconds_left = max(0.0, min(1.0, done / total)), left


def read_log_end(path: Path) -> LogEnd:
    """The end of a log. Raises OSError where it cannot be read."""
    block = TAIL_BYTES
    while True:  # one event may be larger than a block: what is not in it may stand before it
        found, whole = _read_block(path, block)
        if whole or found.stage:
            return found
        block *= 8


def _read_block(path: Path, size: int) -> tuple[LogEnd, bool]:
    """What the last bytes of a log say, and whether they are all of it."""
    with open_regular(path) as handle:
        start = max(0, handle.seek(0, os.SEEK_END) - size)
        handle.seek(start)
        data = handle.read(size)
    if start:  # its first line is cut
        data = data[data.find(b"\n") + 1 :]
    end = LogEnd()
    for line in reversed(data[: data.rfind(b"\n") + 1].split(b"\n")):
        if not line.strip() or (end.complete and ev.is_intact(line)):
            continue
        for event in ev.parse_lines(line):
            if isinstance(event, ev.Unreadable):
                end.broken += event.count
            elif not end.complete:
                end.take(event)
    return end, not start
