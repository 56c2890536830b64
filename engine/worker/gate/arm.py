"""The gate's SFT probe: train one arm on the pinned SFT data, seed by seed, and score it.

Both arms get the same data, steps, seeds and grid of learning rates; each takes the rate that
gives its own dev split the least loss, as prompts are tuned for each model in a fair comparison
(Jeong 2024, arXiv 2411.04118).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from engine.artifacts.gate import ArmRate, RateLoss, SeedScores, TriedRate
from engine.errors import InputError
from engine.gold.example import Example
from engine.gold.metrics import METRICS, answer_text, item_scores
from engine.recipe.gate import Gate
from engine.runs.events import Alarm, ArmSeed, Facts
from engine.worker.gate.arm_files import ArmFiles
from engine.worker.gate.sft import DEV_LEAST, Diverged, Tuner, dev_split
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.generate import new_tokens
from engine.worker.scoring.gold import gold_answers
from engine.worker.scoring.likelihood import tree_of

SFT_SHARE = 0.7
"""Of a probe's progress, what the training takes."""
SHOWN = 300
"""Characters of an answer that are kept with its score."""


@dataclass(frozen=True)
class Result:
    """One arm, scored."""

    scores: npt.NDArray[np.float64]
    """[S, n], shares of the metric."""
    logprobs: npt.NDArray[np.float64]
    """[S, n], nats of each gold answer."""
    answers: list[list[str]]
    """[S][n], what was answered, shortened."""
    rate: ArmRate

    @property
    def constant_seeds(self) -> int:
        """Seeds under which every item got the same answer: the probe has not learnt the task."""
        return sum(len(row) > 1 and len(set(row)) == 1 for row in self.answers)


