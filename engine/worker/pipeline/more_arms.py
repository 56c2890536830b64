"""More arms of a judged run: the control, earlier checkpoints, a training run for each seed.

What is trained for an arm is a run of its own below ``arms/NAME``, with the run's own stages,
checkpoints and resumes; it is handed the run's requests, and its progress is the run's. An arm
that is scored is kept as a row, and its weights are dropped.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from engine.artifacts.arms import DISPLAY, ArmRow, ArmsResult
from engine.errors import InputError
from engine.files import digest, private_dir, write_atomic
from engine.gate.arms import Judged, compare_arms
from engine.gate.forgetting import guard_state
from engine.gate.tries import Try
from engine.recipe.defaults import default_rank
from engine.recipe.sections import Recipe
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, Facts
from engine.runs.run import Run
from engine.thresholds import effective
from engine.worker.gate import forgetting
from engine.worker.gate.stage import Judging
from engine.worker.job.context import Context
from engine.worker.job.nested import ArmContext
from engine.worker.job.stage import Stage
from engine.worker.measure.scan import ScanStage
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.job import Job, need
from engine.worker.packing.stage import PackStage
from engine.worker.pipeline.alternatives import known_rise, make_alternative
from engine.worker.pipeline.arm_plan import SHOWN_TERMS, Planned, judged_gate, plan_arms
from engine.worker.tokens.checks import open_stores
from engine.worker.train.checkpoint import Checkpoints, load_weights, verify
from engine.worker.train.stage import TrainStage

FOLDER, TEXT = "arms", "control-text"
MATCHED = 0.98
"""Least share of the run's tokens that a control must have; packing loses a row or so."""
SHARED = 0.05
"""Most of a control's tokens that may lie in documents of the corpus, word for word."""


@dataclass(frozen=True)
class ArmTraining:
    """What an arm's row says of its training."""

    tokens: int
    domain_loss: float | None = None
    generic_rise: float | None = None
    """Held-out losses in nats per token; None for a checkpoint."""
    corpus_sha256: str = ""
    contaminated: int = 0
    """Of a control: its text, and the gold items that stand in it."""


