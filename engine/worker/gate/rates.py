"""Which learning rate a seed of the gate trains with: a pinned one, or its own best of a grid.

Each seed chooses for itself, by the loss of its own dev split, as prompts are tuned for each
model in a fair comparison (Jeong 2024, arXiv 2411.04118): the luck of a choice is then a part
of the seeds' spread, which the test knows. One choice an arm would be luck that it does not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

import torch

from engine.artifacts.gate import ArmRate, RateLoss, TriedRate
from engine.artifacts.gate_probe import ProbeSteps
from engine.errors import InputError
from engine.gold.example import Example
from engine.recipe.gate import Gate
from engine.worker.gate.arm_files import ArmFiles
from engine.worker.gate.sft import DEV_LEAST, Diverged, Say, Tuner, dev_split

Note = Callable[[str], None]
"""Tells the reader something."""


@dataclass(frozen=True)
class RateChoice:
    """The dev trials of one arm's grid."""

    name: str
    """Of the arm."""
    model: torch.nn.Module
    gate: Gate
    files: ArmFiles
    tuner: Tuner

    @property
    def trials(self) -> int:
        """Dev trials that choose a rate; none where it is pinned."""
        rates = self.gate.probe.rates
        return len(rates) if len(rates) > 1 else 0

    def choose(
        self, examples: Sequence[Example], seed: int, plan: ProbeSteps | None, say: Say, note: Note
    ) -> ArmRate:
        """The pinned rate, or that of least dev loss under a seed; the lower of equals.

        InputError where all of them diverge.
        """
        rates = self.gate.probe.rates
        if not self.trials:
            return ArmRate(lr=rates[0])
        train, dev = dev_split(examples)
        if not dev:
            note(
                f"{len(examples)} SFT examples are too few to choose a rate by (a fifth of them "
                f"must be {DEV_LEAST}): {middle(rates):g} is taken"
            )
            return ArmRate(lr=middle(rates))
        losses = {}
        for number, lr in enumerate(rates):
            step = lambda share, number=number: say((number + share) / len(rates))  # noqa: E731
            losses[lr] = self._dev_loss(lr, seed, train, dev, plan, step)
        finite = [(lr, loss) for lr, loss in losses.items() if math.isfinite(loss)]
        if not finite:
            raise InputError(
                f"The {self.name} arm diverged with every rate of gate.probe.lrs; start a new run "
                "with lower ones"
            )
        best, loss = min(finite, key=lambda pair: pair[1])
        if best in (rates[0], rates[-1]):
            side = "lowest" if best == rates[0] else "highest"
            note(
                f"the {self.name} arm's best rate is the {side} of the grid "
                f"({best:g}): a better one may lie beyond; a new run may widen gate.probe.lrs"
            )
        tried = [TriedRate(lr=lr, loss=finite_or_none(loss)) for lr, loss in losses.items()]
        return ArmRate(lr=best, loss=loss, grid=tried, dev_examples=len(dev))

    def _dev_loss(
        self,
        lr: float,
        seed: int,
        train: list[Example],
        dev: list[Example],
        plan: ProbeSteps | None,
        say: Say,
    ) -> float:
        """Dev loss (nats a completion token) after the pinned steps; infinite if it diverged."""
        name = trial_name(self.gate, lr, seed)
        kept = self.files.read(name, RateLoss)
        if kept is None:
            model = self.tuner.begin(self.model, seed)
            try:
                self.tuner.train(model, train, lr, seed, say, plan=plan)
                loss = self.tuner.loss(model, dev)
            except Diverged:
                loss = math.inf
            kept = self.files.write(name, RateLoss(loss=finite_or_none(loss)))
        return math.inf if kept.loss is None else kept.loss


def finite_or_none(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def middle(rates: Sequence[float]) -> float:
    """The rate of a grid that nothing was chosen by; the lower of two."""
    return rates[(len(rates) - 1) // 2]


def trial_name(gate: Gate, lr: float, seed: int) -> str:
    """The file of one dev trial; gates of rules 1 chose once an arm, on their first seed."""
    return f"rate-{lr:g}" if gate.rules == 1 else f"rate-{lr:g}-{seed}"


def summary_of(rates: Sequence[ArmRate]) -> ArmRate:
    """What an arm's seeds trained with: the middle rate, and the mean dev losses."""
    grids = [{one.lr: one.loss for one in rate.grid} for rate in rates if rate.grid]
    lr = median_low([rate.lr for rate in rates])
    if not grids:
        return rates[0].model_copy(update={"lr": lr})
    known = {lr: [loss for grid in grids if (loss := grid.get(lr)) is not None] for lr in grids[0]}
    tried = [
        TriedRate(lr=lr, loss=fmean(losses) if losses else None) for lr, losses in known.items()
    ]
    losses = [rate.loss for rate in rates if rate.loss is not None]
    return ArmRate(
        lr=lr,
        loss=fmean(losses) if losses else None,
        grid=tried,
        dev_examples=rates[0].dev_examples,
    )
