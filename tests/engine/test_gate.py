"""The gate: the crossed test, its verdicts, and what it does on noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.errors import InputError
from engine.evidence import GateVerdict
from engine.gate import (
    classify,
    guard_state,
    holm,
    judge,
    mcnemar_display,
    paired_test,
    with_clean_part,
)
from engine.recipe import Gate
from engine.thresholds import effective

LIMITS = effective({})
GATE = Gate()
POINT = 4.41 / 100
"""Latent units of one point: the density of N(0, 1.5^2 + .6^2 + .7^2) at 0 is .2266."""

Arms = tuple[Any, Any]


def world(
    rng: np.random.Generator, seeds: int = 5, items: int = 100, sd: float = 2.2, gain: float = 0.0
) -> Arms:
    """Two arms of 0/1 scores: item, item x arm, seed (``sd`` points) and noise effects."""
    item = rng.normal(0, 1.5, items)
    arms = []
    for arm in (0, 1):
        latent = item + rng.normal(0, 0.6, items) + rng.normal(0, sd * POINT, (seeds, 1))
        latent = latent + rng.normal(0, 0.7, (seeds, items)) + arm * gain * POINT
        arms.append((latent > 0).astype(float))
    return arms[0], arms[1]


def verdict(base: Any, cpt: Any, rise: float | None = 0.0, **gate: Any) -> GateVerdict:
    return judge(base, cpt, Gate.model_validate(gate), rise, LIMITS)


# --- the golden table -----------------------------------------------------------------

TABLE_3 = {
    "CHEMPROT": ((81.9, 1.0), (84.2, 0.2), (79.4, 1.3)),
    "RCT": ((87.2, 0.1), (87.6, 0.1), (86.9, 0.1)),
    "ACL-ARC": ((63.0, 5.8), (75.4, 2.5), (66.4, 4.1)),
    "SCIERC": ((77.3, 1.9), (80.8, 1.5), (79.2, 0.9)),
    "HYPERPARTISAN": ((86.6, 0.9), (88.2, 5.9), (76.4, 4.9)),
    "AGNEWS": ((93.9, 0.2), (93.9, 0.2), (93.5, 0.2)),
    "HELPFULNESS": ((65.1, 3.4), (66.5, 1.4), (65.1, 2.8)),
    "IMDB": ((95.0, 0.2), (95.4, 0.2), (94.1, 0.4)),
}
"""Gururangan 2020, Table 3: mean and sd over 5 seeds of base, DAPT and irrelevant DAPT."""


def welch_seeds(
    base: tuple[float, float], cpt: tuple[float, float], n: int = 5
) -> tuple[float, float, float, float]:
    """Estimate, 95% interval and p of a Welch test on seed means alone."""
    estimate = cpt[0] - base[0]
    one, two = base[1] ** 2 / n, cpt[1] ** 2 / n
    df = (one + two) ** 2 / ((one**2 + two**2) / (n - 1))
    half = stats.t.ppf(0.975, df) * np.sqrt(one + two)
    p = stats.ttest_ind_from_stats(*base, n, *cpt, n, equal_var=False).pvalue
    return estimate, float(estimate - half), float(estimate + half), float(p)


def golden(arm: int, margin: float) -> dict[str, tuple[str, str, float]]:
    found = {}
    for task, row in TABLE_3.items():
        estimate, low, high, p = welch_seeds(row[0], row[arm])
        found[task] = (*classify(estimate, low, high, margin), p)
    return found


def named(found: dict[str, tuple[str, str, float]], outcome: str) -> set[str]:
    return {task for task, row in found.items() if row[0] == outcome}


def after_holm(found: dict[str, tuple[str, str, float]], outcome: str) -> set[str]:
    adjusted = dict(zip(found, holm([row[2] for row in found.values()]), strict=True))
    return {task for task in named(found, outcome) if adjusted[task] < 0.05}


def test_golden_dapt() -> None:
    raw = golden(1, 0.0)
    assert named(raw, "EARNED") == {"CHEMPROT", "RCT", "ACL-ARC", "SCIERC", "IMDB"}
    assert after_holm(raw, "EARNED") == {"CHEMPROT", "RCT", "ACL-ARC"}
    at_one = golden(1, 1.0)
    assert {task for task, row in at_one.items() if row[1] == "trivial"} == {"RCT", "IMDB"}
    assert named(at_one, "HURT") == set()


def test_golden_irrelevant() -> None:
    raw = golden(2, 0.0)
    assert named(raw, "HURT") == {"CHEMPROT", "RCT", "HYPERPARTISAN", "AGNEWS", "IMDB"}
    assert named(raw, "EARNED") == set()
    assert after_holm(raw, "HURT") == {"RCT", "IMDB"}


# --- simulation -----------------------------------------------------------------------


def rates(count: int, alpha_rng: int, **settings: Any) -> dict[str, float]:
    rng = np.random.default_rng(alpha_rng)
    tally = {"EARNED": 0, "HURT": 0, "TIE": 0}
    for _ in range(count):
        result = paired_test(*world(rng, **settings))
        tally[classify(result.estimate, result.low, result.high, 2.0)[0]] += 1
    return {name: number / count for name, number in tally.items()}


def test_noise_is_rarely_earned() -> None:
    """2.5% each way, plus three standard errors of 400 simulations (0.8%)."""
    found = rates(400, 20_200_510)
    assert found["EARNED"] <= 0.05
    assert found["HURT"] <= 0.05


def test_large_seed_spread_is_rarely_earned() -> None:
    """Where pooled tests gave 39-42% false positives (science note B)."""
    found = rates(400, 7, items=400, sd=4.6)
    assert found["EARNED"] + found["HURT"] <= 0.10


def test_power_grows_and_meets_the_prior() -> None:
    powers = [rates(120, 3, gain=gain)["EARNED"] for gain in (0.0, 6.0, 12.2, 20.0)]
    assert powers == sorted(powers)
    assert powers[2] >= 0.75
    assert powers[3] >= 0.95
    assert rates(120, 3, gain=-20.0)["HURT"] >= 0.95


# --- the test itself ------------------------------------------------------------------

TABLES = st.tuples(st.integers(2, 6), st.integers(2, 30), st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None)
@given(TABLES, st.booleans())
def test_antisymmetric_and_blind_to_item_order(shape: tuple[int, int, int], graded: bool) -> None:
    seeds, items, seed = shape
    rng = np.random.default_rng(seed)
    base, cpt = rng.random((2, seeds, items))
    if not graded:
        base, cpt = (base > 0.4).astype(float), (cpt > 0.4).astype(float)
    one, two = paired_test(base, cpt), paired_test(cpt, base)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
    assert (one.se, one.df, one.p_value) == pytest.approx((two.se, two.df, two.p_value))
    order = rng.permutation(items)
    other = paired_test(base[:, order], cpt[:, order])
    assert (one.low, one.high, one.p_value) == pytest.approx((other.low, other.high, other.p_value))
    mirror = {"EARNED": "HURT", "HURT": "EARNED", "TIE": "TIE"}
    assert verdict(cpt, base).outcome == mirror[verdict(base, cpt).outcome]
    assert np.isfinite([one.estimate, one.low, one.high, one.se, one.df, one.p_value]).all()
    assert seeds - 1 <= one.df <= items + seeds


def test_against_the_formula_by_hand() -> None:
    cpt = np.array([[1, 0, 1, 1], [1, 1, 0, 1]], dtype=float)
    result = paired_test(np.zeros((2, 4)), cpt)
    items, mean = np.array([100, 50, 50, 100]), 75.0
    ms_i = 2 * ((items - mean) ** 2).sum() / 3
    ms_e = 2 * (50.0**2 + 50.0**2) / 3
    chosen = max(ms_i + 0 - ms_e, ms_i, 0)
    assert result.estimate == mean
    assert result.se == pytest.approx(np.sqrt(chosen / 8))
    assert result.df == pytest.approx(max(chosen**2 / (ms_i**2 / 3 + ms_e**2 / 3), 1))


def test_items_of_one_source_are_averaged_first() -> None:
    rng = np.random.default_rng(0)
    base, cpt = world(rng, items=40, gain=10)
    doubled = np.repeat(base, 2, axis=1), np.repeat(cpt, 2, axis=1)
    names = [f"d{number // 2}" for number in range(80)]
    assert paired_test(*doubled, groups=names) == paired_test(base, cpt)
    assert paired_test(*doubled).se < paired_test(base, cpt).se
    assert paired_test(base, cpt, groups=[""] * 40) == paired_test(base, cpt)
    with pytest.raises(InputError, match="groups for 40 items"):
        paired_test(base, cpt, groups=["a"])


def test_degenerate_tables_are_clear() -> None:
    same = np.ones((5, 50))
    equal = paired_test(same, same)
    assert (equal.estimate, equal.low, equal.high, equal.p_value) == (0, 0, 0, 1)
    shifted = paired_test(np.zeros((5, 50)), same)
    assert (shifted.low, shifted.high, shifted.p_value) == (100, 100, 0)
    for shape in ((1, 50), (5, 1), (1, 1)):
        lone = paired_test(np.zeros(shape), np.ones(shape))
        assert (lone.low, lone.high, lone.p_value) == (-100, 100, 1)
        assert verdict(np.zeros(shape), np.ones(shape)).label == "underpowered"


@pytest.mark.parametrize(
    ("base", "cpt", "words"),
    [
        ([[0.0, 1.0]], [[0.0, 1.0, 1.0]], "differ in shape"),
        ([[0.0, float("nan")]], [[0.0, 1.0]], "base arm's score of item 1"),
        ([[0.0], [0.0, 1.0]], [[0.0, 1.0]], "equally long"),
        ([], [], "equally long"),
    ],
)
def test_bad_scores_name_arm_and_item(base: Any, cpt: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        paired_test(base, cpt)


def test_only_macro_f1_may_leave_the_unit_range() -> None:
    """An item of a rare class moves macro-F1 by more than 1/n: its jackknife value is above 1."""
    base, cpt = [[0.0] * 8] * 2, [[4.0] + [0.0] * 7] * 2
    with pytest.raises(InputError, match=r"CPT arm's score of item 0 .* is 4.0, not in 0..1"):
        verdict(base, cpt, seeds=[0, 1], why_fewer_seeds="a test")
    found = verdict(base, cpt, seeds=[0, 1], why_fewer_seeds="a test", metric="macro_f1")
    assert found.estimate == pytest.approx(50)


# --- the verdict ----------------------------------------------------------------------


def test_labels() -> None:
    assert classify(5, 1, 9, 2) == ("EARNED", "")
    assert classify(-5, -9, -1, 2) == ("HURT", "")
    assert classify(1.5, 1, 1.9, 2) == ("TIE", "trivial")
    assert classify(0.1, -1, 1.2, 2) == ("TIE", "equivalent")
    assert classify(3, -1, 7, 2) == ("TIE", "underpowered")


def test_guard() -> None:
    states = [guard_state(rise, LIMITS) for rise in (None, -1, 0.02, 0.03, 0.05, 0.06)]
    assert states == ["unknown", "green", "green", "amber", "amber", "red"]
    assert guard_state(float("nan"), LIMITS) == "red"


def test_earned_at_a_cost_and_hurt() -> None:
    base, cpt = world(np.random.default_rng(0), items=200, gain=25)
    good = verdict(base, cpt)
    assert (good.outcome, good.label, good.guard) == ("EARNED", "", "green")
    assert "speaks for this checkpoint" in good.sentence
    assert "ship the base" not in good.sentence
    costly = verdict(base, cpt, 0.2)
    assert (costly.outcome, costly.label) == ("EARNED", "at a cost")
    assert "0.200 nats: mix back more" in costly.sentence
    strict = verdict(base, cpt, 0.2, require_retention=True)
    assert (strict.outcome, strict.label) == ("HURT", "")
    assert verdict(cpt, base).outcome == "HURT"
    broken = verdict(base, cpt, float("nan"))
    assert (broken.label, broken.generic_rise) == ("at a cost", None)
    assert "not a finite number" in broken.sentence
    assert "not measured" in verdict(base, cpt, None).sentence
    assert "amber" in verdict(base, cpt, 0.03).sentence


def test_a_tie_ships_the_base_model() -> None:
    base, cpt = world(np.random.default_rng(1))
    tie = verdict(base, cpt)
    assert (tie.outcome, tie.label) == ("TIE", "underpowered")
    assert "ship the base model" in tie.sentence
    assert tie.mde > 2
    assert (tie.items, tie.seeds, len(tie.base_scores)) == (100, 5, 5)
    assert verdict(base, base).label == "equivalent"
    GateVerdict.model_validate_json(tie.model_dump_json())


def test_few_changed_items_decide_nothing() -> None:
    base = np.zeros((5, 40))
    cpt = base.copy()
    cpt[:, :5] = 1
    assert paired_test(base, cpt).low > 0
    assert verdict(base, cpt).label == "underpowered"
    cpt[:, :6] = 1
    assert verdict(base, cpt).outcome == "EARNED"
    assert verdict(np.zeros((5, 3)), np.ones((5, 3))).label == "underpowered"


# --- display --------------------------------------------------------------------------


def test_mcnemar_is_exact() -> None:
    base = np.zeros((2, 10))
    cpt = base.copy()
    cpt[0, :6] = 1
    first, second = mcnemar_display(base, cpt)
    assert (first.better, first.worse) == (6, 0)
    assert first.p_value == pytest.approx(2 * 0.5**6)
    assert second.p_value == 1


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert GATE.alpha == 0.05


def test_the_verdict_is_also_given_without_contaminated_items() -> None:
    """The whole gain sits in items that the corpus holds: the clean part ties, and says so."""
    rng = np.random.default_rng(4)
    base = (rng.random((5, 80)) < 0.5).astype(float)
    cpt = base.copy()
    cpt[:, :40] = 1.0
    gate, limits = GATE, LIMITS
    whole = judge(base, cpt, gate, 0.0, limits)
    assert whole.outcome == "EARNED"
    same = with_clean_part(whole, (base, cpt), gate, limits, None, [])
    assert same == whole
    both = with_clean_part(whole, (base, cpt), gate, limits, None, range(40))
    assert (both.outcome, both.clean_outcome, both.clean_items) == ("EARNED", "TIE", 40)
    assert both.clean_estimate == 0
    assert "without the 40 items" in both.sentence
    none_left = with_clean_part(whole, (base, cpt), gate, limits, None, range(80))
    assert none_left.clean_outcome == ""
    assert "no clean part" in none_left.sentence