class ArmsStage(Stage[ArmsResult]):
    """The stage: every arm that the recipe asks for."""

    name = "arms"

    def __init__(self, job: Job) -> None:
        self.job = job
        self.control: Job | None = None
        """Has the scan of the control's text, once it is read."""
        self.unread = ""
        """Why it could not be read."""
        self._judging: Judging | None = None
        self._attempt: Try | None = None

    @property
    def context(self) -> Context:
        return self.job.context

    @property
    def recipe(self) -> Recipe:
        return self.job.recipe

    @property
    def rank(self) -> int:
        """That of the run's adapters."""
        tokens = need(self.job.made.scan).domain.effective_tokens
        return default_rank(self.recipe.lora.rank, tokens)[0]

    @property
    def judging(self) -> Judging:
        """The gate that the arms are judged by."""
        return need(self._judging)

    def judge_with(self, judging: Judging, attempt: Try) -> None:
        """Take the gate that judged the run; needed before the stage runs."""
        self._judging, self._attempt = judging, attempt

    @cached_property
    def _guard(self) -> forgetting.Guard:
        """One for all arms: the base's own losses are measured once."""
        generic = open_stores(need(self.job.made.scan).stores)[1]
        return forgetting.Guard(self.context, self.job.base, generic)

    def fetch(self) -> None:
        """Scan the control's text while the hub's token is at hand; a fault is its arm's."""
        control = self.recipe.arms.control
        if control is None:
            return
        run = Run(private_dir(self.context.run.path / FOLDER / TEXT))
        recipe = self.recipe.model_copy(update={"corpus": control})
        log = EventLog(run.events_path)
        self.context.stage = self.name
        inner = ArmContext(run, recipe, log, owner=self.context, name="control")
        child = Job(inner, self.job.base)
        try:
            child.runner.run(ScanStage(child))
        except InputError as error:
            self.unread = str(error)
        else:
            self.control = child

    def inputs(self) -> list[object]:
        return [
            self.job.fingerprint("gate"),
            [self._terms(planned) for planned in self.planned()],
        ]

    def is_usable(self, made: ArmsResult) -> bool:
        """An arm that could not be made is tried again on the next walk."""
        return not made.missing

    def planned(self) -> list[Planned]:
        return plan_arms(self.recipe, need(self.job.made.train).steps, self._seeds)

    @property
    def _seeds(self) -> int:
        """Seeds that the gate came to."""
        return len(need(self.job.made.gate).per_item)

    def _text(self, planned: Planned) -> str:
        """Names a control's text, split and tokenizer; where it cannot be read, as it was."""
        if planned.kind != "control":
            return ""
        if self.control is None:
            kept = self.context.scratch(planned.file) or {}
            return str(kept["text"]) if kept.get("source") == self._source() else ""
        return Path(need(self.control.made.scan).stores.domain).name

    def _source(self) -> dict[str, object] | None:
        control = self.recipe.arms.control
        return control.model_dump(mode="json") if control else None

    def _terms(self, planned: Planned) -> str:
        """What an arm's row depends on; the rest of a plan is that of the arms that are shown."""
        shown = planned.kind in DISPLAY
        plan = {k: v for k, v in vars(planned).items() if shown or k not in SHOWN_TERMS}
        return digest(
            [
                plan,
                self._text(planned),
                need(self.job.made.train).model_sha256,
                self.job.fingerprint("baseline"),
            ]
        )

    def make(self, fingerprint: str) -> ArmsResult:
        """Rows, the recipe's verdict, sentences, and what is missing.

        An arm that cannot be made is said; the verdict, and what comes after it, do not wait
        for it.
        """
        if self.recipe.launch.processes > 1 and self._trains():
            message = "the arms' own training runs take one process"
            self.context.emit(Alarm(level="note", stage=self.name, message=message))
        rows, missing = [], {}
        for planned in self.planned():
            try:
                rows.append(self._kept(planned) or self._row(planned))
            except InputError as error:
                missing[planned.name] = str(error)
                message = f"{planned.name}: not made: {error}"
                self.context.emit(Alarm(level="amber", stage=self.name, message=message))
        made = self.job.made
        judged = Judged(
            base=base.scores if (base := need(made.gate).base) else need(made.baseline).per_item,
            cpt=need(made.gate).per_item,
            verdict=need(made.gate).verdict,
            gate=judged_gate(self.recipe.gate, self._seeds),
            limits=effective(self.recipe.probe.thresholds),
            groups=self.judging.groups,
            contaminated=need(made.scan).contaminated_items,
            other_tries=need(self._attempt).count().others,
            examples=self.judging.items.sft.size,
        )
        found = compare_arms(rows, judged, missing)
        for said in found.sentences:
            self.context.emit(Alarm(level="note", stage=self.name, message=said))
        return found

    def _trains(self) -> bool:
        return any(planned.kind in ("control", "seed") for planned in self.planned())

    # --- one arm --------------------------------------------------------------------------

    def _row(self, planned: Planned) -> ArmRow:
        """Make, score and keep one arm; what was trained for it is dropped. Raises InputError."""
        self.context.raise_if_stopped()
        inner, other = self._inner(planned), None
        if planned.kind in DISPLAY:
            other = make_alternative(self.job, self.judging, planned, self._model_at)
            model, trained = other.model, ArmTraining(other.tokens)
        else:
            trained = (
                self._at(planned, inner)
                if planned.kind == "checkpoint"
                else self._trained(planned, inner)
            )
            model = models.load_folder(inner.run.path / "model")
        inner.stage = self.name
        terms = self._terms(planned)
        plan = other.plan if other else need(self.job.made.baseline).plan
        arm = self.judging.prepare(planned.name, self.job.base, model, terms, inner, plan)
        if other:
            arm.sft = other.sft
        result = arm.result()
        rise, guard = known_rise(self.job, planned) or self._forgotten(model, trained.generic_rise)
        row = ArmRow(
            name=planned.name,
            kind=planned.kind,
            seeds=list(planned.seeds),
            per_item=result.scores.tolist(),
            score=round(100 * float(np.mean(result.scores)), 4),
            lr=result.rate.lr,
            tokens=trained.tokens,
            domain_loss=trained.domain_loss,
            corpus_sha256=trained.corpus_sha256,
            contaminated=trained.contaminated,
            generic_rise=rise[0],
            generic_low=rise[1],
            generic_high=rise[2],
            guard=guard,
            side=planned.side,
            axis=planned.axis,
            share=planned.share if planned.kind in DISPLAY else None,
            sft_steps=result.plan.steps,
            sft_examples=arm.sft.size,
            compute_share=other.compute_share if other else None,
        )
        kept = {
            "fingerprint": terms,
            "text": self._text(planned),
            "source": self._source(),
            "row": row.to_json(),
        }
        self.context.keep_scratch(planned.file, kept)
        for name in ("checkpoints", "pack", "model"):
            shutil.rmtree(inner.run.path / name, ignore_errors=True)
        told = f"{row.score:.1f} points after {row.tokens:,} tokens"
        self.context.emit(Facts(stage=self.name, facts={planned.name: told}))
        return row

    def _forgotten(
        self, model: torch.nn.Module, trained: float | None
    ) -> tuple[list[float | None], str]:
        """[rise, low, high] on the documents that the gate's own guard read, and the guard.

        Where these are too few for an interval, what training measured of the arm.
        """
        rise, limits = self._guard.rise(model), effective(self.recipe.probe.thresholds)
        ends = (rise.value, rise.low, rise.high) if rise else (trained, None, None)
        finite = [v if v is not None and math.isfinite(v) else None for v in ends]
        return finite, guard_state(ends[0], limits, ends[2])

    def _kept(self, planned: Planned) -> ArmRow | None:
        """The row that an earlier walk finished."""
        found = self.context.scratch(planned.file)
        if found is None or found["fingerprint"] != self._terms(planned):
            return None
        return ArmRow.model_validate(found["row"])

    def _inner(self, planned: Planned) -> ArmContext:
        """The arm's own run; what another text or seed left there goes."""
        run, terms = Run(self.context.run.path / FOLDER / planned.folder), self._terms(planned)
        mark = run.path / "terms"
        if not mark.is_file() or mark.read_text() != terms:
            shutil.rmtree(run.path, ignore_errors=True)
        private_dir(run.checkpoints)
        write_atomic(mark, terms)
        log = EventLog(run.events_path)
        return ArmContext(run, self._recipe(planned), log, owner=self.context, name=planned.name)

    def _recipe(self, planned: Planned) -> Recipe:
        """The run's recipe with what this arm changes; rate and rank stay those that it had."""
        recipe, trained = self.recipe, need(self.job.made.train)
        control = planned.kind == "control"
        train: dict[str, object] = {
            "seed": planned.train_seed,
            "lr": trained.lr,
            "lr_pilot": False,
            "stop_on_red": False,
            "samples": 0,
            "trackers": [],
            **({"max_tokens": self._matched()} if control else {}),
        }
        probe = recipe.gate.probe
        if planned.kind == "seed" or planned.kind in DISPLAY:  # no search beside the gate's own
            base, judged = need(self.job.made.baseline), need(self.job.made.gate)
            rate = need((base if planned.side == "base" else judged).probe).lr
            probe = probe.model_copy(update={"lr": rate, "lrs": None})
        if planned.kind in DISPLAY:  # less SFT than the probe's may well have taught nothing yet
            probe = probe.model_copy(update={"why_unlearnt": "an arm that is shown"})
        seeds = {"seeds": list(planned.seeds), "looks": None, "look_shares": None}
        gate = {**seeds, "probe": probe}
        return recipe.model_copy(
            update={
                "arms": recipe.arms.model_copy(update={"checkpoints": []}),
                "lora": recipe.lora.model_copy(update={"rank": self.rank}),
                "gate": recipe.gate.model_copy(update=gate),
                "train": recipe.train.model_copy(update=train),
                **({"corpus": recipe.arms.control} if control else {}),
            }
        )

    def _matched(self) -> int:
        """The token cap that gives a control the domain tokens that the run was packed with."""
        recipe, domain = self.recipe, need(self.job.made.pack).ledger.domain_tokens
        return math.ceil(domain * max(1.0, recipe.train.epochs) / (1 - recipe.pack.mix_back))

    def _trained(self, planned: Planned, inner: ArmContext) -> ArmTraining:
        """Train a model for this arm alone; returns what its row says of that."""
        child, source = Job(inner, self.job.base), self.job
        if planned.kind == "control":
            if self.control is None:
                raise InputError(self.unread)
            source = self.control
            self._check_other(source)
        scanned = need(source.made.scan)
        child.runner.artifacts = child.made.having("scan", scanned)
        child.runner.fingerprints["scan"] = source.fingerprint("scan")
        asked, got = need(self.job.made.pack).tokens, child.runner.run(PackStage(child)).tokens
        if got < MATCHED * asked:
            raise InputError(
                f"[arms.control] gives {got:,} tokens to train on, and the run had {asked:,}: "
                "give a larger text, or take the control out"
            )
        inner.stage = TrainStage.name
        trained = child.runner.run(TrainStage(child))
        found = ArmTraining(trained.tokens, trained.domain_after, trained.generic_rise)
        if planned.kind != "control":
            return found
        return replace(
            found,
            corpus_sha256=scanned.domain.fingerprint,
            contaminated=len(scanned.contaminated_items),
        )

    def _check_other(self, control: Job) -> None:
        """InputError where the control is not other text than the corpus."""
        theirs, ours = (open_stores(need(job.made.scan).stores)[0] for job in (control, self.job))
        both = np.isin(theirs.hashes, ours.hashes)
        shared = float(theirs.lengths[both].sum() / theirs.lengths.sum())
        if shared > SHARED:
            raise InputError(
                f"{shared:.0%} of the text of [arms.control] stands in the corpus too, so it is no "
                "control; give other text"
            )

    def _at(self, planned: Planned, inner: ArmContext) -> ArmTraining:
        """The run's own model as its checkpoint of a step has it, adapters merged, saved."""
        path = Checkpoints(self.context.run.checkpoints).at(planned.step)
        if not verify(path):
            raise InputError(
                f"no whole checkpoint at {planned.name} of training is there: the run was trained "
                "before [arms] checkpoints asked for one; take it out, or start a new run"
            )
        models.save(self._model_at(path), self.job.base, inner.run.path / "model")
        state = json.loads((path / "state.json").read_text())
        return ArmTraining(int(state["tokens"]))

    def _model_at(self, path: Path) -> torch.nn.Module:
        """The run's own model as a checkpoint has it, adapters merged."""
        recipe, base = self.recipe, self.job.base
        model = methods.ready(methods.load(base, recipe), recipe, self.rank, recipe.train.seed)
        load_weights(path, model)
        return methods.method_of(recipe).merge(model, base)
