"""The gate's SFT probe: train one arm on the pinned SFT data with one seed, score the gold set.

Both arms get the same data, steps and seeds; a seed fixes data order and adapter
initialisation.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine import recipe as recipes
from engine.errors import InputError
from engine.events import Alarm, ArmSeed
from engine.gold import Example
from engine.run import private_dir, write_json
from engine.worker import methods
from engine.worker import model as models
from engine.worker.context import Context
from engine.worker.examples import Encoder, Pairs, pack_examples
from engine.worker.generate import check_answers, exact_match
from engine.worker.loop import Stepper, learning_rate, make_optimizer
from engine.worker.score import Told, choice_scores, tree_of

MICRO_TOKENS = 4_096


@dataclass
class Arm:
    """One arm of the gate: a starting model, the pinned probe, and its seeds."""

    context: Context
    base: models.Base
    name: str
    model: torch.nn.Module
    precision: models.Precision
    sft: list[Example]
    gold: list[Example]
    fingerprint: str
    extra: Callable[[list[Pairs]], list[Pairs]] = lambda taught: []
    """More training text for a step's examples: stage two's generic pieces; none in the gate."""
    unmerged: Callable[[torch.nn.Module], None] = lambda model: None
    """Sees the trained model before its adapters are merged."""

    def scores(self) -> npt.NDArray[np.float64]:
        """Score of every gold item under every seed [S, n] in 0..1; finished seeds are reused.

        InputError where an item cannot be scored or a seed diverges.
        """
        seeds = self.context.recipe.gate.seeds
        self._check()
        self.started = time.monotonic()
        rows: list[list[float]] = []
        for number, seed in enumerate(seeds):
            kept = self.context.scratch(self._file(seed))
            if kept is None or kept["fingerprint"] != self.fingerprint:
                kept = {"fingerprint": self.fingerprint, "scores": self._one(seed, number)}
                folder = private_dir(self.context.run.path / "artifacts" / "arms")
                write_json(folder / f"{self.name}-{seed}.json", kept)
            rows.append(kept["scores"])
            score = 100 * float(np.mean(kept["scores"]))
            self.context.emit(
                ArmSeed(
                    arm=self.name,
                    seed=seed,
                    score=round(score, 3),
                    items=len(self.gold),
                    done=number + 1,
                    total=len(seeds),
                )
            )
        return np.array(rows)

    def _check(self) -> None:
        """Before any seed is trained: can every item be scored, and what is cut?"""
        encoder = Encoder(self.base)
        if self.context.recipe.gate.metric == "exact_match":
            check_answers(self.base, self.gold)
        else:
            for example in self.gold:
                tree_of(encoder, example)
        cut = sum(len(encoder.ids(e.completion)) >= encoder.longest for e in self.sft)
        if cut:
            message = (
                f"{cut} of {len(self.sft)} SFT completions are longer than half of the context "
                f"({self.base.context} tokens) and lose their end"
            )
            self.context.emit(Alarm(level="note", stage=self.context.stage, message=message))

    def _file(self, seed: int) -> str:
        return f"arms/{self.name}-{seed}.json"

    def _one(self, seed: int, number: int) -> list[float]:
        model = self._train(seed, number)
        return self.score(model, lambda share: self._progress("scoring", number, 0.7 + 0.3 * share))

    def score(self, model: torch.nn.Module, told: Told) -> list[float]:
        """Score of every gold item (0..1) by the gate's metric."""
        score = exact_match if self.context.recipe.gate.metric == "exact_match" else choice_scores
        return score(model, self.base, self.gold, self.precision, told)

    def _progress(self, what: str, number: int, part: float) -> None:
        seeds = len(self.context.recipe.gate.seeds)
        self.context.progress(
            f"{self.name} arm, seed {number + 1} of {seeds}: {what}",
            number + part,
            seeds,
            "seeds",
            self.started,
        )

    def _train(self, seed: int, number: int) -> torch.nn.Module:
        """The pinned SFT recipe from this arm's model with one seed; adapters merged."""
        probe = self.context.recipe.gate.probe
        torch.manual_seed(seed)
        model = copy.deepcopy(self.model)
        if probe.method == "lora":
            model = methods.wrap_lora(model, recipes.Lora.model_validate({}), probe.rank, seed)
        lr = probe.lr or (1e-4 if probe.method == "lora" else 5e-5)
        encoder = Encoder(self.base)
        pairs = [encoder.training(e) for e in self.sft]
        length = max(len(p) for p in pairs)
        length = min(self.base.context, max(length, 256))
        batches = list(_batches(len(pairs), probe.batch, probe.epochs, seed))
        optimizer = make_optimizer(model, lr)
        stepper = Stepper(model, optimizer, self.precision, 1.0, max(1, MICRO_TOKENS // length))
        for step, batch in enumerate(batches):
            taught = [pairs[i] for i in batch]
            rows = pack_examples([*taught, *self.extra(taught)], length, self.base.eos)
            rate = learning_rate(step, len(batches), lr, "cosine", max(1, len(batches) // 10), 0.0)
            torch.manual_seed(seed * 1_000_003 + step)
            loss, norm = stepper.step(rows, rate)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise InputError(
                    f"The {self.name} arm with seed {seed} diverged: loss {loss:g}, gradient norm "
                    f"{norm:g} at SFT step {step + 1} of {len(batches)} with learning rate {lr:g}; "
                    "start a new run with a lower gate.probe.lr"
                )
            self._progress("SFT", number, 0.7 * step / len(batches))
        self.unmerged(model)
        return methods.merged(model)


def _batches(count: int, size: int, epochs: float, seed: int) -> Iterator[npt.NDArray[Any]]:
    """Index batches: an own permutation for every epoch, from the seed alone."""
    total = max(1, round(count * epochs))
    whole = [
        np.random.default_rng([seed, epoch]).permutation(count)
        for epoch in range(-(-total // count))
    ]
    stream = np.concatenate(whole)[:total]
    for start in range(0, total, size):
        yield stream[start : start + size]
