"""Supervised fine-tuning of the gate's probe: loss on completions only, one seed at a time.

A seed fixes the order of the data and how adapters begin; both arms take the same steps.
``schedule`` finds their number.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine.artifacts.gate_probe import ProbeSteps
from engine.errors import InputError
from engine.files import digest
from engine.gold.example import Example
from engine.recipe.adapters import Lora
from engine.recipe.gate import Gate
from engine.worker.gate.schedule import StopRule, chance_loss, open_plan, pinned_steps, rate_at
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder, Pairs, cheapest_row, pack_examples
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.rows import IGNORE, Rows
from engine.worker.step.step import Stepper, mean_loss

MICRO_TOKENS = 4_096
LEAST_ROW = 256
"""Tokens of a row at least, where the model's context has them."""
DEV_SHARE = 5
"""One in so many SFT examples is held out while a rate is chosen."""
DEV_MOST = 200
DEV_LEAST = 8
"""With fewer dev examples no rate is chosen by them; engineering choice."""

Say = Callable[[float], None]
"""Hears the share of the steps that is done; what it raises (a stop) ends the training."""


Extra = Callable[[list[Pairs]], list[Pairs]]
"""More training text for a step's examples: stage two's generic pieces; none in the gate."""


class Diverged(InputError):
    """The loss or the gradient is not finite any more."""


@dataclass(frozen=True)
class Trained:
    """What a training took, and how it went."""

    plan: ProbeSteps
    losses: list[float]
    """Mean nats a completion token, by step."""
    chance: float
    """Loss of who knows the labels' frequencies alone; infinite for free text."""


@dataclass
class Room:
    """Tokens of a micro-batch: halved for good where memory ended."""

    tokens: int = MICRO_TOKENS

    def pack(self, pairs: Sequence[Pairs], base: models.Base, stepper: Stepper) -> Rows:
        """A step's examples in rows as cheap as this model reads them; sets the micro-batch."""
        width = int(models.text_config(base.config).hidden_size)
        length = cheapest_row([len(p) for p in pairs], base.context, width)
        stepper.micro_batch = max(1, self.tokens // length)
        stepper.on_oom = lambda rows: self._shrink(rows * length)
        return pack_examples(pairs, length, base.eos)

    def _shrink(self, tokens: int) -> None:
        self.tokens = tokens


@dataclass(frozen=True)
class Tuner:
    """What both arms of a gate share when they are fine-tuned."""

    base: models.Base
    gate: Gate
    precision: Precision

    def begin(self, model: torch.nn.Module, seed: int) -> torch.nn.Module:
        """A copy of ``model`` ready to train, with fresh adapters where the probe trains such."""
        torch.manual_seed(seed)
        mine = copy.deepcopy(model)
        lora = Lora.model_validate({})
        settings = methods.MethodSettings(lora, self.gate.probe.rank, seed)
        return self._method.ready(mine, settings)

    def merged(self, model: torch.nn.Module) -> torch.nn.Module:
        """What ``begin`` returned and ``train`` trained, as a plain model."""
        return self._method.merge(model, self.base)

    @property
    def _method(self) -> methods.Method:
        return methods.METHODS[self.gate.probe.method]

    def train(
        self,
        model: torch.nn.Module,
        examples: Sequence[Example],
        lr: float,
        seed: int,
        say: Say,
        extra: Extra = lambda taught: [],
        plan: ProbeSteps | None = None,
    ) -> Trained:
        """Train what ``begin`` returned by ``plan``. Raises Diverged.

        Without a plan the recipe's epochs are taken, or the steps at which the data are learnt.
        """
        pairs = self._pairs(examples)
        probe, chance = self.gate.probe, self._chance(examples, pairs)
        rule = StopRule(probe, len(pairs), chance)
        if plan is None and probe.epochs is not None:
            plan = pinned_steps(probe, len(pairs))
        stepper = Stepper(model, make_optimizer(model, lr), self.precision, 1.0, 1)
        room = Room()
        losses: list[float] = []
        batches = _batches(len(pairs), probe.batch, seed)
        while plan is None or len(losses) < plan.steps:
            step = len(losses)
            batch = next(batches)
            if plan is not None:
                batch = batch[: plan.examples - step * probe.batch]
            taught = [pairs[i] for i in batch]
            rate = rate_at(step, lr, plan or open_plan(rule))
            rows = room.pack([*taught, *extra(taught)], self.base, stepper)
            torch.manual_seed((seed * 1_000_003 + step) % 2**63)
            loss, norm = stepper.step(rows, rate)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                end = f" of {plan.steps}" if plan else ""
                raise Diverged(
                    f"loss {loss:g}, gradient norm {norm:g} at SFT step {step + 1}{end} with "
                    f"learning rate {lr:g}"
                )
            losses.append(loss)
            plan = plan or rule.ask(losses)
            say(len(losses) / (plan.steps if plan else rule.most))
        return Trained(plan, losses, chance)

    def _chance(self, examples: Sequence[Example], pairs: Sequence[Pairs]) -> float:
        """Loss of who knows the labels' frequencies alone."""
        tokens = sum(int((p["label"][1:] != IGNORE).sum()) for p in pairs)
        return chance_loss([example.completion for example in examples], max(1, tokens))

    def loss(self, model: torch.nn.Module, examples: Sequence[Example]) -> float:
        """Mean nats per token of the examples' completions."""
        pairs = self._pairs(examples)
        length = self._length(pairs)
        rows: Rows = pack_examples(pairs, length, self.base.eos)
        return mean_loss(model, rows, self.precision, max(1, MICRO_TOKENS // length))

    def _pairs(self, examples: Sequence[Example]) -> list[Any]:
        encoder = Encoder(self.base, self.gate.template)
        return [encoder.training(example) for example in examples]

    def _length(self, pairs: Sequence[Any]) -> int:
        return min(self.base.context, max(LEAST_ROW, *map(len, pairs)))


def dev_split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(train, dev): the same split in both arms; examples of one group stay together.

    One in five and 200 at most is held out; nothing where that would be less than eight.
    """
    size = min(DEV_MOST, len(examples) // DEV_SHARE)
    if size < DEV_LEAST:
        return list(examples), []
    keys = [digest([example.group or example.prompt]) for example in examples]
    edge = sorted(keys)[size - 1]
    sides: tuple[list[Example], list[Example]] = ([], [])
    for key, example in zip(keys, examples, strict=True):
        sides[key <= edge].append(example)
    return sides if sides[0] else (list(examples), [])


def _batches(count: int, size: int, seed: int) -> Iterator[npt.NDArray[Any]]:
    """Index batches without an end: an own permutation for every epoch, from the seed alone."""
    stream = np.empty(0, dtype=np.int64)
    for epoch in itertools.count():
        stream = np.concatenate([stream, np.random.default_rng([seed, epoch]).permutation(count)])
        while len(stream) >= size:
            yield stream[:size]
            stream = stream[size:]
