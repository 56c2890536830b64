"""Looks of a sequential gate: which seeds come next, what stops it, and what never changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.artifacts.gate import GateLook, ScoredArm
from engine.errors import InputError
from engine.gate.judge import judge, judge_arms
from engine.gate.looks import Tables, compare_endpoints, correct, next_step, take_look
from engine.gate.promise import describe, foresee
from engine.gold.example import GOLD_TAG, SPARE_TAG, Example
from engine.recipe.gate import Gate
from engine.stats.holm import weighted_holm
from engine.thresholds import effective
from tests.gate_world import FIXED, world

LIMITS = effective({})
SEQUENCE = {"seeds": list(range(20)), "looks": [5, 10, 20]}
GATE = Gate.model_validate(SEQUENCE)


def arms(seeds: int, seed: int = 0, **settings: Any) -> tuple[ScoredArm, ScoredArm]:
    """The first seeds of two arms of 20, so that later looks hold earlier ones."""
    base, cpt = world(np.random.default_rng(seed), seeds=20, **settings)
    return ScoredArm(scores=base[:seeds].tolist()), ScoredArm(scores=cpt[:seeds].tolist())


def test_alpha_is_spent_over_the_looks() -> None:
    assert [round(GATE.look_alpha(size), 4) for size in (5, 10, 20)] == [0.01, 0.015, 0.025]
    assert FIXED.look_alpha(5) == FIXED.alpha
    even = Gate.model_validate(
        {"seeds": list(range(8)), "looks": [2, 8], "look_shares": [0.5, 0.5]}
    )
    assert even.look_alpha(2) == even.look_alpha(8) == 0.025
    with pytest.raises(ValueError, match="looks at"):
        GATE.look_alpha(7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"looks": [5, 10]}, "last look is at all seeds"),
        ({"looks": [10, 5, 20]}, "must be numbers of seeds that grow"),
        ({"looks": [1, 20]}, "from 2"),
        ({"look_shares": [0.5, 0.5, 0.5]}, "sum to 1"),
        ({"look_shares": [0.5, 0.5]}, "3 shares"),
    ],
)
def test_looks_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Gate.model_validate({**SEQUENCE, **changes})


def test_the_driver_is_told_the_next_seeds_until_it_may_stop() -> None:
    first = next_step(*arms(5, gain=6), GATE)
    assert (first.stop, first.seeds) == (False, tuple(range(5, 10)))
    second = next_step(*arms(10, gain=6), GATE, before=[first.look])
    assert second.seeds == tuple(range(10, 20)) or second.stop
    last = next_step(*arms(20, gain=6), GATE, before=[first.look, second.look])
    assert last.stop
    assert last.seeds == ()
    clear = next_step(*arms(5, gain=40), GATE)
    assert (clear.stop, clear.look.decided, clear.seeds) == (True, "accuracy", ())
    futile = next_step(*arms(5, items=400, sd=0.3), GATE)
    assert futile.stop
    assert futile.look.predicted < 0.2
    assert "below 20%" in futile.why
    fixed = next_step(*arms(5, gain=6), FIXED)
    assert fixed.stop
    with pytest.raises(InputError, match="not at 7"):
        next_step(*arms(7), GATE)


def test_a_look_that_was_taken_stands() -> None:
    """Another try was judged in between: the look's own word holds; other scores are refused."""
    base, cpt = arms(5, gain=15)
    taken = next_step(base, cpt, GATE).look
    again = next_step(base, cpt, GATE, other_tries=[1.0] * 1000, before=[taken])
    assert again.look == taken
    assert next_step(base, cpt, GATE, other_tries=[1.0] * 100_000).look.decided == ""
    with pytest.raises(InputError, match="never taken again"):
        next_step(*arms(5, seed=1), GATE, before=[taken])


