"""When has the gate's probe learnt its data? A stop rule that reads SFT loss, and the rate.

A probe that stops early measures which checkpoint learns its labels sooner. The rule is
registered, reads the base arm's first seed alone and never the gold set: the loss of the last
tenth of the steps is below ``LEARNT``, or it has fallen by less than ``FLAT`` over the last
quarter. Short fine-tuning is unstable because it is short (Mosbach 2021, arXiv 2006.04884).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.artifacts.gate_probe import ProbeSteps
from engine.recipe.gate import Sft
from engine.worker.step.optimizer import learning_rate

PROBE_RULE = 1
"""Counts changes of what follows: the rules are registered by it."""
LEARNT = 0.05
"""Nats per completion token below which the SFT data are learnt. On medical_question_type the
base's seeds spread by 4.4 points where this loss was .3, and by .4 where it was .004."""
FLAT = 0.05
"""Least share by which the loss must fall over a quarter of the steps; engineering choice."""
ROUND = 2_000
"""Examples of a round at most: the rule is asked once a round, an epoch where that is shorter."""
BEGUN = 0.9
"""Share of the loss of who knows the labels' frequencies alone, below which a training has begun
to tell the labels apart: a plateau above it is the one before learning, not the one after."""
HOPELESS = 1.05
"""The same share above which not even the frequencies are learnt: the mean over the last steps
scatters by a few percent around a plateau."""
LEAST_ROUNDS = 4
"""Rounds before a loss can be called flat: a quarter of them is then one."""
TAIL_STEPS = 10
"""Steps of the last tenth at least: a mean over fewer batches is noise."""
DECAY = 0.25
"""Steps over which the rate falls, as a share of those before it: a fifth of all, as in a
warm-up, stable and decay schedule (Hägele 2024, arXiv 2405.18392)."""
WARMUP = 0.1
MOST_LABELS = 50
"""Distinct completions of SFT data that are labels, as those of a gold set are choices."""


def pinned_steps(probe: Sft, examples: int) -> ProbeSteps:
    """The steps of a recipe that gives its epochs."""
    assert probe.epochs is not None
    seen = max(1, round(examples * probe.epochs))
    steps = -(-seen // probe.batch)
    return ProbeSteps(steps=steps, examples=seen, warmup=max(1, steps // 10), epochs=probe.epochs)


def open_plan(rule: StopRule) -> ProbeSteps:
    """The plan of a training whose end is not known yet: it warms up and stays at its peak."""
    most = rule.most + 1
    return ProbeSteps(steps=most, examples=most, warmup=rule.warmup, hold=most)


def rate_at(step: int, peak: float, plan: ProbeSteps) -> float:
    """The rate of a step (0-based)."""
    if plan.hold is None:
        return learning_rate(step, plan.steps, peak, "cosine", plan.warmup, 0.0)
    if step < plan.hold:
        return peak * min(1.0, (step + 1) / plan.warmup)
    return peak * (plan.steps - step) / (plan.steps - plan.hold + 1)


@dataclass(frozen=True)
class StopRule:
    """Follows the loss of a training at its peak rate, and says when to let the rate fall."""

    probe: Sft
    examples: int
    ceiling: float
    """Nats a token that the labels' frequencies alone give; infinite for free text."""

    @property
    def round(self) -> int:
        """Steps of a round."""
        return max(1, -(-min(ROUND, self.examples) // self.probe.batch))

    @property
    def warmup(self) -> int:
        """A tenth of the rounds that a flat loss takes at least."""
        return max(1, round(WARMUP * LEAST_ROUNDS * self.round))

    @property
    def most(self) -> int:
        """Steps at the peak rate that leave room for its fall within the most epochs."""
        whole = self.probe.most_epochs * self.examples / self.probe.batch
        return max(self.round, math.floor(whole / (1 + DECAY)))

    def ask(self, losses: Sequence[float]) -> ProbeSteps | None:
        """The plan, once the steps that are done are enough."""
        done = len(losses)
        if done < self.warmup or (done % self.round and done < self.most):
            return None
        if tail_mean(losses) < LEARNT:
            return self._plan(losses, "learnt")
        if self._is_flat(losses):
            return self._plan(losses, "flat")
        return self._plan(losses, "cap") if done >= self.most else None

    def _is_flat(self, losses: Sequence[float]) -> bool:
        """Whether the last round is no better than the one a quarter of the steps before it."""
        rounds = len(losses) // self.round
        if rounds < LEAST_ROUNDS:
            return False
        means = np.array(losses[: rounds * self.round]).reshape(rounds, self.round).mean(axis=1)
        then = means[-1 - max(1, rounds // 4)]
        return bool(means[-1] < BEGUN * self.ceiling and means[-1] > (1 - FLAT) * then)

    def _plan(self, losses: Sequence[float], why: str) -> ProbeSteps:
        hold = len(losses)
        steps = hold + max(1, round(DECAY * hold))
        seen = steps * self.probe.batch
        return ProbeSteps.model_validate(
            {
                "steps": steps,
                "examples": seen,
                "warmup": self.warmup,
                "hold": hold,
                "why": why,
                "loss": round(tail_mean(losses), 4),
                "epochs": round(seen / self.examples, 2),
            }
        )


def tail_mean(losses: Sequence[float]) -> float:
    """Mean over the last tenth of the steps."""
    return float(np.mean(losses[-max(TAIL_STEPS, len(losses) // 10) :]))


def chance_loss(completions: Sequence[str], tokens: int) -> float:
    """Nats a token of who knows the labels' frequencies and no more; infinite for free text.

    ``tokens`` are those of all completions together.
    """
    counts = Counter(completions)
    if not 2 <= len(counts) <= min(MOST_LABELS, len(completions) // 2):
        return math.inf
    shares = np.array(list(counts.values())) / len(completions)
    return float(-(shares * np.log(shares)).sum() * len(completions) / tokens)


def has_collapsed(losses: Sequence[float], chance: float) -> bool:
    """Whether a training has taught nothing; reads SFT loss alone.

    Labels: the last tenth is clearly above what their frequencies give. Free text: it is no
    lower than the first tenth.
    """
    if math.isfinite(chance):
        return tail_mean(losses) > HOPELESS * chance
    first = float(np.mean(losses[: max(1, len(losses) // 10)]))
    return len(losses) > 1 and tail_mean(losses) >= first
