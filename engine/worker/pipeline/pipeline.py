"""The stages in order: what each depends on, and what it does. ``stages`` has the machinery."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.artifacts.artifacts import Artifacts
from engine.artifacts.decision import Evidence, Verdict
from engine.artifacts.gate import GateArtifact, GateVerdict
from engine.corpus.corpus import Corpus
from engine.decision.decide import decide, settled
from engine.errors import Blocked
from engine.files import digest
from engine.recipe.sections import Recipe
from engine.recipe.toml import RESULTS, write_results
from engine.report.report import write_report
from engine.runs.events import Alarm, Facts
from engine.stages import EXTEND
from engine.worker.gate import registration
from engine.worker.gate.stage import Judging, contaminated_items
from engine.worker.job.context import Context
from engine.worker.job.stage import Stages
from engine.worker.measure import probe as probe_stage
from engine.worker.measure import scan
from engine.worker.measure.cost import cost_inputs
from engine.worker.model import base as models
from engine.worker.model.precision import PRECISION_FILE, run_precision
from engine.worker.packing import stage as mix
from engine.worker.packing.mix import heldout_rows, open_mix
from engine.worker.pipeline.provenance import results
from engine.worker.release.finish import FinishStage
from engine.worker.tokens.build import store_folder
from engine.worker.tokens.checks import check_ids, stores_exist
from engine.worker.tokens.store import TokenStore
from engine.worker.train.stage import Training
from engine.worker.vocabulary.permission import check_first_run
from engine.worker.vocabulary.stage import (
    EXTENDED,
    Extended,
    extend_inputs,
    extend_stage,
    opened,
    wide_base,
)

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Cores of this machine that we may use; torchrun allows its processes one each."""


