"""The gate's SFT probe: train one arm on the pinned SFT data, seed by seed, and score it.

Both arms get the same data, steps and seeds. How long the probe trains is found on the base
arm's first seed, by its SFT loss alone (``schedule``). A seed whose SFT has taught nothing is
trained once more, with its registered spare; the rule reads no answer of the gold set.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from engine.artifacts.gate import ArmRate, SeedScores
from engine.artifacts.gate_probe import ProbeSteps
from engine.errors import InputError
from engine.gold.draws import SftRows
from engine.gold.endpoints import answers_alike, score_seed
from engine.gold.example import Example
from engine.gold.metrics import METRICS, Answer
from engine.recipe.gate import Gate, spare_seed
from engine.runs.events import Alarm, ArmSeed, Facts
from engine.worker.gate.arm_files import ArmFiles, Part
from engine.worker.gate.base_cache import ArmCache
from engine.worker.gate.rates import RateChoice, middle, summary_of
from engine.worker.gate.schedule import has_collapsed, pinned_steps, tail_mean
from engine.worker.gate.sft import Diverged, Tuner
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.generate import new_tokens
from engine.worker.scoring.gold import gold_answers
from engine.worker.scoring.likelihood import tree_of

SFT_SHARE = 0.7
"""Of a probe's progress, what the training takes."""
ALIKE = 0.95
"""Share of the gold prompts with one answer from which a seed has taught nothing."""
BALANCED = 0.5
"""Largest class up to which that is so: of a rarer other class few items are surer than not."""
SHOWN = 300
"""Characters of an answer that are kept with its score."""
STEPS = "steps"
"""The part of an arm that holds the length that its first seed found."""


@dataclass(frozen=True)
class Result:
    """One arm, scored under the first of the gate's seeds."""

    kept: list[SeedScores]
    """By seed."""
    rate: ArmRate
    plan: ProbeSteps

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """[S, n], shares of the metric."""
        return np.array([one.scores for one in self.kept])

    @property
    def logprobs(self) -> npt.NDArray[np.float64]:
        """[S, n], nats of each gold answer."""
        return np.array([one.logprobs for one in self.kept])


@dataclass(frozen=True)
class TrainedProbe:
    """A trained probe, adapters merged, and what is kept of its training."""

    model: torch.nn.Module
    seed: int
    """The one that was trained: the spare's where the first one taught nothing."""
    loss: float
    """Mean completion loss of the last tenth of its steps."""
    lr: float


