"""More arms beside the gate's two, torch-free: what they say of a gain.

A control trained on as many tokens of irrelevant text tells whether the gain comes from this
corpus or from more training (Gururangan 2020, Table 3); earlier checkpoints tell how much of the
text it takes (their Table 9); a training run for each of the gate's seeds lets a second verdict
speak for the recipe. None of them is the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from engine.crossed import Groups, TestResult, paired_test
from engine.evidence import Record
from engine.gate import judge
from engine.gate_verdict import GateVerdict
from engine.recipe import Gate
from engine.secondary import holm
from engine.verdict_words import RECIPE, sentence
from engine.words import p_value

Kind = Literal["control", "checkpoint", "seed"]


class Difference(Record):
    """A difference of two arms in points, with the gate's (1 - alpha) t interval."""

    estimate: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    """Holm among the arms."""

    @property
    def ends(self) -> str:
        return f"{self.low:+.1f} to {self.high:+.1f}"

    def shown(self, alpha: float) -> bool:
        return self.p_adjusted < alpha


class ArmRow(Record):
    """One more arm, trained and scored."""

    name: str
    kind: Kind
    tokens: int
    """Tokens of its training, mix-back among them."""
    seeds: list[int]
    """The gate's seeds that it was scored under."""
    per_item: list[list[float]]
    """[S][n], shares of the metric."""
    score: float
    """Points, mean over seeds and items."""
    lr: float
    """The probe's rate."""
    generic_rise: float | None
    """Nats per token over the base."""
    guard: str
    domain_loss: float | None = None
    """Held-out loss of the text that it was trained on, nats per token."""
    corpus_sha256: str = ""
    """Of a control's text."""
    over_base: Difference | None = None
    cpt_over: Difference | None = None
    """This arm minus base, and CPT minus this arm; None for a single seed's run."""


class ArmsResult(Record):
    """All of them, and what they say."""

    rows: list[ArmRow]
    recipe: GateVerdict | None = None
    """The verdict over training runs, one for each seed; None where they were not asked for."""
    sentences: list[str] = Field(default_factory=list)


def steps_of(shares: Sequence[float], steps: int) -> dict[int, float]:
    """The step at which each share of training is reached, and the share."""
    return {max(1, round(share * steps)): share for share in shares}


def summed(
    rows: Sequence[ArmRow],
    base: list[list[float]],
    cpt: list[list[float]],
    verdict: GateVerdict,
    gate: Gate,
    limits: dict[str, float],
    groups: Groups,
    other_tries: Sequence[float] = (),
) -> ArmsResult:
    """Compare every arm with the gate's two, ``[S][n]`` each, and say what that shows."""
    whole = [row for row in rows if row.kind != "seed"]
    over = [paired_test(base, row.per_item, gate.alpha, groups) for row in whole]
    behind = [paired_test(row.per_item, cpt, gate.alpha, groups) for row in whole]
    compared = {
        row.name: row.model_copy(update={"over_base": one, "cpt_over": two})
        for row, one, two in zip(whole, _corrected(over), _corrected(behind), strict=True)
    }
    single = [row for row in rows if row.kind == "seed"]
    found = [compared.get(row.name, row) for row in rows]
    recipe = None
    if single:
        recipe = _recipe(single, base, cpt, verdict, gate, limits, groups, other_tries)
    said = [_sentence(row, verdict, gate.alpha) for row in found if row.cpt_over]
    said += [f"For the recipe: {recipe.sentence}"] if recipe else []
    return ArmsResult(rows=found, recipe=recipe, sentences=said)


def _corrected(tests: Sequence[TestResult]) -> list[Difference]:
    adjusted = holm([test.p_value for test in tests])
    return [
        Difference(
            estimate=test.estimate,
            low=test.low,
            high=test.high,
            p_value=test.p_value,
            p_adjusted=p,
        )
        for test, p in zip(tests, adjusted, strict=True)
    ]


def _recipe(
    single: Sequence[ArmRow],
    base: list[list[float]],
    cpt: list[list[float]],
    verdict: GateVerdict,
    gate: Gate,
    limits: dict[str, float],
    groups: Groups,
    other_tries: Sequence[float],
) -> GateVerdict:
    """The gate's own test, with a training run of its own behind each of the CPT arm's seeds.

    The spread of that arm over its seeds then holds the training runs' spread too, which is
    what a verdict on the recipe needs. The first seed's run is the one that was judged. The
    guard reads the runs' mean rise; it has no interval.
    """
    trained = {row.seeds[0]: row.per_item[0] for row in single}
    arm = [trained.get(seed, row) for seed, row in zip(gate.seeds, cpt, strict=True)]
    rises = [verdict.generic_rise, *(row.generic_rise for row in single)]
    known = [rise for rise in rises if rise is not None]
    mean = sum(known) / len(known) if known else None
    found = judge(base, arm, gate, mean, limits, groups, other_tries)
    return found.model_copy(update={"sentence": sentence(found, gate.alpha, RECIPE)})


def _sentence(row: ArmRow, verdict: GateVerdict, alpha: float) -> str:
    """What one arm says beside the verdict."""
    ahead, over = row.cpt_over, row.over_base
    assert ahead is not None
    assert over is not None
    corrected = p_value(ahead.p_adjusted)
    told = f"CPT is {ahead.estimate:+.1f} points ahead of it ({ahead.ends}, {corrected})"
    if row.kind == "checkpoint":
        head = f"At {row.name} of training ({row.tokens:,} tokens) {row.score:.1f} points: "
        if ahead.shown(alpha):
            better = "the rest of training" if ahead.estimate > 0 else "stopping there"
            return f"{head}{told}, so {better} paid."
        return f"{head}{told}; no difference is shown. Choosing it now would be another try."
    head = f"The control, {row.tokens:,} tokens of other text, is at {over.estimate:+.1f} points "
    head += f"against the base ({over.ends}); "
    if not ahead.shown(alpha):
        return f"{head}{told}: not shown to differ{_unexplained(verdict)}."
    if ahead.estimate < 0:
        return f"{head}{told}: other text does better than this corpus."
    if verdict.outcome == "EARNED":
        return f"{head}{told}: the gain comes from this corpus, not from more training alone."
    return f"{head}{told}."


def _unexplained(verdict: GateVerdict) -> str:
    if verdict.outcome != "EARNED":
        return ""
    return ", so more training of any kind may be what earned it"
