"""The stages in order. Each reads files, writes one artifact, and is skipped when it is done.

A stage is done when its artifact is there with the fingerprint of its inputs: a crash, a
stop and a resume are therefore the same thing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import __version__, demo
from engine.decision import decide, settled
from engine.errors import Blocked, Exit
from engine.events import Alarm, Facts, RunEnded, RunStarted, StageDone, StageStarted
from engine.evidence import Evidence, GateVerdict, Verdict
from engine.gate import judge, measured_mde, with_clean_part
from engine.gold import Example, load_examples, pick
from engine.preflight import check_recipe
from engine.recipe_io import RESULTS, write_results
from engine.report import write_report
from engine.run import STAGES, digest, home, sha256_file
from engine.thresholds import effective
from engine.worker import mix, probe_stage, scan, selfcheck
from engine.worker import model as models
from engine.worker.context import Context
from engine.worker.probe import Arm
from engine.worker.provenance import results
from engine.worker.score import SCORING
from engine.worker.tokens import TokenStore
from engine.worker.train import Training, heldout_rows

OUTCOME_CODES = {
    "GO": Exit.OK,
    "EARNED": Exit.OK,
    "NO-GO": Exit.NO_GO,
    "NOT YET": Exit.NO_GO,
    "TIE": Exit.TIE,
    "HURT": Exit.HURT,
}


@dataclass
class Pipeline:
    """One worker's walk through the stages, with what they share."""

    context: Context
    base: models.Base
    wanted: tuple[str, ...]
    made: dict[str, Any] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)

    def stage(self, name: str, inputs: list[Any], work: Callable[[str], dict[str, Any]]) -> Any:
        """Run ``work(fingerprint)`` unless its artifact for these inputs is there already."""
        context = self.context
        context.raise_if_stopped()
        context.stage = name
        fingerprint = digest([name, *inputs])
        self.prints[name] = fingerprint
        kept = context.load_artifact(name, fingerprint)
        context.emit(StageStarted(stage=name))
        started = time.monotonic()
        if kept is None:
            result = work(fingerprint)
            context.run.write_artifact(name, result, fingerprint)
            kept = result
            skipped = False
        else:
            skipped = True
        self.made[name] = kept
        seconds = round(time.monotonic() - started, 2)
        context.emit(StageDone(stage=name, seconds=seconds, evidence=kept, skipped=skipped))
        return kept

    @property
    def recipe(self) -> Any:
        return self.context.recipe

    def stores(self) -> tuple[TokenStore, TokenStore]:
        folders = self.made["scan"]["stores"]
        return TokenStore(Path(folders["domain"])), TokenStore(Path(folders["generic"]))

    def evidence(self) -> Evidence:
        """All evidence so far, as the decision reads it."""
        known = {**self.made.get("scan", {}), **self.made.get("probe", {})}
        known.pop("stores", None)
        return Evidence.model_validate({k: v for k, v in known.items() if v is not None})

    # --- stages -------------------------------------------------------------------------

    def scan(self) -> None:
        self.stage(
            "scan",
            scan.scan_inputs(self.recipe, self.base),
            lambda _: scan.scan_stage(self.context, self.base),
        )

    def probe(self) -> None:
        recipe = self.recipe
        inputs = [
            self.prints["scan"],
            self.base.identity,
            recipe.probe.model_dump(),
            recipe.train.model_dump(),
            recipe.lora.model_dump(),
            recipe.model.dtype,
            recipe.pack.sequence_length,
        ]
        self.stage("probe", inputs, lambda _: self._probe())

    def _probe(self) -> dict[str, Any]:
        early = settled(self.evidence(), self.recipe)
        if early is not None and not self.recipe.recipe.override:
            message = f"not probed: {early.sentence}"
            self.context.emit(Alarm(level="note", stage="probe", message=message))
            return {"fluency": None, "pilot": None, "explanations": [], "cost": None}
        return probe_stage.probe_stage(self.context, self.base, *self.stores(), self.made["scan"])

    def decide(self) -> Verdict:
        evidence = self.evidence()
        inputs = [evidence.model_dump(), self.recipe.model_dump(exclude=set(RESULTS))]
        made = self.stage("decide", inputs, lambda _: decide(evidence, self.recipe).model_dump())
        verdict = Verdict.model_validate(made)
        self.write_recipe()
        return verdict

    def baseline(self) -> None:
        recipe = self.recipe
        inputs = [self.base.identity, *self._gate_inputs()]
        made = self.stage("baseline", inputs, self._baseline)
        if made["mde"] > recipe.gate.plausible_gain:
            message = (
                f"The baseline's own variance gives a minimum detectable effect of "
                f"{made['mde']:.1f} points, more than the plausible gain of "
                f"{recipe.gate.plausible_gain:g}: this gold set cannot answer"
            )
            self.context.emit(Alarm(level="amber", stage="baseline", message=message))
            if not recipe.recipe.override:
                raise NotYet(message + "; add gold items or seeds, or use --override")

    def _gate_inputs(self) -> list[Any]:
        gate = self.recipe.gate
        files = [sha256_file(Path(gate.gold)), sha256_file(Path(gate.sft))]
        return [gate.model_dump(), *files, SCORING]

    def _examples(self) -> tuple[list[Example], list[Example]]:
        gate = self.recipe.gate
        sft = load_examples(Path(gate.sft))
        gold = load_examples(Path(gate.gold), need_choices=gate.metric == "choice")
        return pick(sft, gate.probe.max_examples), pick(gold, gate.max_items)

    def _arm(self, name: str, model: torch.nn.Module, fingerprint: str) -> np.ndarray[Any, Any]:
        sft, gold = self._examples()
        precision = models.choose_precision(self.recipe.model.dtype, model)
        metric = self.recipe.gate.metric
        judged = gold if metric == "choice" else []
        paths = selfcheck.prove(self.context, self.base, model, precision, judged)
        facts = {**paths.training(model), **paths.scoring(metric)}
        self.context.emit(Facts(stage=self.context.stage, facts=facts))
        arm = Arm(self.context, self.base, name, model, precision, sft, gold, fingerprint)
        return arm.scores()

    def _baseline(self, fingerprint: str) -> dict[str, Any]:
        scores = self._arm("base", models.load(self.base), fingerprint)
        return {
            "scores": (100 * scores.mean(axis=1)).round(4).tolist(),
            "items": scores.shape[1],
            "mde": round(measured_mde(scores, self.recipe.gate.alpha), 3),
            "per_item": scores.tolist(),
            "registration": fingerprint,
        }

    def pack(self) -> None:
        recipe = self.recipe
        inputs = [
            self.prints["scan"],
            recipe.pack.model_dump(),
            recipe.train.max_tokens,
            recipe.train.epochs,
            recipe.train.batch_tokens,
            recipe.train.seed,
            recipe.train.eval_tokens,
        ]
        self.stage(
            "pack",
            inputs,
            lambda fingerprint: mix.pack_stage(
                self.context, self.base, *self.stores(), fingerprint
            ),
        )

    def train(self) -> None:
        recipe = self.recipe
        identity = {
            "corpus or packing": digest(self.made["pack"]["sha256"]),
            "base model": self.base.identity,
            "recipe": digest(
                [recipe.train.model_dump(), recipe.lora.model_dump(), recipe.model.dtype]
            ),
        }
        self.stage("train", [identity], lambda _: self._train(identity))

    def _train(self, identity: dict[str, str]) -> dict[str, Any]:
        folder = self.context.run.path / "pack"
        pool = mix.open_mix(
            folder, self.recipe, self.prints["pack"], self.made["pack"]["generic_rows"]
        )
        heldout = (
            heldout_rows(folder / "heldout-domain"),
            heldout_rows(folder / "heldout-generic"),
        )
        tokens = self.made["scan"]["scan"]["domain"]["tokens"]
        return Training(self.context, self.base, pool, heldout, tokens, identity).run()

    def gate(self) -> GateVerdict:
        inputs = [self.made["train"]["model_sha256"], self.prints["baseline"]]
        made = self.stage("gate", inputs, self._gate)
        return GateVerdict.model_validate({k: v for k, v in made.items() if k != "per_item"})

    def _gate(self, fingerprint: str) -> dict[str, Any]:
        folder = self.context.run.path / "model"
        model = models.load_folder(folder)
        cpt = self._arm("cpt", model, fingerprint)
        base = np.array(self.made["baseline"]["per_item"])
        _, gold = self._examples()
        groups = [e.group or f"item {i}" for i, e in enumerate(gold)]
        named = groups if any(e.group for e in gold) else None
        limits = effective(self.recipe.probe.thresholds)
        rise = self.made["train"]["generic_rise"]
        verdict = judge(base, cpt, self.recipe.gate, rise, limits, named)
        verdict = with_clean_part(
            verdict,
            (base, cpt),
            self.recipe.gate,
            limits,
            named,
            (self.made["scan"]["gate"] or {}).get("contaminated_items", []),
        )
        return {**verdict.model_dump(), "per_item": cpt.tolist()}

    def report(self) -> None:
        """Written anew each time: it is cheap, and it must show the newest state."""
        self.context.stage = "report"
        self.write_recipe()
        path = write_report(self.context.run, self.recipe, self.made)
        self.stage("report", [time.time()], lambda _: {"path": str(path)})

    def write_recipe(self) -> None:
        """Put evidence, verdict and provenance into the run's recipe (it then replays)."""
        write_results(self.context.run.recipe_path, results(self.recipe, self.base, self.made))


