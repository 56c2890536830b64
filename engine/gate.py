"""Paired statistics: item scores of two arms over several seeds -> the gate's verdict.

Scores come in as ``[S][n]``, seeds by items, each in 0..1 (but for macro-F1); results are in
points (0-100), CPT minus base. A TIE ships the base model. Power lives in ``engine.power``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite, log2
from typing import TYPE_CHECKING, Any

from engine.crossed import crossed_error, mean_squares, scores, shares
from engine.errors import InputError
from engine.evidence import GateVerdict
from engine.metrics import METRICS
from engine.power import POWER, items_needed, measured_mde, prior_mde
from engine.recipe import Gate

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Table = NDArray[float64]

__all__ = [
    "McNemar",
    "TestResult",
    "classify",
    "group_means",
    "guard_state",
    "holm",
    "items_needed",
    "judge",
    "mcnemar_display",
    "measured_mde",
    "paired_test",
    "prior_mde",
]

Groups = Sequence[str | None] | None
"""One name an item; items of one name share a source. None or '' is an item of its own."""


@dataclass(frozen=True)
class TestResult:
    """Difference of two arms in points, with its (1 - alpha) t interval."""

    __test__ = False  # not a pytest class

    estimate: float
    low: float
    high: float
    se: float
    df: float
    p_value: float


@dataclass(frozen=True)
class McNemar:
    """One seed's discordant items; for display only (17-42% false positives)."""

    seed: int
    better: int
    worse: int
    p_value: float


def paired_test(base: Any, cpt: Any, alpha: float = 0.05, groups: Groups = None) -> TestResult:
    """Crossed items x seeds test of the mean difference (DESIGN 8).

    SE^2 = max(MS_I + MS_S - MS_E, MS_I, MS_S) / (nS); Satterthwaite degrees of freedom on the
    chosen term, clipped to [S-1, n+S]; the interval is cut to what scores allow, +-100. With
    one seed or one item there is no such test: the interval is -100..100 and p = 1. Where all
    differences are equal, the interval is that one number.
    """
    table = differences(base, cpt, groups)
    seeds, items = table.shape
    estimate = float(table.mean())
    if seeds < 2 or items < 2:
        return TestResult(estimate, -100.0, 100.0, 100.0, 0.0, 1.0)
    se, df = crossed_error(*mean_squares(table), items, seeds)
    if se == 0:
        return TestResult(estimate, estimate, estimate, 0.0, df, 1.0 if estimate == 0 else 0.0)
    from scipy.stats import t

    half = float(t.ppf(1 - alpha / 2, df)) * se
    low, high = max(estimate - half, -100.0), min(estimate + half, 100.0)
    return TestResult(estimate, low, high, se, df, float(2 * t.sf(abs(estimate) / se, df)))


def differences(base: Any, cpt: Any, groups: Groups = None) -> Table:
    """CPT minus base in points, ``[S][groups]``; items of one group are averaged first."""
    one, two = scores(base, "base"), scores(cpt, "CPT")
    if one.shape != two.shape:
        raise InputError(
            f"the arms differ in shape, base {one.shape} and CPT {two.shape} (seeds, items); "
            "score both arms on the same gold set and seeds"
        )
    return group_means(100.0 * (two - one), groups)


def group_means(table: Any, groups: Groups = None) -> Table:
    """``[S][n]`` -> ``[S][groups]``: items of one group are averaged (DESIGN 8)."""
    import numpy as np

    items: Table = np.asarray(table, dtype=np.float64)
    if groups is None:
        return items
    if len(groups) != items.shape[1]:
        raise InputError(f"{len(groups)} groups for {items.shape[1]} items; give one per item")
    names = [name or ("", index) for index, name in enumerate(groups)]
    places: dict[Any, int] = {}
    index = [places.setdefault(name, len(places)) for name in names]
    means: Table = np.array([np.bincount(index, weights=row) for row in items])
    means /= np.bincount(index)
    return means


def classify(estimate: float, low: float, high: float, margin: float) -> tuple[str, str]:
    """Outcome and label from an interval in points: EARNED, HURT or a labelled TIE."""
    significant = low > 0 or high < 0
    if significant and abs(estimate) >= margin:
        return ("EARNED", "") if low > 0 else ("HURT", "")
    if significant:
        return "TIE", "trivial"
    return "TIE", "equivalent" if -margin < low and high < margin else "underpowered"


def guard_state(rise: float | None, limits: dict[str, float]) -> str:
    """Forgetting by the rise of generic loss in nats: green, amber, red or unknown."""
    if rise is None:
        return "unknown"
    if rise <= limits["forgetting_green"]:
        return "green"
    return "amber" if rise <= limits["forgetting_amber"] else "red"


