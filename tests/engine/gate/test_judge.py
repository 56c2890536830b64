"""The gate: the crossed test, its verdicts, and what it does on noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifacts.gate import GateVerdict
from engine.artifacts.record import Interval
from engine.errors import InputError
from engine.gate.forgetting import guard_state
from engine.gate.judge import judge, with_clean_part
from engine.gate.outcome import classify
from engine.recipe.gate import Gate
from engine.stats.crossed_test import paired_test
from engine.thresholds import effective
from tests.gate_world import FIXED, world

LIMITS = effective({})
GATE = FIXED


def verdict(base: Any, cpt: Any, rise: float | None = 0.0, **gate: Any) -> GateVerdict:
    return judge(base, cpt, Gate.model_validate({"seeds": FIXED.seeds, **gate}), rise, LIMITS)


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
    """Where pooled tests gave 39-42% false positives (``tests/benchmarks/error_rates.py``)."""
    found = rates(400, 7, items=400, sd=4.6)
    assert found["EARNED"] + found["HURT"] <= 0.10


def test_few_seeds_are_no_excuse() -> None:
    """3 seeds x 400 items at 5 points: the same tables tested by seeds in pairs gave 6.75%."""
    found = rates(2000, 5, seeds=3, items=400, sd=5.0)
    assert found["EARNED"] + found["HURT"] <= 0.06


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


def test_even_items_and_seeds_are_no_certainty() -> None:
    """All noise and no spread of means: an interval as wide as the noise, not of no width."""
    base, cpt = np.array([[0.0, 0.5], [0.5, 0.0]]), np.array([[1.0, 0.5], [0.5, 1.0]])
    result = paired_test(base, cpt)
    assert result.estimate == 50
    assert result.low < 0 < result.high
    assert 0 < result.p_value < 1


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


def test_seeds_are_taken_arm_by_arm() -> None:
    """Which seed of one arm stands beside which of the other changes nothing but rounding."""
    base, cpt = world(np.random.default_rng(3), sd=6.0, gain=8)
    one, two = paired_test(base, cpt), paired_test(base, cpt[[2, 0, 4, 1, 3]])
    assert (one.se, one.df, one.p_value) == pytest.approx((two.se, two.df, two.p_value))


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


def test_tries_are_corrected_for() -> None:
    """The same scores: EARNED alone, a TIE as one of many tries, and the sentence says why."""
    base, cpt = world(np.random.default_rng(2), items=100, gain=9)
    alone = verdict(base, cpt)
    assert (alone.outcome, alone.tries, alone.p_adjusted) == ("EARNED", 1, alone.p_value)
    assert "against this gold set" not in alone.sentence
    assert 0.001 < alone.p_value < 0.01
    many = judge(base, cpt, GATE, 0.0, LIMITS, other_tries=[0.4] * 49)
    assert (many.outcome, many.label, many.tries) == ("TIE", "underpowered", 50)
    assert many.p_adjusted == pytest.approx(50 * alone.p_value)
    assert (many.low, many.high) == (alone.low, alone.high)
    assert "try 50 against this gold set" in many.sentence
    assert "not corrected" in many.sentence
    declared = verdict(base, cpt, earlier_tries=49)
    assert (declared.p_adjusted, declared.outcome) == (many.p_adjusted, "TIE")
    stepped = judge(base, cpt, GATE, 0.0, LIMITS, other_tries=[1e-9, 0.4])
    assert stepped.p_adjusted == pytest.approx(2 * alone.p_value)


def test_an_underpowered_tie_says_what_would_change_it() -> None:
    tie = verdict(*world(np.random.default_rng(8), gain=9))
    assert tie.label == "underpowered"
    assert tie.items_wanted is not None
    assert tie.items_wanted > tie.items
    assert "about 430 items (now 100) would show 4.2 points" in tie.sentence
    seeds = verdict(*world(np.random.default_rng(4), gain=9))
    assert "about 29 seeds (now 5) would show 5.8 points" in seeds.sentence
    good = verdict(*world(np.random.default_rng(0), items=200, gain=25))
    assert (good.items_wanted, good.seeds_wanted) == (None, None)
    noisy = verdict(*world(np.random.default_rng(1), seeds=2, items=400, sd=12.0, gain=3))
    assert (noisy.items_wanted, noisy.seeds_wanted) == (None, None)
    assert "neither items nor seeds alone would show" in noisy.sentence


def test_the_guard_is_a_non_inferiority_test() -> None:
    assert guard_state(0.01, LIMITS, 0.019) == "green"
    assert guard_state(0.01, LIMITS, 0.03) == "amber"
    assert guard_state(0.01, LIMITS, 0.06) == "red"
    base, cpt = world(np.random.default_rng(0), items=200, gain=25)
    unsure = judge(base, cpt, GATE, Interval(value=0.03, low=-0.02, high=0.08), LIMITS)
    assert (unsure.outcome, unsure.label, unsure.generic_high) == ("EARNED", "at a cost", 0.08)
    assert "rose by 0.030 nats, at most 0.080: mix back more" in unsure.sentence
    clean = with_clean_part(unsure, (base, cpt), GATE, LIMITS, None, [0])
    assert clean.clean_outcome == "EARNED"
    broken = judge(base, cpt, GATE, Interval(value=np.nan, low=np.nan, high=np.nan), LIMITS)
    assert (broken.guard, broken.generic_rise, broken.generic_high) == ("red", None, None)
