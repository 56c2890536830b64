"""A run's work in this process: its context, its models, and what its stages have made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from engine.artifacts.all_stages import Artifacts
from engine.recipe.sections import Recipe
from engine.runs.run import Run
from engine.worker.job.context import Context
from engine.worker.job.stage import StageRunner
from engine.worker.model.base import Base

T = TypeVar("T")


@dataclass
class Job:
    """What every stage is made with."""

    context: Context
    base: Base
    trained: Base = field(init=False)
    """What is packed for and trained: the base, with new tokens once the recipe added some."""
    runner: StageRunner = field(init=False)

    def __post_init__(self) -> None:
        self.trained = self.base
        self.runner = StageRunner(self.context)

    @property
    def recipe(self) -> Recipe:
        return self.context.recipe

    @property
    def run(self) -> Run:
        return self.context.run

    @property
    def made(self) -> Artifacts:
        """The artifacts of the stages so far."""
        return self.runner.artifacts

    def fingerprint(self, stage: str) -> str:
        """That of a stage before, which is an input of the stages after it."""
        return self.runner.fingerprints[stage]


def need(made: T | None) -> T:
    """The artifact of a stage before. RuntimeError where the stages ran in a wrong order."""
    if made is None:
        raise RuntimeError("A stage before this one has not run; this is a fault of the program")
    return made
