"""The gate: item scores of two arms over several seeds -> its verdict, torch-free.

Scores come in as ``[S][n]``, seeds by items, each in 0..1 (but for macro-F1); results are in
points (0-100), CPT minus base. A TIE ships the base model. ``crossed`` has the test, ``power``
what it can show, ``secondary`` what is shown beside it, ``tries`` who else asked the same gold set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from engine.artifacts.gate import GateVerdict
from engine.artifacts.record import Interval
from engine.gate.forgetting import guard_state
from engine.gate.secondary import Tags, by_tag, item_changes
from engine.gate.wording import sentence
from engine.gold.metrics import METRICS
from engine.recipe.gate import Gate
from engine.stats.crossed_test import (
    EQUAL,
    Groups,
    TestResult,
    group_means,
    paired_test,
    scores,
    shares,
)
from engine.stats.holm import fewest_items, holm
from engine.stats.power import Wanted, detectable, wanted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Rise = float | Interval | None
"""Rise of generic loss in nats: alone, or with its interval; None where it was not measured."""


def classify(
    estimate: float, low: float, high: float, margin: float, shown: bool = True
) -> tuple[str, str]:
    """Outcome and label from an interval in points: EARNED, HURT or a labelled TIE.

    ``shown`` is False where the interval leaves 0 out, but not after correction for tries.
    """
    significant = low > 0 or high < 0
    if significant and shown and abs(estimate) >= margin:
        return ("EARNED", "") if low > 0 else ("HURT", "")
    if significant and shown:
        return "TIE", "trivial"
    return "TIE", "equivalent" if -margin < low and high < margin else "underpowered"


def judge(
    base: ArrayLike,
    cpt: ArrayLike,
    gate: Gate,
    generic_rise: Rise,
    limits: dict[str, float],
    groups: Groups = None,
    other_tries: Sequence[float] = (),
    tags: Tags | None = None,
) -> GateVerdict:
    """The gate's verdict on one checkpoint, from item scores ``[S][n]`` of both arms.

    EARNED and HURT need Holm's p over this try and all others < alpha. ``other_tries`` are the
    p values of the others that were scored on this gold set, 1 where a p is not known;
    ``gate.earlier_tries`` more count as unknown. A p of 1 is the strict reading: that try takes
    its share of alpha and gives nothing back. They also need as many items that changed as an
    exact sign test needs at alpha / tries (6 at 0.05): a zero-width interval on three items
    proves nothing. Raises InputError where the tables are no scores.
    """
    result = paired_test(base, cpt, gate.alpha, groups)
    known = [*other_tries, *[1.0] * gate.earlier_tries, result.p_value]
    correction = Correction(len(known), holm(known)[-1])
    return conclude(base, cpt, gate, generic_rise, limits, correction, groups, tags)


class Correction(NamedTuple):
    """For how many looks at one gold set a verdict is corrected."""

    tries: int
    """This one among them."""
    p: float
    """Its p value after that."""


def conclude(
    base: ArrayLike,
    cpt: ArrayLike,
    gate: Gate,
    generic_rise: Rise,
    limits: dict[str, float],
    correction: Correction,
    groups: Groups = None,
    tags: Tags | None = None,
) -> GateVerdict:
    """The verdict of these scores under a known correction. InputError as in ``judge``."""
    if METRICS[gate.metric].bounded:
        shares(base, "base"), shares(cpt, "CPT")
    result = paired_test(base, cpt, gate.alpha, groups)
    alpha, corrected = gate.alpha / max(1, correction.tries), correction.p
    outcome, label = classify(
        result.estimate, result.low, result.high, gate.margin, corrected < gate.alpha
    )
    if not _enough(base, cpt, groups, outcome, fewest_items(alpha)):
        outcome, label = "TIE", "underpowered"
    more = _wanted(result, gate.margin, alpha) if label == "underpowered" else Wanted(None, None)
    changes = item_changes(base, cpt)
    arms = scores(base, "base"), scores(cpt, "CPT")
    retained = _retained(generic_rise, limits)
    outcome, label = after_guard(outcome, label, retained.guard, gate)
    verdict = GateVerdict(
        outcome=outcome,
        label=label,
        estimate=result.estimate,
        low=result.low,
        high=result.high,
        mde=detectable(result.squares, alpha) if result.squares else 100.0,
        margin=gate.margin,
        items=group_means(arms[0], groups).shape[1],
        seeds=len(arms[0]),
        base_scores=[100.0 * float(row.mean()) for row in arms[0]],
        cpt_scores=[100.0 * float(row.mean()) for row in arms[1]],
        p_value=result.p_value,
        degrees_of_freedom=result.df,
        guard=retained.guard,
        generic_rise=retained.rise,
        generic_low=retained.low,
        generic_high=retained.high,
        tries=correction.tries,
        p_adjusted=corrected,
        items_wanted=more.items,
        seeds_wanted=more.seeds,
        won=changes.won,
        lost=changes.lost,
        tied=changes.tied,
        by_tag=by_tag(base, cpt, gate.alpha, groups, tags),
    )
    return verdict.model_copy(update={"sentence": sentence(verdict, gate.alpha)})


def _enough(base: ArrayLike, cpt: ArrayLike, groups: Groups, outcome: str, fewest: int) -> bool:
    """Whether the table can carry a verdict: items, seeds, and items that changed."""
    change = group_means(cpt, groups) - group_means(base, groups)
    if min(change.shape) < 2 or change.shape[1] < fewest:
        return False
    return outcome == "TIE" or int((abs(100.0 * change.mean(axis=0)) > EQUAL).sum()) >= fewest


def _wanted(result: TestResult, margin: float, alpha: float) -> Wanted:
    """What would show an effect of the size seen, or the least one that counts."""
    effect = max(abs(result.estimate), margin)
    if result.squares is None or effect <= 0:
        return Wanted(None, None)
    return wanted(result.squares, effect, alpha)


@dataclass(frozen=True)
class _Retained:
    """The guard of a verdict, with the rise behind it; what is not finite is None."""

    guard: str
    rise: float | None
    low: float | None
    high: float | None


def _retained(rise: Rise, limits: dict[str, float]) -> _Retained:
    value, low, high = (
        (rise.value, rise.low, rise.high) if isinstance(rise, Interval) else (rise, None, None)
    )
    finite = (v if v is not None and isfinite(v) else None for v in (value, low, high))
    return _Retained(guard_state(value, limits, high), *finite)


def after_guard(outcome: str, label: str, guard: str, gate: Gate) -> tuple[str, str]:
    """Outcome and label once the guard is known."""
    if guard == "red" and gate.require_retention:
        return "HURT", ""
    return outcome, "at a cost" if guard == "red" and outcome == "EARNED" else label


def with_clean_part(
    verdict: GateVerdict,
    arms: tuple[ArrayLike, ArrayLike],
    gate: Gate,
    limits: dict[str, float],
    groups: Groups,
    contaminated: Sequence[int],
    other_tries: Sequence[float] = (),
    rescored: tuple[ArrayLike, ArrayLike] | None = None,
) -> GateVerdict:
    """The verdict with the one on the items that do not stand in the corpus beside it.

    ``contaminated`` are item numbers (0-based). ``rescored`` are the arms' scores of the clean
    items where a part of the scores is not the score of a part (macro-F1). The outcome stays
    that of the registered gold set; the sentence says what the clean part gives. Unchanged where
    nothing is contaminated.
    """
    import numpy as np

    tables = [scores(arm, name) for arm, name in zip(arms, ("base", "CPT"), strict=True)]
    keep = np.setdiff1d(np.arange(tables[0].shape[1]), list(contaminated))
    if len(keep) == tables[0].shape[1]:
        return verdict
    if not len(keep):
        said = "every item also stands in the corpus: no clean part is left"
        return verdict.model_copy(update={"sentence": f"{verdict.sentence[:-1]}; {said}."})
    names = None if groups is None else [groups[i] for i in keep]
    base, cpt = rescored or (table[:, keep] for table in tables)
    clean = judge(base, cpt, gate, rise_of(verdict), limits, names, other_tries)
    said = (
        f"without the {tables[0].shape[1] - len(keep)} items that also stand in the corpus: "
        f"{clean.outcome}, {clean.estimate:+.1f} points"
    )
    return verdict.model_copy(
        update={
            "clean_outcome": clean.outcome,
            "clean_items": clean.items,
            "clean_estimate": clean.estimate,
            "sentence": f"{verdict.sentence[:-1]}; {said}.",
        }
    )


def rise_of(verdict: GateVerdict) -> Rise:
    """What the verdict's guard was made from."""
    rise, low, high = verdict.generic_rise, verdict.generic_low, verdict.generic_high
    if rise is None or low is None or high is None:
        return rise
    return Interval(value=rise, low=low, high=high)