@dataclass
class Pipeline:
    """One worker's walk through the stages, with what they share."""

    context: Context
    base: models.Base
    wanted: tuple[str, ...]

    def __post_init__(self) -> None:
        self.stages = Stages(self.context)
        self.gate_hashes = registration.hashes(self.recipe.gate)
        self.trained = self.base
        """What is packed for and trained: the base, with new tokens if the recipe asks."""

    @property
    def made(self) -> dict[str, Any]:
        return self.stages.made

    @property
    def recipe(self) -> Any:
        return self.context.recipe

    @property
    def gated(self) -> bool:
        return self.recipe.gate.gold is not None and self.recipe.gate.sft is not None

    @property
    def finishing(self) -> bool:
        """Whether stage two was asked for, by the recipe or by ``cpt finish``."""
        return self.recipe.finish.run or "finish" in self.wanted

    def terms(self, precision: str | None) -> registration.Terms:
        """The gate as it would be registered now."""
        return registration.terms(self.recipe, self.base.identity, precision, self.gate_hashes)

    def check_registration(self) -> None:
        """Refuse a gate that changed after training had begun, before anything is run again."""
        run = self.context.run
        if self.gated or registration.kept(run) is not None:
            chosen = self.context.scratch(PRECISION_FILE) or {}
            registration.check(run, self.terms(chosen.get("name")))

    def stores(self, stage: str = "scan") -> tuple[TokenStore, TokenStore]:
        """Both sides as a stage's tokenizer reads them."""
        folders = self.made[stage]["stores"]
        return TokenStore(Path(folders["domain"])), TokenStore(Path(folders["generic"]))

    def evidence(self) -> Evidence:
        """All evidence so far, as the decision reads it."""
        known = {**self.made.get("scan", {}), **self.made.get("probe", {})}
        known.pop("stores", None)
        return Evidence.model_validate({k: v for k, v in known.items() if v is not None})

    # --- stages -------------------------------------------------------------------------

    def scan(self) -> None:
        gate = self.recipe.gate
        inputs = [
            *scan.scan_inputs(self.recipe, self.base),
            self.base.context,
            gate.max_items,
            gate.probe.max_examples,
        ]
        self.stages.run("scan", inputs, lambda _: self._scan(), usable=stores_exist)

    def _scan(self) -> dict[str, Any]:
        made = scan.scan_stage(self.context, self.base)
        for folder in made["stores"].values():
            check_ids(TokenStore(Path(folder)), self.base)
        return made

    def probe(self) -> None:
        """Skipped where the answers alone settle the decision, unless it is overridden."""
        recipe = self.recipe
        early = None if recipe.recipe.override else settled(self.evidence(), recipe)
        inputs = [
            self.stages.prints["scan"],
            self.base.identity,
            recipe.probe.model_dump(),
            recipe.train.made_of(),
            recipe.lora.model_dump(),
            recipe.model.dtype,
            recipe.pack.sequence_length,
            cost_inputs(recipe),
            early is not None,
        ]
        self.stages.run("probe", inputs, lambda _: self._probe(early))

    def _probe(self, early: Verdict | None) -> dict[str, Any]:
        if early is not None:
            message = f"not probed: {early.sentence}"
            self.context.emit(Alarm(level="note", stage="probe", message=message))
            return {"fluency": None, "pilot": None, "explanations": [], "cost": None}
        return probe_stage.probe_stage(self.context, self.base, *self.stores(), self.made["scan"])

    def decide(self) -> Verdict:
        evidence = self.evidence()
        inputs = [
            evidence.model_dump(),
            self.recipe.model_dump(exclude={*RESULTS, "arms", "finish"}),
        ]
        made = self.stages.run(
            "decide", inputs, lambda _: decide(evidence, self.recipe).model_dump()
        )
        verdict = Verdict.model_validate(made)
        self.write_recipe()
        return verdict

    def baseline(self) -> None:
        recipe = self.recipe
        self.context.stage = "baseline"
        now = self.terms(run_precision(self.context, self.base).name)
        registered = registration.register(self.context, now)
        self.judging = Judging(self.context, self.base, now, registered)
        facts = {"registered": f"sha256 {registered}"}
        self.context.emit(Facts(stage="baseline", facts=facts))
        made = self.stages.run(
            "baseline", [registered], self.judging.baseline, files=lambda _: self.judging.files()
        )
        if made["mde"] > recipe.gate.plausible_gain:
            message = (
                f"The baseline's own variance gives a minimum detectable effect of "
                f"{made['mde']:.1f} points, more than the plausible gain of "
                f"{recipe.gate.plausible_gain:g}: this gold set cannot answer"
            )
            self.context.emit(Alarm(level="amber", stage="baseline", message=message))
            if not recipe.recipe.override:
                raise NotYet(message + "; add gold items or seeds, or use --override")

    def check_first_run(self) -> None:
        """Refuse new tokens that no finished run argues for, before anything is read."""
        if self.recipe.vocab.extend and not self.context.run.training_begun:
            self._first_run()

    def _first_run(self) -> dict[str, Any]:
        corpus = store_folder(Corpus(self.recipe.corpus), self.base.tokenizer).name
        return check_first_run(self.recipe, self.base.identity, corpus).to_json()

    def extend(self) -> None:
        """New tokens; all that follows reads, trains and judges the base that has them."""
        inputs = [self.stages.prints["scan"], *extend_inputs(self.recipe, self.base)]
        folder = self.context.run.path / EXTENDED
        self.stages.run(
            EXTEND,
            inputs,
            lambda _: extend_stage(self.context, self.base, self.stores(), self._first_run()),
            files=lambda _: sorted(folder.iterdir()),
            usable=stores_exist,
        )
        self.trained = wide_base(self.context.run.path, self.base)

    def pack(self) -> None:
        recipe = self.recipe
        inputs = [
            self.stages.prints["scan"],
            self.base.context,
            recipe.pack.model_dump(),
            recipe.train.max_tokens,
            recipe.train.epochs,
            recipe.train.batch_tokens,
            recipe.train.seed,
            recipe.train.eval_tokens,
            *([self.stages.prints[EXTEND]] if EXTEND in self.made else []),
        ]
        folder = self.context.run.path / "pack"
        stores = self.stores(EXTEND if EXTEND in self.made else "scan")
        self.stages.run(
            "pack",
            inputs,
            lambda _: mix.pack_stage(self.context, self.trained, *stores),
            files=lambda made: mix.pack_files(folder, made["generic_rows"]),
        )

    def identity(self) -> dict[str, str]:
        """What a training run is made of: a checkpoint of another one is not gone on with."""
        recipe = self.recipe
        return {
            "corpus or packing": digest(self.made["pack"]["sha256"]),
            "mix": digest([self.made["pack"][k] for k in ("generic_rows", "sequence_length")]),
            "base model": self.trained.hash_of(tokenizer=False),
            "tokenizer": self.trained.hash_of(tokenizer=True),
            "recipe": digest(
                [
                    recipe.train.made_of(),
                    recipe.lora.model_dump(),
                    recipe.model.dtype,
                    *([recipe.vocab.model_dump()] if recipe.vocab.extend else []),
                ]
            ),
            "precision": run_precision(self.context, self.base).name,
        }

    def train(self) -> None:
        identity = self.identity()
        if self.gated:
            self.attempt = self.judging.trying(identity)
            self.judging.begin(self.attempt)
        self.train_stage(identity)

    def train_stage(self, identity: dict[str, str]) -> None:
        """The stage itself; an arm beside the gate's two is no try of its own."""
        folder = self.context.run.path / "model"
        self.stages.run(
            "train",
            [identity],
            lambda _: self.train_only(identity),
            files=lambda _: sorted(folder.iterdir()),
        )

    def train_only(self, identity: dict[str, str]) -> dict[str, Any]:
        """Train on what the stages before have made; all ranks do."""
        share_threads(self.recipe, self.context.ranks.here)
        folder = self.context.run.path / "pack"
        made = self.made["pack"]
        pool = open_mix(folder, self.recipe, made["sha256"], made["generic_rows"])
        heldout = (
            heldout_rows(folder / "heldout-domain"),
            heldout_rows(folder / "heldout-generic"),
        )
        tokens = self.made["scan"]["scan"]["domain"]["tokens"]
        try:
            return Training(
                self.context, self.trained, pool, heldout, tokens, identity, self.extended()
            ).run()
        finally:
            share_threads(self.recipe)

    def extended(self) -> Extended | None:
        """The new tokens as training uses them; None without any."""
        if EXTEND not in self.made:
            return None
        stores, made = self.stores(), self.made[EXTEND]
        return opened(self.context, self.base, self.trained, stores, made)

    def gate(self) -> GateVerdict:
        trained, before = self.made["train"]["model_sha256"], self.stages.prints["baseline"]
        inputs = [trained, before, contaminated_items(self.made)]
        generic = self.stores()[1]
        made = self.stages.run(
            "gate",
            inputs,
            lambda f: self.judging.gate(f, self.made, before, self.attempt, generic, self.trained),
        )
        return GateArtifact.model_validate(made)

    def finish(self) -> None:
        """Stage two, after the verdict: the task model and its four rows."""
        recipe = self.recipe
        stage = FinishStage(self.context, self.base, self.judging, self.made, self.stores()[1])
        inputs = [
            self.made["train"]["model_sha256"],
            self.stages.prints["gate"],
            self.made["gate"]["outcome"],
            recipe.finish.model_dump(exclude={"run"}),
        ]
        self.stages.run("finish", inputs, stage.run, files=lambda _: stage.files())

    def report(self) -> None:
        """Written anew each time: it is cheap, and it must show the newest state."""
        self.context.stage = "report"
        self.write_recipe()
        path = write_report(self.context.run, self.recipe, Artifacts.of(self.made))
        self.stages.run("report", [time.time()], lambda _: {"path": str(path)})

    def write_recipe(self) -> None:
        """Put evidence, verdict and provenance into the run's recipe (it then replays)."""
        write_results(self.context.run.recipe_path, results(self.recipe, self.base, self.made))


class NotYet(Blocked):
    """The pipeline stops before compute is spent."""


def share_threads(recipe: Recipe, here: int = 1) -> None:
    """Threads of this process: the recipe's, else all cores, shared by ``here`` processes."""
    if recipe.launch.threads:
        torch.set_num_threads(recipe.launch.threads)
    elif "LOCAL_WORLD_SIZE" in os.environ:
        torch.set_num_threads(max(1, THREADS // here))
