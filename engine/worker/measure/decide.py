"""The decide stage: all evidence so far and the recipe's answers into a verdict."""

from __future__ import annotations

from engine.artifacts.decision import Verdict
from engine.decision.decide import decide
from engine.errors import InputError
from engine.recipe.seal import LATER, answers_digest
from engine.recipe.toml import load_recipe
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.model.job import Job


class DecideStage(Stage[Verdict]):
    """Walks the decision tree, on the answers as they are now."""

    name = "decide"

    def __init__(self, job: Job) -> None:
        self.job = job
        self.answers = take_answers(job.context)

    def inputs(self) -> list[object]:
        return [
            self.job.made.evidence.model_dump(),
            self.job.recipe.model_dump(exclude=set(LATER)),
            self.answers,
        ]

    def make(self, fingerprint: str) -> Verdict:
        verdict = decide(self.job.made.evidence, self.job.recipe)
        return verdict.model_copy(update={"answers": self.answers})

    def check(self, made: Verdict) -> None:
        """InputError where a judged run would not be trained any more: its verdict stands."""
        run = self.job.run
        if made.outcome == "GO" or made.override or not run.judged:
            return
        raise InputError(
            f"The recipe of run {run.id} changed since its verdict, and the decision would be "
            f"{made.outcome} now; its verdict and report stand: put the recipe back as it was, or "
            "start a new run"
        )


def take_answers(context: Context) -> str:
    """Adopt what was answered while the stages before ran; returns the answers' digest.

    Only the interview's own table: what else changed would change what was measured. The
    digest is then of no file, so that every viewer asks for a new measurement.
    """
    fresh, text = load_recipe(context.run.recipe_path)
    context.recipe = context.recipe.model_copy(update={"interview": fresh.interview})
    later = set(LATER)
    same = fresh.model_dump(exclude=later) == context.recipe.model_dump(exclude=later)
    return answers_digest(text) if same else "other inputs"
