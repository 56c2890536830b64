"""Training with new tokens: their rows alone first, then with the run's own method.

The rows are part of embeddings and head, which are trained in place with the gradient of all
other rows set to 0: AdamW's moments and update are then exactly 0 there, once weight decay is
off. In the first steps nothing else has a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from engine.artifacts.training import NewRowsOutcome
from engine.recipe.sections import Recipe
from engine.runs.events import VocabPoint
from engine.worker.model.embeddings import token_rows
from engine.worker.step.optimizer import learning_rate
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.step import Stepper
from engine.worker.vocabulary.stage import SIDES, Extended

ROWS_FACTOR = 10
"""New rows' rate over the run's. Measured on stories260k (0.5M medical tokens, full, 9 of 92
steps alone): held-out bits/byte 4.04 -> 3.97 at the run's rate, 3.72 at ten times of it; at the
end 2.454 and 2.439. Thirty times gave 3.59 and 2.399, but cost more on generic text."""

Measured = dict[str, dict[str, float]]
"""Bits per byte of both sides by point."""


class NewRows:
    """The rows of one run's new tokens, bound to its model and optimizer."""

    def __init__(
        self,
        extended: Extended,
        recipe: Recipe,
        spread: SingleProcess,
        optimizer: Any,
        total: int,
        lr: float,
    ) -> None:
        self.extended, self._train, self._model = extended, recipe.train, spread.model
        self.steps = alone(recipe, total)
        self._total, self._lr = total, lr
        self._scale = (recipe.vocab.rows_lr or min(1.0, ROWS_FACTOR * lr)) / lr
        self._masks: dict[torch.nn.Parameter, torch.Tensor] = {}
        for weight in token_rows(spread.model):
            rows = torch.zeros(weight.shape[0], *[1] * (weight.ndim - 1))
            rows[extended.rows.start : extended.rows.stop] = 1
            self._masks[weight] = spread.place(rows, weight)
        self._groups = [
            (group, group["scale"], group["weight_decay"])
            for group in optimizer.param_groups
            if any(p in self._masks for p in group["params"])
        ]
        self.measured: Measured = dict(extended.made.bits_per_byte)
        self._step = 0

    def rate(self, step: int, warmup: int) -> float:
        """Begin a step; returns the run's rate at it. The first steps have an own warm-up."""
        self._begin(step)
        train, left = self._train, self._total - self.steps
        if step < self.steps:
            return learning_rate(step, self.steps, self._lr, "constant", -(-self.steps // 10), 1.0)
        return learning_rate(
            step - self.steps,
            left,
            self._lr,
            train.schedule,
            min(warmup, max(1, left // 4)),
            train.min_lr_share,
            train.decay_share,
        )

    def _begin(self, step: int) -> None:
        self._step = step
        masked = self._masked
        for group, scale, decay in self._groups:
            group["scale"] = self._scale if masked else scale
            group["weight_decay"] = 0.0 if masked else decay

    @property
    def _masked(self) -> bool:
        return self._step < self.steps or not self._train.train_embeddings

    def mask(self) -> None:
        """Leave only what this step trains with a gradient."""
        if self._step < self.steps:
            for parameter in self._model.parameters():
                if parameter not in self._masks:
                    parameter.grad = None
        if self._masked:
            for weight, rows in self._masks.items():
                if weight.grad is not None:
                    weight.grad.mul_(rows)

    def due(self, step: int) -> str:
        """The point to measure before this step is trained; empty for none."""
        self._step = step
        point = {self.steps: "rows", self._total: "end"}.get(step, "")
        return "" if point in self.measured else point

    def measure(self, point: str, stepper: Stepper, check: Callable[[], None]) -> VocabPoint:
        """Measure and keep a point; returns its event. ``check`` may raise; all ranks call."""
        domain, generic = (
            side.bits_per_byte(
                stepper.model, stepper.precision, stepper.micro_batch, check, stepper.over
            )
            for side in self.extended.heldout
        )
        self.measured[point] = dict(zip(SIDES, (domain, generic), strict=True))
        return VocabPoint(point=point, step=self._step, domain=domain, generic=generic)

    def rise(self) -> float:
        """By how many nats a token of the base's own generic text got dearer since the base.

        Not since the new rows stood at their mean: that loss is part of the price.
        """
        rise = self.measured["end"]["generic"] - self.measured["before"]["generic"]
        return rise * math.log(2) * self.extended.heldout[1].bytes / self.extended.base_tokens

    def outcome(self) -> NewRowsOutcome:
        """What the train artifact says of the extension."""
        made = self.extended.made
        return NewRowsOutcome(
            new_tokens=made.tokens,
            rows_steps=self.steps,
            bits_per_byte=self.measured,
            tokens_per_document=made.tokens_per_document,
        )

    def facts(self) -> str:
        """For the header."""
        what = (
            "embeddings and head" if self._train.train_embeddings else "the method and these rows"
        )
        return (
            f"{self.extended.made.tokens:,} new tokens: their rows alone for the first "
            f"{self.steps} of {self._total} steps, then {what}"
        )


def alone(recipe: Recipe, total: int) -> int:
    """Steps in which only new rows are trained: ``[vocab] rows_share`` of all, one at least."""
    return min(max(1, round(recipe.vocab.rows_share * total)), max(1, total - 1))
