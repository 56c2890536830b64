"""The learning-rate pilot: three rates on the same first batches, each from the base.

A default rate is a guess about a model nobody looked at. Three short runs over the same tokens,
scored on both held-out sides, replace it by a measurement. Losses after so few steps favour hot
rates; the guard on the generic side is what holds them back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from engine.artifacts.training import RateTrial
from engine.files import digest
from engine.runs.events import Alarm, EvalPoint, TrainStep
from engine.thresholds import effective
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.packing.batches import Mix
from engine.worker.step.optimizer import learning_rate, make_optimizer
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper, mean_loss

FILE = "lr_pilot.json"
FACTORS = (1 / 3, 1.0, 3.0)
"""Of the recipe's or the default rate."""
SHARE, LEAST_STEPS, MOST_STEPS = 0.02, 10, 50
"""Steps of one rate: this share of the run's, within these bounds (engineering choice)."""


@dataclass
class LrPilot:
    """Tries the rates on ``model`` in place; it ends bit for bit as it was."""

    context: Context
    model: torch.nn.Module
    precision: Precision
    mix: Mix
    heldout: tuple[Rows, Rows]
    """Domain and generic held-out rows."""
    identity: dict[str, str]
    """What the run is made from: a kept result holds for the same only."""
    micro_batch: int
    on_oom: Callable[[int], None] = lambda rows: None
    trials: list[RateTrial] = field(default_factory=list)

    @property
    def steps(self) -> int:
        wanted = min(MOST_STEPS, max(LEAST_STEPS, round(SHARE * self.mix.steps)))
        return min(wanted, self.mix.steps)

    def choose(self, lr: float) -> tuple[float, str]:
        """The winning rate around ``lr``, and why. Finished trials are kept over a stop."""
        key = digest([self.identity, lr, FACTORS, self.steps])
        kept = self.context.scratch(FILE) or {}
        self.trials = (
            [RateTrial.model_validate(t) for t in kept["trials"]] if kept.get("key") == key else []
        )
        if len(self.trials) < len(FACTORS):
            before = self._losses()
            for factor in FACTORS[len(self.trials) :]:
                with restored(self.model):
                    self.trials.append(self._trial(float(f"{lr * factor:.3g}"), before[1]))
                made = {"key": key, "trials": [t.to_json() for t in self.trials]}
                self.context.keep_scratch(FILE, made)
        limit = effective(self.context.recipe.probe.thresholds)["forgetting_amber"]
        best = winner(self.trials, limit)
        if best.broken:
            message = "the loss broke at every rate of the pilot; the lowest is taken"
            self.context.emit(Alarm(level="red", stage="train", message=message))
        return best.lr, f"pilot of three, {self.steps} steps each: {describe_trials(self.trials)}"

    def _trial(self, lr: float, generic_before: float) -> RateTrial:
        train = self.context.recipe.train
        scale = embeddings_scale(train.embeddings_lr, lr)
        optimizer = make_optimizer(self.model, lr, train.weight_decay, train.betas, scale)
        stepper = Stepper(
            self.model, optimizer, self.precision, train.clip, self.micro_batch, self.on_oom
        )
        broken, tokens = False, 0
        for step in range(self.steps):
            began = time.monotonic()
            rows = self.mix.batch(step)
            rate = learning_rate(step, self.steps, lr, "constant", max(1, self.steps // 10), 1.0)
            torch.manual_seed(int(digest([train.seed, step])[:15], 16))  # dropout, as in training
            loss, norm = stepper.step(rows, rate)
            finite = math.isfinite(loss) and math.isfinite(norm)
            broken, tokens = broken or not finite, tokens + rows.targets
            self.context.emit(
                TrainStep(
                    step=step + 1,
                    total=self.steps,
                    tokens=tokens,
                    loss=loss if math.isfinite(loss) and rows.targets else None,
                    lr=rate,
                    grad_norm=norm if math.isfinite(norm) else None,
                    tokens_per_s=round(rows.targets / max(1e-9, time.monotonic() - began), 1),
                    series=f"pilot {lr:g}",
                )
            )
            self.context.progress(f"rate {lr:g}", step + 1, self.steps, "steps")
        self.micro_batch = stepper.micro_batch
        domain, generic = self._losses()
        self.context.emit(
            EvalPoint(step=self.steps, domain=domain, generic=generic, series=f"pilot {lr:g}")
        )
        if broken or not (math.isfinite(domain) and math.isfinite(generic)):
            return RateTrial(lr=lr, broken=True)
        rise = generic - generic_before
        return RateTrial(lr=lr, domain=domain, generic=generic, generic_rise=rise)

    def _losses(self) -> tuple[float, float]:
        check = self.context.raise_if_stopped
        domain, generic = (
            mean_loss(self.model, rows, self.precision, self.micro_batch, check)
            for rows in self.heldout
        )
        return domain, generic


@contextmanager
def restored(model: torch.nn.Module) -> Iterator[None]:
    """What is trained inside is put back at the end, bit for bit."""
    kept = [(p, p.detach().clone()) for p in models.trainable(model)]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in kept:
                parameter.copy_(value)


def winner(trials: list[RateTrial], limit: float) -> RateTrial:
    """The best domain loss whose generic rise is at most ``limit`` (nats), else the lowest rise.

    A rate at which the loss broke does not win; where all broke, the lowest rate is returned.
    """
    whole = [
        (t, t.domain, t.generic_rise)
        for t in trials
        if not t.broken and t.domain is not None and t.generic_rise is not None
    ]
    if not whole:
        return min(trials, key=lambda t: t.lr)
    safe = [(trial, domain) for trial, domain, rise in whole if rise <= limit]
    if safe:
        return min(safe, key=lambda pair: (pair[1], pair[0].lr))[0]
    return min(whole, key=lambda known: (known[2], known[0].lr))[0]


def describe_trials(trials: list[RateTrial]) -> str:
    """``1e-4: domain 2.310, generic +0.004; ...``"""
    return "; ".join(
        f"{t.lr:g}: "
        + ("broke" if t.broken else f"domain {t.domain:.4f}, generic {t.generic_rise:+.4f}")
        for t in trials
    )


def embeddings_scale(embeddings_lr: float | None, lr: float) -> float:
    """Rate of embeddings and head over the run's own: the recipe's, else a tenth."""
    return (embeddings_lr or lr / 10) / lr
