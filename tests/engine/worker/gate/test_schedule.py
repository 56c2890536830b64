"""When the probe has learnt its data: a rule on losses alone, and a rate whose past it keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.artifacts.gate_probe import ProbeSteps
from engine.recipe.gate import Sft
from engine.worker.gate.schedule import (
    StopRule,
    chance_loss,
    has_collapsed,
    open_plan,
    pinned_steps,
    rate_at,
)


def rule(examples: int = 160, ceiling: float = math.inf, **probe: object) -> StopRule:
    return StopRule(Sft.model_validate({"batch": 16, **probe}), examples, ceiling)


def ask_along(asked: StopRule, losses: list[float]) -> ProbeSteps | None:
    """The plan at the first step at which there is one."""
    plans = (asked.ask(losses[: step + 1]) for step in range(len(losses)))
    return next((plan for plan in plans if plan is not None), None)


def test_a_low_loss_ends_the_search_at_the_end_of_its_round() -> None:
    losses = [3.0 * 0.8**step for step in range(200)]
    plan = ask_along(rule(), losses)
    assert plan is not None
    assert plan.why == "learnt"
    assert plan.hold is not None
    assert plan.hold % 10 == 0, "an epoch has ten steps"
    assert np.mean(losses[plan.hold - 10 : plan.hold]) < 0.05
    assert np.mean(losses[plan.hold - 20 : plan.hold - 10]) >= 0.05
    assert plan.steps == plan.hold + round(plan.hold / 4)


def test_a_loss_that_falls_no_more_is_flat_but_not_above_chance() -> None:
    level = [1.0] * 400
    plan = ask_along(rule(), level)
    assert plan is not None
    assert (plan.why, plan.hold) == ("flat", 40)
    stuck = ask_along(rule(ceiling=1.01), level)
    assert stuck is not None
    assert stuck.why == "cap", "at the labels' entropy nothing has been learnt yet"


def test_a_loss_that_still_falls_is_followed_up_to_the_cap() -> None:
    falling = [4.0 * 0.99**step for step in range(400)]
    plan = ask_along(rule(most_epochs=5), falling)
    assert plan is not None
    assert plan.why == "cap"
    assert plan.steps <= 5 * 10
    assert "still fell" in plan.sentence


def test_the_steps_before_the_rate_falls_do_not_know_the_end() -> None:
    """So the run that finds the length is the first seed's own, step for step."""
    asked = rule()
    plan = ask_along(asked, [1.0] * 400)
    assert plan is not None
    assert plan.hold is not None
    ahead = [rate_at(step, 1e-3, open_plan(asked)) for step in range(plan.hold)]
    assert ahead == [rate_at(step, 1e-3, plan) for step in range(plan.hold)]
    after = [rate_at(step, 1e-3, plan) for step in range(plan.hold, plan.steps)]
    assert after == sorted(after, reverse=True)
    assert 0 < after[-1] < 2e-4
    assert after[0] < 1e-3


def test_pinned_epochs_keep_their_cosine() -> None:
    plan = pinned_steps(Sft.model_validate({"epochs": 2, "batch": 16}), 100)
    assert (plan.steps, plan.examples, plan.hold) == (13, 200, None)
    rates = [rate_at(step, 1.0, plan) for step in range(13)]
    assert rates[0] == max(rates) == 1.0
    assert rates[-1] < 0.05


def test_chance_is_the_entropy_of_the_labels_and_unknown_for_free_text() -> None:
    assert chance_loss(["a", "b"] * 10, 40) == pytest.approx(math.log(2) / 2)
    assert chance_loss(["a"] * 18 + ["b"] * 2, 20) == pytest.approx(0.3250, abs=1e-4)
    assert chance_loss([str(n) for n in range(20)], 40) == math.inf
    assert chance_loss(["a"] * 20, 40) == math.inf


@pytest.mark.parametrize(
    ("losses", "chance", "collapsed"),
    [
        ([3.0] * 10 + [0.8] * 20, 0.7, True),
        ([3.0] * 10 + [0.6] * 20, 0.7, False),
        ([3.0] * 30, math.inf, True),
        ([3.0] * 10 + [2.9] * 20, math.inf, False),
    ],
)
def test_collapse_reads_sft_loss_alone(losses: list[float], chance: float, collapsed: bool) -> None:
    assert has_collapsed(losses, chance) == collapsed
