"""The machinery of stages: one that is done is not run again, one that was damaged is, loudly.

A stage is done when its artifact is there with the fingerprint of its inputs, and every file
it wrote is as it wrote it: a crash, a stop and a resume are therefore the same thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.files import digest
from engine.redaction import masked
from engine.runs.events import Alarm, StageDone, StageStarted
from engine.stages import VERSIONS
from engine.worker.job.context import Context

Made = dict[str, Any]


@dataclass
class Stages:
    """Runs stages once each, and keeps what they made."""

    context: Context
    made: dict[str, Any] = field(default_factory=dict)
    """Artifacts by stage."""
    prints: dict[str, str] = field(default_factory=dict)
    """Fingerprints by stage: inputs of the stages after it."""

    def run(
        self,
        name: str,
        inputs: list[Any],
        work: Callable[[str], Made],
        files: Callable[[Made], list[Path]] = lambda made: [],
        usable: Callable[[Made], bool] = lambda made: True,
    ) -> Made:
        """The stage's artifact: the kept one for these inputs, or what ``work`` makes now.

        ``work`` gets the fingerprint. ``files`` are covered by the stage's manifest: if one of
        them changes, the stage runs again, and so it does where ``usable`` says no.
        """
        context = self.context
        context.raise_if_stopped()
        context.stage = name
        fingerprint = self.prints[name] = digest([name, VERSIONS[name], *inputs])
        context.emit(StageStarted(stage=name))
        started = time.monotonic()
        kept = self._kept(name, fingerprint)
        skipped = kept is not None and usable(kept)
        made: Made = kept if kept is not None and skipped else masked(work(fingerprint))
        if not skipped:
            context.run.write_artifact(name, made, fingerprint, files(made))
        self.made[name] = made
        seconds = round(time.monotonic() - started, 2)
        context.emit(StageDone(stage=name, seconds=seconds, evidence=made, skipped=skipped))
        return made

    def _kept(self, name: str, fingerprint: str) -> Made | None:
        kept: Made | None = self.context.run.read_artifact(name, fingerprint)
        damaged = [] if kept else self.context.run.damaged(name, fingerprint)
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            message = f"{damaged[0]}{more} changed since the stage was done: it runs again"
            self.context.emit(Alarm(level="amber", stage=name, message=message))
        return kept