@dataclass
class SftArm:
    """One arm of the gate: a starting model, the pinned probe, and its seeds."""

    context: Context
    base: models.Base
    name: str
    model: torch.nn.Module
    precision: Precision
    sft: list[Example]
    gold: list[Example]
    fingerprint: str
    probes: int = 0
    """Probes that are through, dev trials among them."""

    @property
    def gate(self) -> Gate:
        return self.context.recipe.gate

    @cached_property
    def files(self) -> ArmFiles:
        return ArmFiles(self.context.run.path / "artifacts" / "arms", self.name, self.fingerprint)

    @cached_property
    def tuner(self) -> Tuner:
        return Tuner(self.base, self.gate, self.precision)

    @property
    def trials(self) -> int:
        """Dev trials that choose the rate; none where it is pinned."""
        return len(self.gate.probe.rates) if len(self.gate.probe.rates) > 1 else 0

    def result(self) -> Result:
        """Score every gold item under every seed; what is finished is not done again.

        InputError where an item cannot be scored or a seed diverges.
        """
        self._check()
        self.files.sweep()
        rate = self._rate()
        kept = []
        for number, seed in enumerate(self.gate.seeds):
            found = self.files.read(str(seed), SeedScores) or self._seed(seed, rate.lr)
            self.probes = self.trials + number + 1
            kept.append(found)
            self._emit(found, seed, number + 1)
        return Result(
            np.array([one.scores for one in kept]),
            np.array([one.logprobs for one in kept]),
            [one.answers for one in kept],
            rate,
        )

    def _check(self) -> None:
        """Before any seed is trained: can every item be scored?"""
        encoder = Encoder(self.base, self.gate.template)
        if METRICS[self.gate.metric].choices:
            for example in self.gold:
                tree_of(encoder, example)
        else:
            new_tokens(encoder, self.gold, self.gate)

    # --- the rate -------------------------------------------------------------------------

    def _rate(self) -> ArmRate:
        """The pinned rate, or that of least dev loss on the first seed; the lower of equals."""
        rates = self.gate.probe.rates
        train, dev = dev_split(self.sft)
        if not self.trials:
            return ArmRate(lr=rates[0])
        if not dev:
            middle = rates[(len(rates) - 1) // 2]
            self._note(
                f"{len(self.sft)} SFT examples are too few to choose a rate by (a fifth of them "
                f"must be {DEV_LEAST}): {middle:g} is taken"
            )
            return ArmRate(lr=middle)
        grid = [(lr, self._dev_loss(lr, train, dev)) for lr in rates]
        finite = [pair for pair in grid if math.isfinite(pair[1])]
        if not finite:
            raise InputError(
                f"The {self.name} arm diverged with every rate of gate.probe.lrs; start a new run "
                "with lower ones"
            )
        best, loss = min(finite, key=lambda pair: pair[1])
        self._say_rate(best, grid, len(dev))
        tried = [TriedRate(lr=lr, loss=_or_none(loss)) for lr, loss in grid]
        return ArmRate(lr=best, loss=loss, grid=tried, dev_examples=len(dev))

    def _dev_loss(self, lr: float, train: list[Example], dev: list[Example]) -> float:
        """Dev loss (nats per completion token) after the pinned steps; infinite if it diverged."""
        name = f"rate-{lr:g}"
        kept = self.files.read(name, RateLoss)
        if kept is None:
            seed = self.gate.seeds[0]
            model = self.tuner.begin(self.model, seed)
            what = f"choosing a rate, {lr:g}"
            try:
                self.tuner.train(model, train, lr, seed, functools.partial(self._say, what))
                loss = self.tuner.loss(model, dev)
            except Diverged:
                loss = math.inf
            kept = self.files.write(name, RateLoss(loss=_or_none(loss)))
        self.probes += 1
        return math.inf if kept.loss is None else kept.loss

    def _say_rate(self, best: float, grid: list[tuple[float, float]], examples: int) -> None:
        tried = ", ".join(f"{lr:g}: {loss:.4f}" for lr, loss in grid)
        fact = f"{best:g} by dev loss on {examples} examples ({tried})"
        self.context.emit(Facts(stage=self.context.stage, facts={f"{self.name} probe rate": fact}))
        edges = (grid[0][0], grid[-1][0])
        if best in edges:
            side = "lowest" if best == edges[0] else "highest"
            self._note(
                f"the {self.name} arm's best rate is the {side} of the grid ({best:g}): a "
                "better one may lie beyond; a new run may widen gate.probe.lrs"
            )

    def _note(self, message: str) -> None:
        self.context.emit(Alarm(level="note", stage=self.context.stage, message=message))

    # --- a seed ---------------------------------------------------------------------------

    def _seed(self, seed: int, lr: float) -> SeedScores:
        """Train and score one probe, or go on with the one that was being scored."""
        model = self._trained(seed, lr)
        answers = gold_answers(
            model,
            self.base,
            self.gold,
            self.gate,
            self.precision,
            functools.partial(self._say, "scoring", seed=seed, begun=SFT_SHARE, of=1 - SFT_SHARE),
            self.files.answers(str(seed)).keeps,
        )
        pairs = zip(self.gold, answers, strict=True)
        made = self.files.write(
            str(seed),
            SeedScores(
                scores=item_scores(self.gold, answers, self.gate),
                logprobs=[answer.logprob for answer in answers],
                answers=[answer_text(e, a)[:SHOWN] for e, a in pairs],
                lr=lr,
            ),
        )
        self.files.forget(str(seed))
        return made

    def _trained(self, seed: int, lr: float) -> torch.nn.Module:
        """The pinned SFT recipe from this arm's model with one seed; adapters merged."""
        model = self.tuner.begin(self.model, seed)
        if not self.files.load_probe(str(seed), model):
            try:
                say = functools.partial(self._say, "SFT", seed=seed, of=SFT_SHARE)
                self.tuner.train(model, self.sft, lr, seed, say)
            except Diverged as error:
                raise InputError(
                    f"The {self.name} arm with seed {seed} diverged: {error}; start a new run with "
                    "a lower gate.probe.lr"
                ) from None
            self.files.save_probe(str(seed), model)
        return self.tuner.merged(model)

    def _say(
        self, what: str, share: float, seed: int | None = None, begun: float = 0.0, of: float = 1.0
    ) -> None:
        """Progress of one probe: ``share`` of a phase that began at ``begun`` and takes ``of``."""
        seeds = list(self.gate.seeds)
        which = "" if seed is None else f", seed {seeds.index(seed) + 1} of {len(seeds)}"
        total = self.trials + len(seeds)
        label = f"{self.name} arm{which}: {what}"
        done = self.probes + begun + of * share
        self.context.progress(label, done, total, "probes")

    def _emit(self, found: SeedScores, seed: int, done: int) -> None:
        self.context.emit(
            ArmSeed(
                arm=self.name,
                seed=seed,
                score=round(100 * float(np.mean(found.scores)), 3),
                items=len(self.gold),
                done=done,
                total=len(self.gate.seeds),
                lr=found.lr,
                logprob=round(float(np.mean(found.logprobs)), 4),
            )
        )


def _or_none(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None