class NotYet(Blocked):
    """The pipeline stops before compute is spent."""


def run_stages(context: Context, stages: tuple[str, ...]) -> RunEnded:
    """Run the wanted stages in order; returns the event that ends the run."""
    recipe = context.recipe
    names = (["base"] if demo.is_demo(recipe) else []) + [s for s in STAGES if s in stages]
    resumed = context.run.events_path.stat().st_size > 0
    context.emit(
        RunStarted(
            run=context.run.id, pid=os.getpid(), stages=names, version=__version__, resumed=resumed
        )
    )
    if recipe.launch.threads:
        torch.set_num_threads(recipe.launch.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if demo.is_demo(recipe):
        from engine.worker.demo_base import base_stage

        base = base_stage(context)
    else:
        check_recipe(recipe, home())
        base = models.resolve(recipe.model)
    pipeline = Pipeline(context, base, stages)
    facts = {
        "model": base.name,
        "context": f"{base.context} tokens",
        "device": models.device().type,
    }
    context.emit(Facts(stage="scan", facts=facts))
    try:
        return _walk(pipeline)
    except NotYet as error:
        pipeline.report()
        return RunEnded(outcome="NOT YET", code=int(Exit.NO_GO), message=str(error))


def _walk(pipeline: Pipeline) -> RunEnded:
    pipeline.scan()
    pipeline.probe()
    verdict = pipeline.decide()
    if "train" not in pipeline.wanted:
        return _ended(verdict.outcome, verdict.sentence)
    if verdict.outcome != "GO" and not verdict.override:
        pipeline.report()
        return _ended(verdict.outcome, verdict.sentence)
    gated = pipeline.recipe.gate.gold is not None and pipeline.recipe.gate.sft is not None
    if gated:
        pipeline.baseline()
    pipeline.pack()
    pipeline.train()
    if not gated:
        pipeline.report()
        return RunEnded(
            outcome="NOT YET",
            code=int(Exit.NO_GO),
            message="Trained past the decision, but no gold set and SFT data: there is no gate",
        )
    judged = pipeline.gate()
    pipeline.report()
    return _ended(judged.outcome, judged.sentence)


def _ended(outcome: str, sentence: str) -> RunEnded:
    return RunEnded(outcome=outcome, code=int(OUTCOME_CODES[outcome]), message=sentence)
