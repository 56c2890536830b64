"""More arms of a judged run: the control, earlier checkpoints, a training run for each seed.

What is trained for an arm is a run of its own below ``arms/NAME``, with the run's own stages,
checkpoints and resumes; it is handed the run's requests, and its progress is the run's. An arm
that is scored is kept as a row, and its weights are dropped.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.artifacts.arms import ArmRow, Kind
from engine.artifacts.gate import GateVerdict
from engine.errors import InputError
from engine.files import digest, private_dir, write_atomic, write_json
from engine.gate.arms import Judged, steps_of, summed
from engine.gate.forgetting import guard_state
from engine.recipe.defaults import default_rank
from engine.recipe.sections import Recipe
from engine.runs.events import Alarm, EventLog, Facts
from engine.runs.run import Run
from engine.thresholds import effective
from engine.worker.gate import forgetting
from engine.worker.gate.arm import Result
from engine.worker.gate.stage import contaminated_items
from engine.worker.job.context import Context
from engine.worker.job.nested import ArmContext
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.pipeline.pipeline import Pipeline
from engine.worker.tokens.store import TokenStore
from engine.worker.train.checkpoint import Checkpoints, load_weights, verify

FOLDER, TEXT, ROWS = "arms", "control-text", "arms-rows"
MATCHED = 0.98
"""Least share of the run's tokens that a control must have; packing loses a row or so."""
SHARED = 0.05
"""Most of a control's tokens that may lie in documents of the corpus, word for word."""


@dataclass(frozen=True)
class Planned:
    """One arm to make."""

    name: str
    kind: Kind
    seeds: tuple[int, ...]
    """The gate's seeds that score it."""
    step: int = 0
    """Of a checkpoint."""
    train_seed: int = 0
    """Of a training run."""

    @property
    def folder(self) -> str:
        return self.name.replace(" ", "-").removesuffix("%")

    @property
    def file(self) -> str:
        """Of its row, among the artifacts."""
        return f"{ROWS}/{self.folder}.json"


