"""The gate: item scores of two arms over several seeds -> its verdict, torch-free.

Scores come in as ``[S][n]``, seeds by items, each in 0..1 (but for macro-F1); results are in
points (0-100), CPT minus base. A TIE ships the base model. ``crossed`` has the test, ``power``
what it can show, ``secondary`` what is shown beside it, ``tries`` who else asked the same gold set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, TypedDict

from engine.artifacts.gate import EndpointResult, GateLook, GateVerdict, ScoredArm
from engine.artifacts.record import Interval
from engine.gate.forgetting import guard_state
from engine.gate.looks import (
    Corrected,
    Tables,
    Tested,
    accuracy_alpha,
    compare_endpoints,
    correct,
)
from engine.gate.outcome import Sides, decide
from engine.gate.secondary import FAR, Tags, by_tag, item_changes, spare_gap
from engine.gate.wording import NOT_JUDGED, sentence
from engine.gold.metrics import METRICS
from engine.recipe.gate import Gate
from engine.stats.crossed_test import (
    Groups,
    TestResult,
    group_means,
    paired_test,
    scores,
    shares,
)
from engine.stats.power import Terms, Wanted, detectable, prior_mde, wanted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Rise = float | Interval | None
"""Rise of generic loss in nats: alone, or with its interval; None where it was not measured."""


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
    """The gate's verdict on one checkpoint, from primary scores ``[S][n]`` of both arms alone.

    EARNED and HURT need Holm's p over this try and all others < alpha. ``other_tries`` are the
    p values of the others that were scored on this gold set, 1 where a p is not known;
    ``gate.earlier_tries`` more count as unknown. A p of 1 is the strict reading: that try takes
    its share of alpha and gives nothing back. They also need as many items that changed as an
    exact sign test needs at alpha / tries (6 at 0.05): a zero-width interval on three items
    proves nothing. Raises InputError where the tables are no scores.
    """
    arms = Sides(Tables(base), Tables(cpt))
    return _judge(arms, gate, generic_rise, limits, groups, other_tries, tags)


def judge_arms(
    base: ScoredArm,
    cpt: ScoredArm,
    gate: Gate,
    generic_rise: Rise,
    limits: dict[str, float],
    groups: Groups = None,
    other_tries: Sequence[float] = (),
    tags: Tags | None = None,
    looks: Sequence[GateLook] = (),
) -> GateVerdict:
    """The verdict on two scored arms: as ``judge``, with raw accuracy, ranking and collapses.

    ``looks`` are those that were taken, the last of them at these seeds. NOT JUDGED where more
    than a fifth of an arm's seeds collapsed: the SFT does not learn, so nothing can be compared.
    """
    sides = Sides.of(base, cpt)
    found = _judge(sides, gate, generic_rise, limits, groups, other_tries, tags)
    found = found.model_copy(update={"looks": list(looks)})
    return found.model_copy(update={"sentence": sentence(found, gate.alpha)})


def _judge(
    sides: Sides,
    gate: Gate,
    generic_rise: Rise,
    limits: dict[str, float],
    groups: Groups,
    other_tries: Sequence[float],
    tags: Tags | None,
) -> GateVerdict:
    tested = compare_endpoints(sides.base, sides.cpt, gate, groups)
    corrected = correct(tested, gate, other_tries)
    return conclude(sides, gate, generic_rise, limits, corrected, groups, tags)


def conclude(
    sides: Sides,
    gate: Gate,
    generic_rise: Rise,
    limits: dict[str, float],
    corrected: Corrected,
    groups: Groups = None,
    tags: Tags | None = None,
) -> GateVerdict:
    """The verdict of these scores under a known correction. InputError as in ``judge``."""
    base, cpt = sides.base.scores, sides.cpt.scores
    if METRICS[gate.metric].bounded:
        shares(base, "base"), shares(cpt, "CPT")
    tested = compare_endpoints(sides.base, sides.cpt, gate, groups)
    result = tested.accuracy
    outcome, label = decide(sides, tested, corrected, gate, groups)
    alpha = accuracy_alpha(tested, corrected.tries, gate)
    more = _wanted(result, gate, alpha) if label == "underpowered" else Wanted(None, None)
    changes = item_changes(base, cpt)
    arms = scores(base, "base"), scores(cpt, "CPT")
    printed = [group_means(arm, groups) if gate.rules > 1 else arm for arm in arms]
    retained = _retained(generic_rise, limits)
    outcome, label = after_guard(outcome, label, retained.guard, gate)
    verdict = GateVerdict(
        outcome=outcome,
        label=label,
        estimate=result.estimate,
        low=result.low,
        high=result.high,
        mde=_detectable(sides, gate, tested, corrected.tries),
        margin=gate.margin,
        items=group_means(arms[0], groups).shape[1],
        seeds=len(arms[0]),
        base_scores=[100.0 * float(row.mean()) for row in printed[0]],
        cpt_scores=[100.0 * float(row.mean()) for row in printed[1]],
        p_value=result.p_value,
        degrees_of_freedom=result.df,
        guard=retained.guard,
        generic_rise=retained.rise,
        generic_low=retained.low,
        generic_high=retained.high,
        tries=corrected.tries,
        p_adjusted=corrected.accuracy,
        items_wanted=more.items,
        seeds_wanted=more.seeds,
        won=changes.won,
        lost=changes.lost,
        tied=changes.tied,
        by_tag=by_tag(base, cpt, gate.alpha, groups, tags),
        **_beside(sides, tested, corrected, gate, groups, tags),
    )
    return verdict.model_copy(update={"sentence": sentence(verdict, gate.alpha)})


def _wanted(result: TestResult, gate: Gate, alpha: float) -> Wanted:
    """What would show an effect of the size seen, or the least one that counts."""
    effect = max(abs(result.estimate), gate.margin)
    if result.squares is None or effect <= 0:
        return Wanted(None, None)
    return wanted(result.squares, effect, alpha, _asked(gate))


def _asked(gate: Gate) -> float:
    """The margin, as far as the rules let the promise know of it."""
    return gate.margin if gate.rules > 1 else 0.0


def _detectable(sides: Sides, gate: Gate, tested: Tested, tries: int) -> float:
    """The smallest effect that this gate, with all its looks, shows in 80 of 100 cases.

    With two endpoints the larger share counts, as in ``engine.gold.summary.power_terms``.
    An arm that answers alike has no variance to tell it by: typical ones are the least then.
    """
    found, most = tested.accuracy.squares, gate.look_sizes[-1]
    if found is None:
        return 100.0
    if any(sides.constant):
        return prior_mde(found.n_items, Terms(most, gate.alpha, gate.margin))
    share = 1.0 if tested.ranking is None else max(gate.ranking_share, 1 - gate.ranking_share)
    alpha = gate.look_alpha(most) * share / max(1, tries)
    if len(gate.look_sizes) > 1:
        found = found.expected(found.n_items, most)
    return detectable(found, alpha, _asked(gate))


def _beside(
    sides: Sides,
    tested: Tested,
    corrected: Corrected,
    gate: Gate,
    groups: Groups,
    tags: Tags | None,
) -> _Beside:
    """What rules 2 print beside the primary score."""
    if gate.rules < 2:
        return {}
    raw = ranking = None
    if sides.raw is not None:
        found = paired_test(*sides.raw, tested.alpha, groups)
        raw = _endpoint(sides.raw, found, tested.alpha, groups, None)
    one, two = sides.base.ranking, sides.cpt.ranking
    if tested.ranking is not None and one is not None and two is not None:
        found = tested.ranking
        ranking = _endpoint((one, two), found, tested.alpha, groups, corrected.ranking)
    gap = spare_gap(sides.base.scores, sides.cpt.scores, groups, tags)
    return {
        "rules": gate.rules,
        "alpha": tested.alpha,
        "primary": "prior_matched" if raw else "raw",
        "raw": raw,
        "ranking": ranking,
        "replaced": sides.replaced,
        "constant": sides.constant,
        "spare_gap": gap.estimate if gap else None,
        "spare_disagrees": bool(gap and abs(gap.estimate) > FAR * gap.se),
        "try_p": tested.try_p,
        "cpt_seed_variance": _seed_variance(sides.cpt.scores, groups),
    }


class _Beside(TypedDict, total=False):
    rules: int
    alpha: float
    primary: str
    raw: EndpointResult | None
    ranking: EndpointResult | None
    replaced: tuple[int, int]
    constant: tuple[int, int]
    spare_gap: float | None
    spare_disagrees: bool
    try_p: float
    cpt_seed_variance: float | None


def _endpoint(
    arms: tuple[ArrayLike, ArrayLike],
    found: TestResult,
    alpha: float,
    groups: Groups,
    corrected: float | None,
) -> EndpointResult:
    base, cpt = (100.0 * float(group_means(arm, groups).mean()) for arm in arms)
    return EndpointResult(
        base=base,
        cpt=cpt,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        alpha=alpha,
        p_value=found.p_value,
        p_adjusted=corrected,
    )


def _seed_variance(table: ArrayLike, groups: Groups) -> float | None:
    """Variance over seeds of an arm's points; None with one seed."""
    means = 100.0 * group_means(table, groups).mean(axis=1)
    return float(means.var(ddof=1)) if len(means) > 1 else None


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
    if outcome == NOT_JUDGED:
        return outcome, label
    if guard == "red" and gate.require_retention:
        return "HURT", ""
    if guard == "red" and outcome == "EARNED" and "at a cost" not in label:
        return outcome, f"{label}, at a cost" if label else "at a cost"
    return outcome, label


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
    if len(keep) == tables[0].shape[1] or verdict.outcome == NOT_JUDGED:
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
