"""More arms beside the gate's two, torch-free: what they say of a gain.

A control trained on as many tokens of irrelevant text tells whether the gain comes from this
corpus or from more training (Gururangan 2020, Table 3); earlier checkpoints tell how much of the
text it takes (their Table 9); a training run for each of the gate's seeds lets a second verdict
speak for the recipe. None of them is the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean

from engine.artifacts.arms import DISPLAY, ArmRow, ArmsResult, Difference, Tables
from engine.artifacts.gate import GateVerdict
from engine.artifacts.record import Interval
from engine.formatting import format_p_value
from engine.gate.judge import judge, with_clean_part
from engine.gate.wording import RECIPE, sentence
from engine.gold.metrics import METRICS
from engine.recipe.gate import Gate
from engine.stats.alternatives import (
    describe_curve,
    describe_merge,
    describe_more_sft,
    describe_worth,
    worth_in_examples,
)
from engine.stats.crossed_test import Groups, paired_test


@dataclass(frozen=True)
class Judged:
    """The gate that was judged: what every arm is compared with."""

    base: list[list[float]]
    cpt: list[list[float]]
    """[S][n] each."""
    verdict: GateVerdict
    gate: Gate
    limits: dict[str, float]
    groups: Groups = None
    contaminated: Sequence[int] = ()
    other_tries: Sequence[float] = ()
    examples: int = 0
    """SFT rows of a seed."""

    def minus_base(self, row: ArmRow) -> float:
        """Points, on the seeds that scored the row."""
        pairs = zip(self.gate.seeds, self.base, strict=True)
        return row.score - 100 * fmean(fmean(table) for seed, table in pairs if seed in row.seeds)

    def compare(self, one: Tables, two: Tables) -> list[Difference]:
        """``two`` minus ``one``, pair by pair, by the gate's own rules; Holm among the pairs."""
        gate = self.gate.model_copy(update={"earlier_tries": 0, "looks": None})
        pairs = list(zip(one, two, strict=True))
        known = [paired_test(*pair, gate.alpha, self.groups).p_value for pair in pairs]
        found = []
        for at, pair in enumerate(pairs):
            others = known[:at] + known[at + 1 :]
            said = judge(*pair, gate, 0.0, self.limits, self.groups, others)
            found.append(
                Difference(
                    **said.model_dump(include={"estimate", "low", "high", "p_value", "outcome"}),
                    p_adjusted=1.0 if said.p_adjusted is None else said.p_adjusted,
                )
            )
        return found


def steps_of(shares: Sequence[float], steps: int) -> dict[int, float]:
    """The step at which each share of training is reached, and the share."""
    return {max(1, round(share * steps)): share for share in shares}


def compare_arms(rows: Sequence[ArmRow], judged: Judged, missing: dict[str, str]) -> ArmsResult:
    """Compare every arm with the gate's two, and say what that shows."""
    found = [row.model_copy(update={"minus_base": judged.minus_base(row)}) for row in rows]
    for shown in (False, True):  # what is only shown takes nothing from the others' p values
        whole = [
            at
            for at, row in enumerate(rows)
            if row.kind != "seed" and (row.kind in DISPLAY) == shown
        ]
        scored = [rows[at].per_item for at in whole]
        over = judged.compare([judged.base] * len(whole), scored)
        ahead = judged.compare(scored, [judged.cpt] * len(whole))
        for at, one, two in zip(whole, over, ahead, strict=True):
            found[at] = found[at].model_copy(update={"over_base": one, "cpt_over": two})
    single = [row for row in rows if row.kind == "seed"]
    wanted = len(judged.gate.seeds) - 1
    recipe = _recipe(single, judged) if single and len(single) == wanted else None
    said = [_sentence(row, judged) for row in found if row.cpt_over and row.kind not in DISPLAY]
    said += [f"For the recipe: {recipe.sentence}"] if recipe else []
    said += [f"The arm {name} was not made: {why}" for name, why in missing.items()]
    worth = worth_in_examples(rows, judged, judged.examples)
    said += _describe_alternatives(found, judged)
    said += [describe_worth(worth)] if worth else []
    return ArmsResult(rows=found, recipe=recipe, worth=worth, missing=missing, sentences=said)


