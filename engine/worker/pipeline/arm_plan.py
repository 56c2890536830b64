"""Which arms a recipe asks for beside the gate's two, cheap ones first."""

from __future__ import annotations

from dataclasses import dataclass

from engine.artifacts.arms import Kind
from engine.gate.arms import steps_of
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe

ROWS = "arms-rows"
"""Where finished rows are kept, among the artifacts."""
CURVE = (0.25, 0.5)
"""Shares of the probe's steps and examples; the gate's own arms have all of them."""
MERGED = (0.25, 0.5, 0.75)
"""Shares of CPT in a merge with the base (Goddard 2024, arXiv 2403.13257)."""
SHOWN_TERMS = ("side", "axis", "share")
"""Fields of a plan that older versions did not have: they are no term of the other arms' rows."""
MORE_SFT, LAST_MEAN = "more SFT", "mean of the last checkpoints"


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
    side: str = ""
    axis: str = ""
    share: float = 1.0
    """Of the curve: whose, over what, and at which share; of a merge: CPT's share."""

    @property
    def folder(self) -> str:
        return self.name.replace(" ", "-").replace("%", "")

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
    if asked.more_sft:
        found.append(Planned(MORE_SFT, "sft", seeds, side="base"))
    if asked.merges:
        found += [
            Planned(f"merge with {100 * share:g}% CPT", "merge", seeds, share=share)
            for share in MERGED
        ]
        found.append(Planned(LAST_MEAN, "merge", seeds))
    if asked.curve:
        found += [
            Planned(
                f"{side} at {100 * share:g}% of the {axis}", "curve", seeds, 0, 0, side, axis, share
            )
            for axis in ("steps", "examples")
            for share in CURVE
            for side in ("base", "cpt")
        ]
    return found