def test_the_verdict_is_by_the_looks_own_alpha() -> None:
    """p .02 is shown by a fixed gate and not by a first look that spends .01."""
    for seed in range(40):
        base, cpt = arms(5, seed, gain=9)
        fixed = judge(base.scores, cpt.scores, FIXED, 0.0, LIMITS)
        if 0.012 < fixed.p_value < 0.04 and fixed.estimate > 2:
            break
    else:
        raise AssertionError
    look = take_look(Tables(base.scores), Tables(cpt.scores), GATE)
    found = judge_arms(base, cpt, GATE, 0.0, LIMITS, looks=[look])
    assert (fixed.outcome, found.outcome) == ("EARNED", "TIE")
    assert found.try_p == pytest.approx(5 * fixed.p_value)
    assert found.p_adjusted == found.try_p
    assert (found.alpha, found.low < fixed.low) == (0.05 * 0.2, True)
    assert "99% interval" in found.sentence
    assert "look 1, at 5 seeds" in found.sentence
    assert look.boundary > look.estimate > 2


def test_ranking_has_its_share_and_leaves_it_to_accuracy() -> None:
    assert weighted_holm((0.02, 0.001), 0.8) == (0.02, 0.00125)
    assert weighted_holm((0.02, 0.5), 0.8) == (pytest.approx(0.1), 0.5)
    assert weighted_holm((0.001, 0.03), 0.8) == (pytest.approx(0.005), 0.03)


def ranked(arm: ScoredArm, shift: float, rng: np.random.Generator) -> ScoredArm:
    table = np.array(arm.scores)
    return arm.model_copy(
        update={"ranking": (0.8 + shift + rng.normal(0, 0.02, table.shape)).tolist()}
    )


def test_earned_by_ranking_needs_sign_and_size() -> None:
    gate = Gate.model_validate({"seeds": FIXED.seeds, "ranking_share": 0.8})
    for seed in range(60):
        base, cpt = arms(5, seed, gain=8)
        found = judge(base.scores, cpt.scores, FIXED, 0.0, LIMITS)
        if found.outcome == "TIE" and found.estimate > 2.5:
            break
    rng = np.random.default_rng(0)
    one = ranked(base, 0.0, rng)
    up, down = ranked(cpt, 0.05, rng), ranked(cpt, -0.05, rng)
    earned = judge_arms(one, up, gate, 0.0, LIMITS)
    assert (earned.outcome, earned.label) == ("EARNED", "by ranking")
    assert "EARNED, BY RANKING" in earned.sentence
    assert earned.ranking is not None
    assert earned.ranking.estimate == pytest.approx(5, abs=0.5)
    assert judge_arms(one, down, gate, 0.0, LIMITS).outcome == "TIE"
    wide = gate.model_copy(update={"margin": found.estimate + 1})
    assert judge_arms(one, up, wide, 0.0, LIMITS).outcome == "TIE"
    costly = judge_arms(one, up, gate, 0.2, LIMITS)
    assert costly.label == "by ranking, at a cost"
    tested = compare_endpoints(Tables(one.scores, one.ranking), Tables(up.scores, up.ranking), gate)
    assert correct(tested, gate, [1.0]).ranking == pytest.approx(min(1, 2 * tested.p[1]))


def test_an_arm_that_answers_alike_is_never_equivalent() -> None:
    base = ScoredArm(scores=[[1.0] * 40 + [0.0] * 60] * 5, constant=[0, 1, 2, 3, 4])
    cpt = ScoredArm(scores=base.scores)
    alike = judge_arms(base, cpt, FIXED, 0.0, LIMITS)
    assert (alike.outcome, alike.label) == ("TIE", "underpowered")
    assert "no equality is shown" in alike.sentence
    assert alike.mde > 8
    fine = judge_arms(base.model_copy(update={"constant": []}), cpt, FIXED, 0.0, LIMITS)
    assert fine.label == "equivalent"