def _describe_alternatives(rows: Sequence[ArmRow], judged: Judged) -> list[str]:
    """What else the compute could have bought."""
    said = []
    for row in rows:
        if row.cpt_over and row.kind == "sft":
            said.append(describe_more_sft(row, row.cpt_over, judged.verdict.outcome))
        elif row.cpt_over and row.kind == "merge":
            said.append(describe_merge(row, row.cpt_over))
    return [*describe_curve(rows, judged, judged.gate.alpha), *said]


def _recipe(single: Sequence[ArmRow], judged: Judged) -> GateVerdict:
    """The gate's own test, with a training run of its own behind each of the CPT arm's seeds.

    The spread of that arm over its seeds then holds the training runs' spread too, which is
    what a verdict on the recipe needs. The first seed's run is the one that was judged. The
    guard reads the mean of the runs' rises and of their intervals' ends.
    """
    gate = judged.gate
    trained = {row.seeds[0]: row.per_item[0] for row in single}
    arm = [trained.get(seed, row) for seed, row in zip(gate.seeds, judged.cpt, strict=True)]
    rise = _mean_rise([judged.verdict, *single])
    terms = (gate, rise, judged.limits, judged.groups, judged.other_tries)
    found = judge(judged.base, arm, *terms)
    found = found.model_copy(update={"sentence": sentence(found, gate.alpha, RECIPE)})
    if not METRICS[gate.metric].bounded:  # a part of the scores is not the score of a part
        return found
    return with_clean_part(
        found,
        (judged.base, arm),
        gate,
        judged.limits,
        judged.groups,
        judged.contaminated,
        judged.other_tries,
    )


def _mean_rise(runs: Sequence[ArmRow | GateVerdict]) -> Interval | float | None:
    """Of the runs' rises, with an interval where all have one; None where one is not known.

    Not a number where one is not: red, as it is for that run.
    """
    if any(run.generic_rise is None and run.guard == "red" for run in runs):
        return nan
    if any(run.generic_rise is None for run in runs):
        return None
    value, low, high = (
        [getattr(run, f"generic_{name}") for run in runs] for name in ("rise", "low", "high")
    )
    if None in low + high:
        return float(fmean(value))
    return Interval(value=fmean(value), low=fmean(low), high=fmean(high))


def _sentence(row: ArmRow, judged: Judged) -> str:
    """What one arm says beside the verdict."""
    ahead, over = row.cpt_over, row.over_base
    assert ahead is not None
    assert over is not None
    corrected, margin = format_p_value(ahead.p_adjusted), judged.gate.margin
    told = f"CPT is {ahead.estimate:+.1f} points ahead of it ({ahead.ends}, {corrected})"
    nothing = f"a difference of {margin:g} points or more is not shown"
    if row.kind == "checkpoint":
        says = {
            "EARNED": "so the rest of training paid.",
            "HURT": "so the rest of training cost; choosing it now would be another try.",
            "TIE": f"{nothing}; choosing it now would be another try.",
        }
        head = f"At {row.name} of training ({row.tokens:,} tokens) {row.score:.1f} points: "
        return f"{head}{told}; {says[ahead.outcome]}"
    head = f"The control, {row.tokens:,} tokens of other text, is at {over.estimate:+.1f} points "
    head += f"against the base ({over.ends}); {told}"
    return f"{head}{_control(ahead, over, judged, nothing)}{_leaked(row)}."


def _control(ahead: Difference, over: Difference, judged: Judged, nothing: str) -> str:
    """Where a gain comes from; no word on a gain that the gate did not see."""
    earned = judged.verdict.outcome == "EARNED"
    if ahead.outcome == "TIE":
        more = ", so more training of any kind may be what earned it" if earned else ""
        return f": {nothing}{more}"
    if ahead.outcome == "HURT":
        return ": other text does better than this corpus"
    if not earned:
        return ""
    if over.low > 0:
        return (
            f": of the gain, {ahead.estimate:.1f} points are this corpus's and "
            f"{over.estimate:.1f} come with any text"
        )
    if over.high < judged.gate.margin:
        return ": the gain comes from this corpus, not from more training alone"
    return f": at least {ahead.low:.1f} points of the gain are this corpus's"


def _leaked(row: ArmRow) -> str:
    return f"; {row.contaminated} gold items stand in that text" if row.contaminated else ""
