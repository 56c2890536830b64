"""More arms of a judged run: the control, earlier checkpoints, a training run for each seed.

What is trained for an arm is a run of its own below ``arms/NAME``, with the run's own stages,
checkpoints and resumes; it is handed the run's requests, and its progress is the run's. An arm
that is scored is kept as a row, and its weights are dropped.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from engine.arms import ArmRow, Kind, steps_of, summed
from engine.errors import InputError
from engine.events import Alarm, ArmSeed, Event, EventLog, Facts, TrainStep
from engine.gate import guard_state
from engine.gate_verdict import GateVerdict
from engine.recipe import Recipe
from engine.run import Run, digest, private_dir, write_json
from engine.thresholds import effective
from engine.worker import methods, retention
from engine.worker import model as models
from engine.worker.checkpoint import Checkpoints, load_weights, verify
from engine.worker.context import Context
from engine.worker.pipeline import Pipeline
from engine.worker.probe import Result

FOLDER, ROWS = "arms", "arms-rows"
MATCHED = 0.98
"""Least share of the run's tokens that a control must have; packing loses a row or so."""


@dataclass
class Inner(Context):
    """An arm's own run: its files are its own; requests, progress and precision are the run's."""

    owner: Context = field(kw_only=True)
    name: str = field(kw_only=True)

    def emit(self, event: Event) -> None:
        self.log.append(event)
        if isinstance(event, TrainStep):
            label = f"{self.name}: training"
            self.owner.tell(label, event.step, event.total, "steps", event.eta_s)
        elif isinstance(event, ArmSeed):
            self.owner.emit(event)
        elif isinstance(event, Alarm):
            message = f"{self.name}: {event.message}"
            self.owner.emit(replace(event, stage=self.owner.stage, message=message))

    def tell(
        self, label: str, done: float, total: float, unit: str, eta: float | None = None
    ) -> None:
        self.owner.tell(f"{self.name}: {label}", done, total, unit, eta)

    def asked(self, *actions: str) -> set[str]:
        return self.owner.asked(*actions)

    def raise_if_stopped(self) -> None:
        self.owner.raise_if_stopped()

    def hold(self, step: int | None = None, checkpoint: Callable[[], None] = lambda: None) -> None:
        self.owner.hold(step, checkpoint)

    def clock(self) -> float:
        return self.owner.clock()

    def precision(
        self, base: models.Base, model: torch.nn.Module | None = None
    ) -> models.Precision:
        return self.owner.precision(base, model)


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


