"""What a stage is, and the runner that makes each one once.

A stage is done when its artifact is there with the fingerprint of its inputs, and every file
it wrote is as it wrote it: a crash, a stop and a resume are therefore the same thing.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, cast

from pydantic import ValidationError

from engine.artifacts.all_stages import RECORDS, Artifacts, describe_fault
from engine.artifacts.record import Record
from engine.files import digest
from engine.redaction import masked
from engine.runs.events import Alarm, StageDone, StageStarted
from engine.stages import VERSIONS
from engine.worker.job.context import Context

Made = TypeVar("Made", bound=Record)


class Stage(ABC, Generic[Made]):
    """One stage of a run: what it depends on, its work, and the files that it writes."""

    name: ClassVar[str]
    """One of ``engine.stages``; its record is ``RECORDS[name]``."""

    @abstractmethod
    def inputs(self) -> Sequence[object]:
        """What the fingerprint is made of, as JSON-able values."""

    @abstractmethod
    def make(self, fingerprint: str) -> Made:
        """Do the work; returns the artifact."""

    def files(self, made: Made) -> list[Path]:
        """Files beside the artifact; where one of them changes, the stage runs again."""
        return []

    def is_usable(self, made: Made) -> bool:
        """Whether a kept artifact can be gone on with; where not, the stage runs again."""
        return True

    def check(self, made: Made) -> None:
        """InputError where what was made must not take the place of what is there."""


@dataclass
class StageRunner:
    """Runs stages once each, and keeps what they made."""

    context: Context
    artifacts: Artifacts = field(default_factory=Artifacts)
    fingerprints: dict[str, str] = field(default_factory=dict)
    """By stage: inputs of the stages after it."""

    def run(self, stage: Stage[Made]) -> Made:
        """The stage's artifact: the kept one for these inputs, or what it makes now."""
        context, name = self.context, stage.name
        context.raise_if_stopped()
        context.stage = name
        fingerprint = digest([name, VERSIONS[name], *stage.inputs()])
        self.fingerprints[name] = fingerprint
        context.emit(StageStarted(stage=name))
        started = time.monotonic()
        kept = self._kept(stage, fingerprint)
        made = kept if kept is not None else self._made(stage, fingerprint)
        self.artifacts = self.artifacts.having(name, made)
        context.emit(
            StageDone(
                stage=name,
                seconds=round(time.monotonic() - started, 2),
                evidence=made.to_json(),
                skipped=kept is not None,
            )
        )
        return made

    def _made(self, stage: Stage[Made], fingerprint: str) -> Made:
        """Make the artifact, without secrets, and write it."""
        plain = masked(stage.make(fingerprint).to_json())
        made = cast(Made, RECORDS[stage.name].model_validate(plain))
        stage.check(made)
        self.context.run.write_artifact(stage.name, plain, fingerprint, stage.files(made))
        return made

    def _kept(self, stage: Stage[Made], fingerprint: str) -> Made | None:
        """The artifact of an earlier walk, if it is whole and usable; a broken one is said."""
        run, name = self.context.run, stage.name
        plain = run.read_artifact(name, fingerprint)
        if plain is None:
            damaged = run.damaged(name, fingerprint)
            if damaged:
                more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
                self._say(name, f"{damaged[0]}{more} changed since the stage was done")
            return None
        try:
            kept = cast(Made, RECORDS[name].model_validate(plain))
        except ValidationError as error:
            self._say(name, f"its artifact cannot be read ({describe_fault(error)})")
            return None
        return kept if stage.is_usable(kept) else None

    def _say(self, stage: str, what: str) -> None:
        message = f"{what}: it runs again"
        self.context.emit(Alarm(level="amber", stage=stage, message=message))
