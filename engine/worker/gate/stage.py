"""Baseline and gate: both arms on the registered files, before training and after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.artifacts.gate import (
    ArmRate,
    BaselineArtifact,
    GateArtifact,
    ScoredArm,
    SeedScores,
)
from engine.artifacts.gate_probe import ProbeSteps
from engine.errors import InputError
from engine.files import sha256_file
from engine.gate.chat_guard import with_chat
from engine.gate.judge import judge_arms, with_clean_part
from engine.gate.promise import describe, foresee
from engine.gate.recheck import verdict_inputs
from engine.gate.secondary import nats_gained
from engine.gate.tries import Try
from engine.gold.draws import GateItems, gate_items
from engine.gold.endpoints import arm_of
from engine.gold.load import gold_items, identity
from engine.gold.metrics import METRICS, Answer, item_scores
from engine.gold.summary import item_groups
from engine.runs.events import Alarm, Facts
from engine.thresholds import effective
from engine.worker.gate import forgetting, registration
from engine.worker.gate.arm import Result, SftArm
from engine.worker.gate.arm_files import ArmFiles
from engine.worker.gate.base_cache import base_cache
from engine.worker.gate.sequence import judge_in_looks
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.model import base as models
from engine.worker.model.job import Job, need
from engine.worker.model.precision import run_precision
from engine.worker.scoring import self_check
from engine.worker.tokens.checks import open_stores
from engine.worker.tokens.store import TokenStore


@dataclass(frozen=True)
class Judging:
    """The two arms of one run's registered gate."""

    context: Context
    base: models.Base
    terms: registration.Terms
    registered: str
    """sha256 of the registration."""

    def files(self) -> list[Path]:
        """What was registered, for the baseline's manifest."""
        run, gate = self.context.run, self.context.recipe.gate
        copies = [registration.copy_of(run, gate, name) for name in registration.FILES]
        return [registration.registration_file(run), *copies]

    @cached_property
    def items(self) -> GateItems:
        """What is trained on and scored, out of the registered copies."""
        gate, copies = self.context.recipe.gate, {}
        for name, said in registration.FILES.items():
            copies[name] = registration.copy_of(self.context.run, gate, name)
            if sha256_file(copies[name]) != self.terms[said]:
                raise InputError(
                    f"{copies[name]} is not what was registered; restore it with: "
                    f"cpt resume {self.context.run.id}"
                )
        return gate_items(copies["gold"], copies["sft"], gate)

    @property
    def groups(self) -> list[str] | None:
        """The source of each gold item; None where the file names none."""
        return item_groups(self.items.gold)

    def prepare(
        self,
        name: str,
        base: models.Base,
        model: torch.nn.Module,
        fingerprint: str,
        context: Context | None = None,
        plan: ProbeSteps | None = None,
        cached: bool = False,
    ) -> SftArm:
        """One arm, ready to be scored under the seeds of ``context`` (default: the run's own).

        It reads with the tokenizer of ``base``, and trains as long as ``plan`` says. What is
        ``cached`` is shared by all runs of this home.
        """
        context = context or self.context
        gold = self.items.gold
        precision = run_precision(context, base, model)
        metric = context.recipe.gate.metric
        judged = gold if METRICS[metric].choices else []
        paths = self_check.prove(context, base, model, precision, judged)
        facts = {**paths.training(model), **paths.scoring(metric), "metric": METRICS[metric].says}
        context.emit(Facts(stage=context.stage, facts=facts))
        cache = None
        if cached:
            cache = base_cache(base, self.items, context.recipe.gate, precision, paths)
        sft = self.items.sft
        return SftArm(context, base, name, model, precision, sft, gold, fingerprint, plan, cache)

    def scored(self, found: Result) -> ScoredArm:
        """An arm by all endpoints, from what its seeds' files keep."""
        gate = self.context.recipe.gate
        return arm_of(gate.seeds[: len(found.kept)], found.kept, self.items.gold, gate)

    def judge_base(self, fingerprint: str) -> BaselineArtifact:
        """The base's arm, and what its own variance lets this gate detect.

        Items of one source count as one, as they do in the gate's test; tries that the recipe
        declares take their share of alpha.
        """
        gate = self.context.recipe.gate
        arm = self.prepare("base", self.base, models.load(self.base), fingerprint, cached=True)
        found = arm.result(gate.look_sizes[0])
        scored = self.scored(found)
        history = self.trying({}).count().seed_variance
        promise = foresee(scored, self.items.gold, gate, history)
        line = describe(promise, 2 * arm.seconds if arm.seconds else None)
        self.context.emit(Alarm(level="note", stage=self.context.stage, message=line))
        return BaselineArtifact(
            scores=[round(100 * float(np.mean(row)), 4) for row in scored.scores],
            items=len(self.items.gold),
            mde=round(promise.mde, 3),
            per_item=scored.scores,
            per_item_logprob=scored.logprobs,
            probe=found.rate,
            plan=found.plan,
            constant_seeds=self._constant("base", scored),
            registration=self.registered,
            arm=scored,
        )

    def _constant(self, name: str, found: ScoredArm) -> int:
        """Seeds under which an arm answered all alike; said, for such an arm shows nothing."""
        number = len(found.constant)
        if number:
            message = (
                f"the {name} arm gave one and the same answer to every item under {number} of "
                f"{len(found.scores)} seeds: its SFT has not learnt the task, so this gate can "
                "hardly see a difference; a new run needs more SFT examples or epochs, or a higher "
                "gate.probe.lr"
            )
            self.context.emit(Alarm(level="amber", stage=self.context.stage, message=message))
        return number

    def trying(self, training: dict[str, str]) -> Try:
        """This run's try against its gold set, by what is trained."""
        gate = self.context.recipe.gate
        whole = gate.model_copy(update={"max_items": None})
        copy = registration.copy_of(self.context.run, gate, "gold")
        gold = identity(gold_items(copy, whole))
        return Try(gold, self.context.run.id, self.registered, training)

    def begin(self, attempt: Try) -> None:
        """Write the try down before it is trained; say so where its first entry is gone."""
        gone = self.context.run.training_begun and not attempt.known
        problem = f"{attempt.path} does not have this run" if gone else ""
        self._say_miscount("train", attempt.note("registered") or problem)

    def judge_cpt(
        self, fingerprint: str, job: Job, attempt: Try, generic: TokenStore
    ) -> GateArtifact:
        """The CPT arm and the verdict; ``generic`` is the text that the guard reads.

        With new tokens the CPT arm reads with them, and the base arm with its own.
        """
        self._say_changed_files()
        count = attempt.count()
        problem = attempt.note("scoring") or count.problem
        wide = job.trained is not self.base
        if wide:
            said = "the CPT arm with the new tokens, the base arm with its own"
            facts = {"tokens": f"{said}; same items and seeds"}
            self.context.emit(Facts(stage="gate", facts=facts))
        gate, before = self.context.recipe.gate, need(job.made.baseline)
        model = models.load_folder(self.context.run.path / "model")
        arm = self.prepare("cpt", job.trained, model, fingerprint, plan=before.plan)
        base = BaseSeeds(self, before, job.fingerprint("baseline"))
        rates: list[ArmRate] = []

        def score(count: int) -> tuple[ScoredArm, ScoredArm]:
            one, found = base.scored(count), arm.result(count)
            rates[:] = [found.rate]
            return one, self.scored(found)

        both = judge_in_looks(gate, score, arm.files, self.context.emit, self.groups, count.others)
        limits = effective(self.context.recipe.probe.thresholds)
        # With new tokens the same text is other tokens: training has measured that by bytes.
        rise = None if wide else forgetting.Guard(self.context, job.trained, generic).rise(model)
        known = rise or need(job.made.train).generic_rise
        tags = [example.tags for example in self.items.gold]
        verdict = judge_arms(
            both.base, both.cpt, gate, known, limits, self.groups, count.others, tags, both.looks
        )
        if (scanned := need(job.made.scan).scan.chat) and scanned.is_chat and not wide:
            chat = forgetting.ChatGuard(self.context, job.trained)
            verdict = with_chat(verdict, chat.rise(model), gate, limits)
        noted = attempt.note(
            "judged",
            p=verdict.p_value if verdict.try_p is None else verdict.try_p,
            estimate=verdict.estimate,
            outcome=verdict.outcome,
            seed_variance=verdict.cpt_seed_variance,
        )
        self._say_miscount("gate", problem or noted)
        contaminated = need(job.made.scan).contaminated_items
        clean = self._clean_scores((base.files, arm.files), len(both.cpt.scores), contaminated)
        tables = both.base.scores, both.cpt.scores
        verdict = with_clean_part(
            verdict, tables, gate, limits, self.groups, contaminated, count.others, clean
        )
        nats = both.base.logprobs, both.cpt.logprobs
        return GateArtifact(
            **dict(verdict),
            per_item=both.cpt.scores,
            per_item_logprob=both.cpt.logprobs,
            logprob=nats_gained(*nats, gate.alpha, self.groups),
            probe=rates[0],
            constant_seeds=self._constant("CPT", both.cpt),
            base=both.base,
            cpt=both.cpt,
        )

    def _clean_scores(
        self, both: tuple[ArmFiles, ArmFiles], count: int, contaminated: list[int]
    ) -> tuple[Any, Any] | None:
        """Both arms on the clean items alone, where that is no part of their scores (macro-F1)."""
        gate, gold = self.context.recipe.gate, self.items.gold
        keep = [number for number in range(len(gold)) if number not in set(contaminated)]
        if METRICS[gate.metric].bounded or not keep or len(keep) == len(gold):
            return None
        seeds = [str(seed) for seed in gate.seeds[:count]]
        sides = [[files.read(seed, SeedScores) for seed in seeds] for files in both]
        clean = [gold[number] for number in keep]
        tables = [
            [
                item_scores(clean, [Answer(text=one.answers[i]) for i in keep], gate)
                for one in side
                if one
            ]
            for side in sides
        ]
        if any(len(table) < count for table in tables):
            return None
        return np.array(tables[0]), np.array(tables[1])

    def _say_miscount(self, stage: str, problem: str) -> None:
        if problem:
            message = (
                f"{problem}: tries against this gold set may be missing from the count; "
                "declare them in [gate] earlier_tries"
            )
            self.context.emit(Alarm(level="amber", stage=stage, message=message))

    def _say_changed_files(self) -> None:
        now = registration.hashes(self.context.recipe.gate)
        for name, said in registration.FILES.items():
            if now[name] != self.terms[said]:
                message = f"{said} changed since it was registered: the registered copy judges"
                self.context.emit(Alarm(level="amber", stage="gate", message=message))