@dataclass(frozen=True)
class Arms:
    """The stage: every arm that the recipe asks for."""

    pipeline: Pipeline

    @property
    def context(self) -> Context:
        return self.pipeline.context

    @property
    def recipe(self) -> Recipe:
        return self.context.recipe

    @property
    def made(self) -> dict[str, Any]:
        return self.pipeline.made

    def stage(self) -> dict[str, Any]:
        """The stage's artifact: rows, the recipe's verdict, sentences. Raises InputError."""
        inputs = [self._terms(planned) for planned in self.planned()]
        made: dict[str, Any] = self.pipeline.stages.run(
            "arms", [self.pipeline.stages.prints["gate"], inputs], lambda _: self._run()
        )
        return made

    def planned(self) -> list[Planned]:
        """Cheap ones first: a checkpoint is there already."""
        asked, seeds = self.recipe.arms, tuple(self.recipe.gate.seeds)
        steps = steps_of(asked.checkpoints, self.made["train"]["steps"])
        found = [
            Planned(f"{share:.0%}", "checkpoint", seeds, step=step)
            for step, share in sorted(steps.items())
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

    def _terms(self, planned: Planned) -> str:
        """What an arm's row depends on."""
        control = self.recipe.arms.control
        return digest(
            [
                vars(planned),
                control.model_dump() if control and planned.kind == "control" else None,
                self.made["train"]["model_sha256"],
                self.pipeline.stages.prints["baseline"],
            ]
        )

    def _run(self) -> dict[str, Any]:
        if self.recipe.launch.processes > 1 and self._trains():
            message = "the arms' own training runs take one process"
            self.context.emit(Alarm(level="note", stage="arms", message=message))
        self._check_checkpoints()
        rows = [self._kept(planned) or self._row(planned) for planned in self.planned()]
        gate = self.made["gate"]
        known = GateVerdict.model_fields
        verdict = GateVerdict.model_validate({k: v for k, v in gate.items() if k in known})
        judging = self.pipeline.judging
        found = summed(
            rows,
            self.made["baseline"]["per_item"],
            gate["per_item"],
            verdict,
            self.recipe.gate,
            effective(self.recipe.probe.thresholds),
            judging.groups,
            self.pipeline.attempt.count().others,
        )
        for said in found.sentences:
            self.context.emit(Alarm(level="note", stage="arms", message=said))
        return found.model_dump()

    def _trains(self) -> bool:
        return any(planned.kind != "checkpoint" for planned in self.planned())

    def _check_checkpoints(self) -> None:
        """Before anything is trained: are the checkpoints there?"""
        for planned in self.planned():
            if planned.kind == "checkpoint" and self._kept(planned) is None:
                path = Checkpoints(self.context.run.checkpoints).at(planned.step)
                if not verify(path):
                    raise InputError(
                        f"Run {self.context.run.id} has no whole checkpoint at {planned.name} of "
                        "training: it was trained before [arms] checkpoints asked for one; take "
                        "it out, or start a new run"
                    )

    # --- one arm --------------------------------------------------------------------------

    def _row(self, planned: Planned) -> ArmRow:
        """Make, score and keep one arm; what was trained for it is dropped."""
        self.context.raise_if_stopped()
        inner = self._inner(planned)
        pipeline, base = self.pipeline, self.pipeline.base
        if planned.kind == "checkpoint":
            facts = self._at(planned.step, inner)
        else:
            facts = self._trained(planned, inner)
        model = models.load_folder(inner.run.path / "model")
        inner.stage = "arms"
        terms = self._terms(planned)
        result = pipeline.judging.arm(planned.name, base, model, terms, inner)
        rise = retention.measured(inner, base, model, pipeline.stores()[1])
        limits = effective(self.recipe.probe.thresholds)
        row = ArmRow(
            name=planned.name,
            kind=planned.kind,
            seeds=list(planned.seeds),
            **_scored(result),
            **facts,
            generic_rise=rise.value if rise else None,
            guard=guard_state(rise.value, limits, rise.high) if rise else "unknown",
        )
        folder = private_dir(self.context.run.path / "artifacts" / ROWS)
        kept = {"fingerprint": terms, "row": row.model_dump()}
        write_json(folder / f"{planned.folder}.json", kept)
        for name in ("checkpoints", "pack", "model"):
            shutil.rmtree(inner.run.path / name, ignore_errors=True)
        told = f"{row.score:.1f} points after {row.tokens:,} tokens"
        self.context.emit(Facts(stage="arms", facts={planned.name: told}))
        return row

    def _kept(self, planned: Planned) -> ArmRow | None:
        """The row that an earlier walk finished."""
        found = self.context.scratch(f"{ROWS}/{planned.folder}.json")
        if found is None or found["fingerprint"] != self._terms(planned):
            return None
        return ArmRow.model_validate(found["row"])

    def _inner(self, planned: Planned) -> Inner:
        run = Run(private_dir(self.context.run.path / FOLDER / planned.folder))
        private_dir(run.checkpoints)
        log = EventLog(run.events_path)
        return Inner(run, self._recipe(planned), log, owner=self.context, name=planned.name)

    def _recipe(self, planned: Planned) -> Recipe:
        """The run's recipe with what this arm changes; rate and rank stay those that it had."""
        recipe, trained = self.recipe, self.made["train"]
        tokens = self.made["scan"]["scan"]["domain"]["tokens"]
        rank, _ = models.default_rank(recipe.lora, tokens)
        train = {
            "seed": planned.train_seed,
            "lr": trained["lr"],
            "lr_pilot": False,
            "samples": 0,
            "trackers": [],
        }
        changed: dict[str, Any] = {
            "arms": recipe.arms.model_copy(update={"checkpoints": []}),
            "lora": recipe.lora.model_copy(update={"rank": rank}),
            "gate": recipe.gate.model_copy(update={"seeds": list(planned.seeds)}),
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

    def _trained(self, planned: Planned, inner: Inner) -> dict[str, Any]:
        """Train a model for this arm alone; returns what its row says of that."""
        child = Pipeline(inner, self.pipeline.base, ())
        if planned.kind == "control":
            child.scan()
        else:
            child.made["scan"] = self.made["scan"]
            child.stages.prints["scan"] = self.pipeline.stages.prints["scan"]
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
        return {
            "tokens": trained["tokens"],
            "domain_loss": trained["domain_after"],
            "corpus_sha256": child.made["scan"]["scan"]["domain"]["fingerprint"],
        }

    def _at(self, step: int, inner: Inner) -> dict[str, Any]:
        """The run's own model as its checkpoint of a step has it, adapters merged, saved."""
        recipe, base = self.recipe, self.pipeline.base
        path = Checkpoints(self.context.run.checkpoints).at(step)
        tokens = self.made["scan"]["scan"]["domain"]["tokens"]
        rank, _ = models.default_rank(recipe.lora, tokens)
        model = methods.ready(methods.load(base, recipe), recipe, rank, recipe.train.seed)
        load_weights(path, model)
        state = json.loads((path / "state.json").read_text())
        whole = base if methods.is_qlora(recipe) else None
        models.save(methods.merged(model, whole), base, inner.run.path / "model")
        return {"tokens": state["tokens"]}


def _scored(result: Result) -> dict[str, Any]:
    return {
        "per_item": result.scores.tolist(),
        "score": round(100 * float(np.mean(result.scores)), 4),
        "lr": result.rate["lr"],
    }