@dataclass
class SftArm:
    """One arm of the gate: a starting model, the pinned probe, and its seeds."""

    context: Context
    base: models.Base
    name: str
    model: torch.nn.Module
    precision: Precision
    sft: SftRows
    gold: list[Example]
    fingerprint: str
    plan: ProbeSteps | None = None
    """The pinned length; None on the base arm, whose first seed finds it."""
    cache: ArmCache | None = None
    """Of the base's arm: seeds that another run has scored."""
    probes: int = 0
    """Probes that are through."""
    count: int = 0
    """Probes of this call."""
    seconds: float = 0.0
    """Of the last seed that was trained and scored here; 0 where none was."""
    noted: set[str] = field(default_factory=set)
    said: int = 0
    """Seeds whose score was said: an arm grows from look to look."""

    @property
    def gate(self) -> Gate:
        return self.context.recipe.gate

    @cached_property
    def files(self) -> ArmFiles:
        return ArmFiles(self.context.run.path / "artifacts" / "arms", self.name, self.fingerprint)

    @cached_property
    def tuner(self) -> Tuner:
        return Tuner(self.base, self.gate, self.precision)

    @cached_property
    def rates(self) -> RateChoice:
        return RateChoice(self.name, self.model, self.gate, self.files, self.tuner)

    def result(self, count: int | None = None) -> Result:
        """Score every gold item under the first seeds (all of them); none is done twice.

        InputError where an item cannot be scored or a seed diverges.
        """
        seeds = self.gate.seeds[:count]
        self._check()
        self.files.sweep()
        self.count = len(seeds)
        if self.plan is None:
            self.plan = self._known_plan()
        kept, rates = [], []
        for number, seed in enumerate(seeds):
            self.probes = number
            found = self._known(str(seed), SeedScores)
            if found is None or self.plan is None:
                started = time.monotonic()
                found = self._seed(seed)
                self.seconds = time.monotonic() - started
            if self.cache is not None:
                self.cache.write(str(seed), found)
            kept.append(found)
            rates.append(self._rate_of(found))
            if number >= self.said:
                self._emit(found, seed, number + 1)
                self.said = number + 1
        assert self.plan is not None
        return Result(kept, summary_of(rates), self.plan)

    def _check(self) -> None:
        """Before any seed is trained: can every item be scored?"""
        encoder = Encoder(self.base, self.gate.template)
        if METRICS[self.gate.metric].choices:
            for example in self.gold:
                tree_of(encoder, example)
        else:
            new_tokens(encoder, self.gold, self.gate)

    # --- length and rate ------------------------------------------------------------------

    def _known_plan(self) -> ProbeSteps | None:
        """The recipe's epochs, or what an earlier walk found."""
        if self.gate.probe.epochs is not None:
            return pinned_steps(self.gate.probe, self.sft.size)
        return self._known(STEPS, ProbeSteps)

    def _known(self, name: str, record: type[Part]) -> Part | None:
        """A finished part of this run, else one that another run has left in the cache."""
        found = self.files.read(name, record)
        if found is not None or self.cache is None:
            return found
        cached = self.cache.read(name, record)
        if cached is None:
            return None
        self._tell({f"{self.name} arm": "its seeds are known from an earlier run"})
        return self.files.write(name, cached)

    def _learn_length(self, plan: ProbeSteps) -> None:
        """Keep the length that a training of the first seed has found."""
        self.plan = self.files.write(STEPS, plan)
        if self.cache is not None:
            self.cache.write(STEPS, self.plan)
        self._tell({f"{self.name} probe length": plan.sentence})
        if plan.why == "cap":
            self._note(
                "the base's SFT loss still falls at gate.probe.most_epochs: a longer probe may "
                "bring its arm further, so this gate may measure which model learns sooner; a new "
                "run may raise it"
            )

    def _search_length(self, seed: int) -> None:
        """Find the length at the grid's middle rate: each trial of a rate needs it."""
        rate = middle(self.gate.probe.rates)
        model, say = self.tuner.begin(self.model, seed), functools.partial(self._say, "length")
        plan = self.tuner.train(model, self.sft.draw(seed), rate, seed, say).plan
        self._learn_length(plan)

    def _rate(self, seed: int) -> ArmRate:
        """The rate of one seed."""
        asked = self.gate.seeds[0] if self.gate.rules == 1 else seed
        say = functools.partial(self._say, "choosing a rate", seed=seed)
        return self.rates.choose(self.sft.draw(asked), asked, self.plan, say, self._note)

    def _rate_of(self, found: SeedScores) -> ArmRate:
        if found.rate is not None:
            return found.rate
        return ArmRate(lr=found.lr if found.lr is not None else middle(self.gate.probe.rates))

    # --- a seed ---------------------------------------------------------------------------

    def _seed(self, seed: int) -> SeedScores:
        """Train and score one probe, or go on with the one that was being scored."""
        if self.plan is None and self.rates.trials:
            self._search_length(seed)
        rate = self._rate(seed)
        probe = self._learnt(seed, rate.lr)
        answers = self._answers(seed, probe)
        if probe.seed == seed and not self._is_last(seed) and self._says_one_thing(answers):
            self.files.forget(str(seed))
            probe = self._spare(seed, rate.lr)
            answers = self._answers(seed, probe)
        made = self.files.write(str(seed), self._scored(answers, probe, rate))
        self.files.forget(str(seed))
        return made

    def _answers(self, seed: int, probe: TrainedProbe) -> list[Answer]:
        told = functools.partial(self._say, "scoring", seed=seed, begun=SFT_SHARE, of=1 - SFT_SHARE)
        keeps = self.files.answers(str(seed)).keeps
        return gold_answers(
            probe.model, self.base, self.gold, self.gate, self.precision, told, keeps
        )

    def _says_one_thing(self, answers: list[Answer]) -> bool:
        """Whether nearly all items get one answer, though no class has more than half of them.

        Reads prompts and class shares, never an item's answer.
        """
        counts = Counter(example.completion for example in self.gold)
        if max(counts.values()) > BALANCED * len(self.gold):
            return False
        return answers_alike(self.gold, answers) >= ALIKE

    def _scored(self, answers: list[Answer], probe: TrainedProbe, rate: ArmRate) -> SeedScores:
        assert self.plan is not None
        tables = score_seed(self.gold, answers, self.gate)
        return SeedScores(
            scores=tables.scores,
            logprobs=[answer.logprob for answer in answers],
            answers=[text[:SHOWN] for text in tables.answers],
            likelihoods=[list(answer.likelihoods) for answer in answers],
            lr=probe.lr,
            rate=rate if rate.grid else None,
            trained_seed=probe.seed,
            steps=self.plan.steps,
            sft_loss=probe.loss,
        )

    def _learnt(self, seed: int, lr: float) -> TrainedProbe:
        """A probe that has learnt something: of the seed, else of its spare, whatever that does."""
        kept = self._kept_probe(seed)
        if kept is not None:
            return kept
        return self._trained(seed, seed, lr) or self._spare(seed, lr)

    def _spare(self, seed: int, lr: float) -> TrainedProbe:
        message = f"{self.name} arm: the SFT of seed {seed} taught nothing; its spare is trained"
        self.context.emit(Alarm(level="amber", stage=self.context.stage, message=message))
        probe = self._trained(seed, spare_seed(seed), lr)
        assert probe is not None
        return probe

    def _is_last(self, trained: int) -> bool:
        """Whether a probe is judged whatever it has learnt."""
        spare = trained not in self.gate.seeds
        return spare or self.gate.rules == 1 or bool(self.gate.probe.why_unlearnt)

    def _kept_probe(self, seed: int) -> TrainedProbe | None:
        """The probe of a walk that ended while its items were scored."""
        trained = self.files.probe_seed(str(seed))
        if self.plan is None or trained is None:
            return None
        model = self.tuner.begin(self.model, trained)
        about = self.files.load_probe(str(seed), model, trained)
        if about is None:
            return None
        return TrainedProbe(self.tuner.merged(model), trained, about.loss, about.lr)

    def _trained(self, seed: int, trained: int, lr: float) -> TrainedProbe | None:
        """The pinned SFT from this arm's model; None where it taught nothing and a spare is left.

        InputError where it diverges and none is left.
        """
        last = self._is_last(trained)
        model = self.tuner.begin(self.model, trained)
        say = functools.partial(self._say, "SFT", seed=seed, of=SFT_SHARE)
        try:
            done = self.tuner.train(model, self.sft.draw(trained), lr, trained, say, plan=self.plan)
        except Diverged as error:
            if not last:
                return None
            raise InputError(
                f"The {self.name} arm with seed {seed} diverged: {error}; start a new run with "
                "a lower gate.probe.lr"
            ) from None
        if not last and has_collapsed(done.losses, done.chance):
            return None
        if self.plan is None:
            self._learn_length(done.plan)
        loss = tail_mean(done.losses)
        self.files.save_probe(str(seed), model, trained, lr, loss)
        return TrainedProbe(self.tuner.merged(model), trained, loss, lr)

    # --- what is said ---------------------------------------------------------------------

    def _note(self, message: str) -> None:
        """Say it once: each seed chooses a rate, and most find the same of it."""
        if message in self.noted:
            return
        self.noted.add(message)
        self.context.emit(Alarm(level="note", stage=self.context.stage, message=message))

    def _tell(self, facts: dict[str, str]) -> None:
        self.context.emit(Facts(stage=self.context.stage, facts=facts))

    def _say(
        self, what: str, share: float, seed: int | None = None, begun: float = 0.0, of: float = 1.0
    ) -> None:
        """Progress of one probe: ``share`` of a phase that began at ``begun`` and takes ``of``."""
        seeds = self.gate.seeds
        which = "" if seed is None else f", seed {seeds.index(seed) + 1} of {self.count}"
        label = f"{self.name} arm{which}: {what}"
        self.context.progress(label, self.probes + begun + of * share, self.count, "probes")

    def _emit(self, found: SeedScores, seed: int, done: int) -> None:
        self.context.emit(
            ArmSeed(
                arm=self.name,
                seed=seed,
                score=round(100 * float(np.mean(found.scores)), 3),
                items=len(self.gold),
                done=done,
                total=self.count,
                lr=found.lr,
                logprob=round(float(np.mean(found.logprobs)), 4),
            )
        )