def judge(
    base: Any,
    cpt: Any,
    gate: Gate,
    generic_rise: float | None,
    limits: dict[str, float],
    groups: Groups = None,
) -> GateVerdict:
    """The gate's verdict on one checkpoint, from item scores ``[S][n]`` of both arms.

    EARNED and HURT also need as many items that changed as an exact sign test needs at this
    alpha (6 at 0.05); a zero-width interval on three items proves nothing.
    """
    if METRICS[gate.metric].bounded:
        shares(base, "base"), shares(cpt, "CPT")
    result = paired_test(base, cpt, gate.alpha, groups)
    table = differences(base, cpt, groups)
    outcome, label = classify(result.estimate, result.low, result.high, gate.margin)
    least = ceil(1 - log2(gate.alpha))
    changed = int((abs(table.mean(axis=0)) > 1e-9).sum())
    if (outcome != "TIE" and changed < least) or min(table.shape) < 2 or table.shape[1] < least:
        outcome, label = "TIE", "underpowered"
    guard = guard_state(generic_rise, limits)
    if guard == "red" and gate.require_retention:
        outcome, label = "HURT", ""
    elif guard == "red" and outcome == "EARNED":
        label = "at a cost"
    verdict = GateVerdict(
        outcome=outcome,
        label=label,
        estimate=result.estimate,
        low=result.low,
        high=result.high,
        mde=detectable(result, gate.alpha),
        margin=gate.margin,
        items=table.shape[1],
        seeds=table.shape[0],
        base_scores=_arm(base),
        cpt_scores=_arm(cpt),
        p_value=result.p_value,
        degrees_of_freedom=result.df,
        guard=guard,
        generic_rise=generic_rise if generic_rise is not None and isfinite(generic_rise) else None,
    )
    return verdict.model_copy(update={"sentence": sentence(verdict, gate)})


def with_clean_part(
    verdict: GateVerdict,
    arms: tuple[Any, Any],
    gate: Gate,
    limits: dict[str, float],
    groups: Groups,
    contaminated: Sequence[int],
    rescored: tuple[Any, Any] | None = None,
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
    clean = judge(base, cpt, gate, verdict.generic_rise, limits, names)
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


def _arm(values: Any) -> list[float]:
    """Mean score per seed in points."""
    return [100.0 * float(row.mean()) for row in scores(values, "base")]


def detectable(result: TestResult, alpha: float) -> float:
    """Minimum detectable effect in points at 80% power with the spread that was seen."""
    if result.df <= 0:
        return 100.0
    from scipy.stats import t

    factor = float(t.ppf(1 - alpha / 2, result.df) + t.ppf(POWER, result.df))
    return min(100.0, factor * result.se)


def sentence(verdict: GateVerdict, gate: Gate) -> str:
    """The verdict in words: the number, the guard, the scope and what to ship."""
    name = f"{verdict.outcome}, {verdict.label.upper()}" if verdict.label else verdict.outcome
    found = (
        f"CPT minus base is {verdict.estimate:+.1f} points ({1 - gate.alpha:.0%} interval "
        f"{verdict.low:+.1f} to {verdict.high:+.1f}; {verdict.seeds} seeds x {verdict.items} items)"
    )
    parts = [f"{name}: {found}", *_reasons(verdict)]
    if verdict.outcome != "EARNED":
        parts.append("ship the base model")
    parts.append("this speaks for this checkpoint, not for the recipe")
    return "; ".join(parts) + "."


def _reasons(verdict: GateVerdict) -> list[str]:
    """What a reader needs beside the number: why a tie is a tie, and what was forgotten."""
    ties = {
        "equivalent": f"any difference is below the margin of {verdict.margin:g}",
        "trivial": f"real, but below the margin of {verdict.margin:g}",
        "underpowered": f"this gate shows {verdict.mde:.1f} points and more",
    }
    reasons = [ties[verdict.label]] if verdict.label in ties else []
    if verdict.guard == "red":
        rise = verdict.generic_rise
        lost = "is not a finite number" if rise is None else f"rose by {rise:.3f} nats"
        reasons.append(f"generic loss {lost}: mix back more, lower the rate or use LoRA")
    elif verdict.guard == "amber":
        reasons.append(f"generic loss rose by {verdict.generic_rise:.3f} nats (amber)")
    elif verdict.guard == "unknown":
        reasons.append("forgetting was not measured")
    return reasons


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values in the given order: for all runs against one gold set."""
    count, floor = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, place in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        floor = max(floor, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted


def mcnemar_display(base: Any, cpt: Any) -> list[McNemar]:
    """Exact McNemar per seed, a score of 0.5 and more being right. Display only."""
    from scipy.stats import binomtest

    rows = []
    for seed, (one, two) in enumerate(zip(scores(base, "base"), scores(cpt, "CPT"), strict=True)):
        better = int(((two >= 0.5) & (one < 0.5)).sum())
        worse = int(((one >= 0.5) & (two < 0.5)).sum())
        p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
        rows.append(McNemar(seed, better, worse, p))
    return rows
