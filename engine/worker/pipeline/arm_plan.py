"""Which arms a recipe asks for beside the gate's two, cheap ones first."""

from __future__ import annotations

from dataclasses import dataclass

from engine.artifacts.arms import Kind
from engine.gate.arms import steps_of
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe

ROWS = "arms-rows"
"""Where finished rows are kept, among the artifacts."""


@dataclass(frozen=True)
class Planned:
    """One arm to make."""

    name: str
    kind: Kind
    seeds: tuple[int, ...]
    """The gate's seeds that score it."""
    step: int = 0
    """Of a checkpoint."""
    train_seed: int = 0
    """Of a training run."""

    @property
    def folder(self) -> str:
        return self.name.replace(" ", "-").removesuffix("%")

    @property
    def file(self) -> str:
        """Of its row, among the artifacts."""
        return f"{ROWS}/{self.folder}.json"


def judged_gate(gate: Gate, seeds: int) -> Gate:
    """The gate as it ended: the seeds that it came to, with one look at all of them."""
    fixed = {"seeds": gate.seeds[:seeds], "looks": None, "look_shares": None}
    return gate.model_copy(update=fixed)


def plan_arms(recipe: Recipe, steps: int, judged: int) -> list[Planned]:
    """The arms of a run of ``steps`` steps, whose gate came to ``judged`` seeds.

    A checkpoint is there already, so it comes first.
    """
    asked, seeds = recipe.arms, tuple(recipe.gate.seeds[:judged])
    found = [
        Planned(f"{100 * share:g}%", "checkpoint", seeds, step=step)
        for step, share in sorted(steps_of(asked.checkpoints, steps).items())
        if step < steps
    ]
    if asked.control:
        found.append(Planned("control", "control", seeds, train_seed=recipe.train.seed))
    if asked.cpt_seeds:
        found += [
            Planned(f"seed {seed}", "seed", (seed,), train_seed=recipe.train.seed + at)
            for at, seed in enumerate(seeds)
            if at
        ]
    return found