@dataclass
class MoreArms:
    """The stage: every arm that the recipe asks for."""

    pipeline: Pipeline
    control: Pipeline | None = None
    """Has the scan of the control's text, once it is read."""
    unread: str = ""
    """Why it could not be read."""

    @property
    def context(self) -> Context:
        return self.pipeline.context

    @property
    def recipe(self) -> Recipe:
        return self.context.recipe

    @property
    def made(self) -> dict[str, Any]:
        return self.pipeline.made

    @property
    def rank(self) -> int:
        """That of the run's adapters."""
        tokens = self.made["scan"]["scan"]["domain"]["tokens"]
        return default_rank(self.recipe.lora.rank, tokens)[0]

    @cached_property
    def _guard(self) -> forgetting.Guard:
        """One for all arms: the base's own losses are measured once."""
        return forgetting.Guard(self.context, self.pipeline.base, self.pipeline.stores()[1])

    def fetch(self) -> None:
        """Scan the control's text while the hub's token is at hand; a fault is its arm's."""
        control = self.recipe.arms.control
        if control is None:
            return
        run = Run(private_dir(self.context.run.path / FOLDER / TEXT))
        recipe = self.recipe.model_copy(update={"corpus": control})
        log = EventLog(run.events_path)
        self.context.stage = "arms"
        inner = ArmContext(run, recipe, log, owner=self.context, name="control")
        child = Pipeline(inner, self.pipeline.base, ())
        try:
            child.scan()
        except InputError as error:
            self.unread = str(error)
        else:
            self.control = child

    def stage(self) -> dict[str, Any]:
        """The stage's artifact: rows, the recipe's verdict, sentences, and what is missing.

        An arm that cannot be made is said and tried again on the next walk; the verdict, and
        what comes after it, do not wait for it.
        """
        inputs = [self._terms(planned) for planned in self.planned()]
        made: dict[str, Any] = self.pipeline.stages.run(
            "arms",
            [self.pipeline.stages.prints["gate"], inputs],
            lambda _: self._run(),
            usable=lambda made: not made["missing"],
        )
        return made

    def planned(self) -> list[Planned]:
        """Cheap ones first: a checkpoint is there already."""
        asked, seeds = self.recipe.arms, tuple(self.recipe.gate.seeds)
        steps = steps_of(asked.checkpoints, self.made["train"]["steps"])
        found = [
            Planned(f"{100 * share:g}%", "checkpoint", seeds, step=step)
            for step, share in sorted(steps.items())
            if step < self.made["train"]["steps"]
        ]
        if asked.control:
            found.append(Planned("control", "control", seeds, train_seed=self.recipe.train.seed))
        if asked.cpt_seeds:
            found += [
                Planned(f"seed {seed}", "seed", (seed,), train_seed=self.recipe.train.seed + at)
                for at, seed in enumerate(seeds)
                if at
            ]
        return found

    def _text(self, planned: Planned) -> str:
        """Names a control's text, split and tokenizer; where it cannot be read, as it was."""
        if planned.kind != "control":
            return ""
        if self.control is None:
            kept = self.context.scratch(planned.file) or {}
            return str(kept["text"]) if kept.get("source") == self._source() else ""
        return Path(self.control.made["scan"]["stores"]["domain"]).name

    def _source(self) -> dict[str, Any] | None:
        control = self.recipe.arms.control
        return control.model_dump() if control else None

    def _terms(self, planned: Planned) -> str:
        """What an arm's row depends on."""
        return digest(
            [
                vars(planned),
                self._text(planned),
                self.made["train"]["model_sha256"],
                self.pipeline.stages.prints["baseline"],
            ]
        )

    def _run(self) -> dict[str, Any]:
        if self.recipe.launch.processes > 1 and self._trains():
            message = "the arms' own training runs take one process"
            self.context.emit(Alarm(level="note", stage="arms", message=message))
        rows, missing = [], {}
        for planned in self.planned():
            try:
                rows.append(self._kept(planned) or self._row(planned))
            except InputError as error:
                missing[planned.name] = str(error)
                message = f"{planned.name}: not made: {error}"
                self.context.emit(Alarm(level="amber", stage="arms", message=message))
        made, judging = self.made, self.pipeline.judging
        judged = Judged(
            base=made["baseline"]["per_item"],
            cpt=made["gate"]["per_item"],
            verdict=GateVerdict.of(made["gate"]),
            gate=self.recipe.gate,
            limits=effective(self.recipe.probe.thresholds),
            groups=judging.groups,
            contaminated=contaminated_items(made),
            other_tries=self.pipeline.attempt.count().others,
        )
        found = summed(rows, judged, missing)
        for said in found.sentences:
            self.context.emit(Alarm(level="note", stage="arms", message=said))
        return found.model_dump()

    def _trains(self) -> bool:
        return any(planned.kind != "checkpoint" for planned in self.planned())

    # --- one arm --------------------------------------------------------------------------

    def _row(self, planned: Planned) -> ArmRow:
        """Make, score and keep one arm; what was trained for it is dropped. Raises InputError."""
        self.context.raise_if_stopped()
        inner = self._inner(planned)
        pipeline, base = self.pipeline, self.pipeline.base
        if planned.kind == "checkpoint":
            facts = self._at(planned, inner)
        else:
            facts = self._trained(planned, inner)
        model = models.load_folder(inner.run.path / "model")
        inner.stage = "arms"
        terms = self._terms(planned)
        result = pipeline.judging.arm(planned.name, base, model, terms, inner)
        row = ArmRow(
            name=planned.name,
            kind=planned.kind,
            seeds=list(planned.seeds),
            **_scored(result),
            **{**facts, **self._forgotten(model, facts.get("generic_rise"))},
        )
        artifacts = self.context.run.path / "artifacts"
        private_dir(artifacts / ROWS)
        kept = {
            "fingerprint": terms,
            "text": self._text(planned),
            "source": self._source(),
            "row": row.model_dump(),
        }
        write_json(artifacts / planned.file, kept)
        for name in ("checkpoints", "pack", "model"):
            shutil.rmtree(inner.run.path / name, ignore_errors=True)
        told = f"{row.score:.1f} points after {row.tokens:,} tokens"
        self.context.emit(Facts(stage="arms", facts={planned.name: told}))
        return row

    def _forgotten(self, model: torch.nn.Module, trained: float | None) -> dict[str, Any]:
        """The rise on the documents that the gate's own guard read, whatever seed an arm has.

        Where these are too few for an interval, what training measured of the arm.
        """
        rise, limits = self._guard.rise(model), effective(self.recipe.probe.thresholds)
        ends = (rise.value, rise.low, rise.high) if rise else (trained, None, None)
        names = ("generic_rise", "generic_low", "generic_high")
        return {
            "guard": guard_state(ends[0], limits, ends[2]),
            **{
                n: v if v is not None and math.isfinite(v) else None
                for n, v in zip(names, ends, strict=True)
            },
        }

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
        recipe, trained = self.recipe, self.made["train"]
        train = {
            "seed": planned.train_seed,
            "lr": trained["lr"],
            "lr_pilot": False,
            "stop_on_red": False,
            "samples": 0,
            "trackers": [],
        }
        gate: dict[str, Any] = {"seeds": list(planned.seeds)}
        if planned.kind == "seed":  # one search for the arm, as the gate's two have
            rate = {"lr": self.made["gate"]["probe"]["lr"], "lrs": None}
            gate["probe"] = recipe.gate.probe.model_copy(update=rate)
        changed: dict[str, Any] = {
            "arms": recipe.arms.model_copy(update={"checkpoints": []}),
            "lora": recipe.lora.model_copy(update={"rank": self.rank}),
            "gate": recipe.gate.model_copy(update=gate),
        }
        if planned.kind == "control":
            train["max_tokens"] = self._matched()
            changed["corpus"] = recipe.arms.control
        changed["train"] = recipe.train.model_copy(update=train)
        return recipe.model_copy(update=changed)

    def _matched(self) -> int:
        """The token cap that gives a control the domain tokens that the run was packed with."""
        recipe, domain = self.recipe, self.made["pack"]["ledger"]["domain tokens packed"]
        return math.ceil(domain * max(1.0, recipe.train.epochs) / (1 - recipe.pack.mix_back))

    def _trained(self, planned: Planned, inner: ArmContext) -> dict[str, Any]:
        """Train a model for this arm alone; returns what its row says of that."""
        child, source = Pipeline(inner, self.pipeline.base, ()), self.pipeline
        if planned.kind == "control":
            if self.control is None:
                raise InputError(self.unread)
            source = self.control
            self._check_other(source.stores()[0])
        child.made["scan"] = source.made["scan"]
        child.stages.prints["scan"] = source.stages.prints["scan"]
        child.pack()
        asked, got = self.made["pack"]["tokens"], child.made["pack"]["tokens"]
        if got < MATCHED * asked:
            raise InputError(
                f"[arms.control] gives {got:,} tokens to train on, and the run had {asked:,}: "
                "give a larger text, or take the control out"
            )
        inner.stage = "train"
        child.train_stage(child.identity())
        trained = child.made["train"]
        facts = {
            "tokens": trained["tokens"],
            "domain_loss": trained["domain_after"],
            "generic_rise": trained["generic_rise"],
        }
        if planned.kind == "control":
            facts["corpus_sha256"] = child.made["scan"]["scan"]["domain"]["fingerprint"]
            facts["contaminated"] = len(contaminated_items(child.made))
        return facts

    def _check_other(self, control: TokenStore) -> None:
        """InputError where the control is not other text than the corpus."""
        both = np.isin(control.hashes, self.pipeline.stores()[0].hashes)
        shared = float(control.lengths[both].sum() / control.lengths.sum())
        if shared > SHARED:
            raise InputError(
                f"{shared:.0%} of the text of [arms.control] stands in the corpus too, so it is no "
                "control; give other text"
            )

    def _at(self, planned: Planned, inner: ArmContext) -> dict[str, Any]:
        """The run's own model as its checkpoint of a step has it, adapters merged, saved."""
        recipe, base = self.recipe, self.pipeline.base
        path = Checkpoints(self.context.run.checkpoints).at(planned.step)
        if not verify(path):
            raise InputError(
                f"no whole checkpoint at {planned.name} of training is there: the run was trained "
                "before [arms] checkpoints asked for one; take it out, or start a new run"
            )
        model = methods.ready(methods.load(base, recipe), recipe, self.rank, recipe.train.seed)
        load_weights(path, model)
        state = json.loads((path / "state.json").read_text())
        model = methods.method_of(recipe).merge(model, base)
        models.save(model, base, inner.run.path / "model")
        return {"tokens": state["tokens"]}


def _scored(result: Result) -> dict[str, Any]:
    return {
        "per_item": result.scores.tolist(),
        "score": round(100 * float(np.mean(result.scores)), 4),
        "lr": result.rate["lr"],
    }
