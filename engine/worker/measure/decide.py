"""The decide stage: all evidence so far and the recipe's answers into a verdict."""

from __future__ import annotations

from engine.artifacts.decision import Verdict
from engine.decision.decide import decide
from engine.recipe.toml import RESULTS
from engine.worker.job.stage import Stage
from engine.worker.model.job import Job


class DecideStage(Stage[Verdict]):
    """Walks the decision tree."""

    name = "decide"

    def __init__(self, job: Job) -> None:
        self.job = job

    def inputs(self) -> list[object]:
        return [
            self.job.made.evidence.model_dump(),
            self.job.recipe.model_dump(exclude={*RESULTS, "arms", "finish"}),
        ]

    def make(self, fingerprint: str) -> Verdict:
        return decide(self.job.made.evidence, self.job.recipe)