@dataclass(frozen=True)
class BaseSeeds:
    """The base's arm while the gate runs: the baseline's seeds, and those of later looks."""

    judging: Judging
    baseline: BaselineArtifact
    fingerprint: str
    """Of the baseline, whose files the later seeds join."""

    @property
    def files(self) -> ArmFiles:
        folder = self.judging.context.run.path / "artifacts" / "arms"
        return ArmFiles(folder, "base", self.fingerprint)

    @cached_property
    def _arm(self) -> SftArm:
        base, plan = self.judging.base, self.baseline.plan
        arm = self.judging.prepare(
            "base", base, models.load(base), self.fingerprint, plan=plan, cached=True
        )
        arm.said = len(self.baseline.per_item)
        return arm

    def scored(self, count: int) -> ScoredArm:
        """The arm under the first ``count`` seeds; those of later looks are trained now."""
        known = self.baseline.arm or ScoredArm(
            scores=self.baseline.per_item,
            logprobs=self.baseline.per_item_logprob,
            seeds=self.judging.context.recipe.gate.seeds[: len(self.baseline.per_item)],
        )
        if count <= len(known.scores):
            return known
        return self.judging.scored(self._arm.result(count))


class BaselineStage(Stage[BaselineArtifact]):
    """The base's own arm, before compute is spent."""

    name = "baseline"

    def __init__(self, judging: Judging) -> None:
        self.judging = judging

    def inputs(self) -> list[object]:
        return [self.judging.registered]

    def make(self, fingerprint: str) -> BaselineArtifact:
        return self.judging.judge_base(fingerprint)

    def files(self, made: BaselineArtifact) -> list[Path]:
        return self.judging.files()


class GateStage(Stage[GateArtifact]):
    """The CPT arm, and the verdict over both."""

    name = "gate"

    def __init__(self, job: Job, judging: Judging, attempt: Try, again: bool = False) -> None:
        self.job, self.judging, self.attempt = job, judging, attempt
        self.again = again
        """Whether a new verdict was asked for: the old one stands until the new one is whole."""

    def inputs(self) -> list[object]:
        trained, scan = need(self.job.made.train), need(self.job.made.scan)
        baseline = self.job.fingerprint("baseline")
        return verdict_inputs(trained.model_sha256, baseline, scan.contaminated_items)

    def is_usable(self, made: GateArtifact) -> bool:
        return not self.again

    def make(self, fingerprint: str) -> GateArtifact:
        generic = open_stores(need(self.job.made.scan).stores)[1]
        return self.judging.judge_cpt(fingerprint, self.job, self.attempt, generic)