def test_too_many_collapsed_seeds_are_not_judged() -> None:
    base, cpt = arms(5, gain=40)
    one = base.model_copy(update={"replaced": [3]})
    assert judge_arms(one, cpt, FIXED, 0.0, LIMITS).outcome == "EARNED"
    two = base.model_copy(update={"replaced": [3, 4]})
    found = judge_arms(two, cpt, FIXED, 0.0, LIMITS)
    assert (found.outcome, found.label) == ("NOT JUDGED", "")
    assert "the SFT does not learn here: 2 of the base arm's 5 seeds" in found.sentence
    step = next_step(two, arms(5)[1], GATE)
    assert step.stop
    assert "does not learn" in step.why
    strict = Gate.model_validate({"seeds": FIXED.seeds, "require_retention": True})
    assert judge_arms(two, cpt, strict, 0.5, LIMITS).outcome == "NOT JUDGED"


def test_equivalence_is_two_one_sided_tests() -> None:
    """The 90% interval lies inside the margin and the 95% one does not."""
    for seed in range(300):
        base, cpt = world(np.random.default_rng(seed), items=1200, sd=0.5)
        found = judge(base, cpt, FIXED, 0.0, LIMITS)
        if found.label == "equivalent" and max(-found.low, found.high) > 2:
            break
    else:
        raise AssertionError
    old = judge(base, cpt, FIXED.model_copy(update={"rules": 1}), 0.0, LIMITS)
    assert (old.label, old.rules) == ("underpowered", 1)


def test_printed_scores_have_the_printed_difference() -> None:
    """Sources of unequal size: what stands beside the estimate is weighed as it is."""
    base, cpt = world(np.random.default_rng(1), items=60, gain=10)
    groups = [f"s{min(number, 20)}" for number in range(60)]
    found = judge(base, cpt, FIXED, 0.0, LIMITS, groups)
    gap = np.mean(found.cpt_scores) - np.mean(found.base_scores)
    assert gap == pytest.approx(found.estimate)
    old = judge(base, cpt, FIXED.model_copy(update={"rules": 1}), 0.0, LIMITS, groups)
    assert np.mean(old.cpt_scores) - np.mean(old.base_scores) != pytest.approx(old.estimate)
    assert (old.estimate, old.low) == (found.estimate, found.low)


def test_spare_items_that_disagree_are_named() -> None:
    rng = np.random.default_rng(2)
    base = (rng.random((5, 300)) < 0.5).astype(float)
    cpt = base.copy()
    cpt[:, 100:] = np.maximum(cpt[:, 100:], rng.random((5, 200)) < 0.5)
    tags = [[GOLD_TAG]] * 100 + [[SPARE_TAG]] * 200
    found = judge(base, cpt, FIXED, 0.0, LIMITS, tags=tags)
    assert found.spare_disagrees
    assert found.spare_gap == pytest.approx(25, abs=5)
    assert "the spare SFT rows gain" in found.sentence
    assert [tag.tag for tag in found.by_tag] == [GOLD_TAG, SPARE_TAG]
    even = judge(base, base, FIXED, 0.0, LIMITS, tags=tags)
    assert (even.spare_gap, even.spare_disagrees) == (0.0, False)


def test_the_promise_names_its_price_and_three_ways() -> None:
    gold = [Example(f"p{n}", "a" if n % 2 else "b", ("a", "b")) for n in range(400)]
    base, _ = arms(5, items=400, sd=3.0)
    few = foresee(base, gold, FIXED)
    many = foresee(base, gold, GATE)
    assert 2 < many.floor <= many.mde < few.mde
    assert few.more.items is None or few.more.items > 400
    line = describe(many, 60)
    assert line.startswith(
        f"With 5 to 20 seeds and 400 items this gate shows {many.mde:.1f} points"
    )
    assert "a seed costs 1 min 00 s, 5 min 00 s to 20 min 00 s in all" in line
    assert "accept" in line
    tiny = foresee(arms(5, items=60)[0], gold[:60], GATE)
    assert "No number of seeds would show less than" in describe(tiny)
    assert foresee(base, gold, GATE, history=100.0).mde > many.mde
    assert isinstance(GateLook.model_validate(next_step(*arms(5), GATE).look.to_json()), GateLook)
