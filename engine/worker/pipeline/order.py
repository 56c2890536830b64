"""The order of the stages, and how a run ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from engine import __version__
from engine.artifacts.decision import Verdict
from engine.artifacts.gate import BaselineArtifact, GateVerdict
from engine.artifacts.shipping import ReportArtifact
from engine.demo import demo
from engine.errors import Blocked, Exit, InputError
from engine.files import home
from engine.gate.looks import too_many_replaced
from engine.preflight import check_recipe, check_texts
from engine.recipe.seal import find_change
from engine.recipe.sections import Recipe
from engine.recipe.toml import write_results
from engine.redaction import forget_tokens
from engine.release.policy import check_verdict
from engine.report.report import write_report, written_files
from engine.runs.events import Alarm, Facts, RunEnded, RunStarted
from engine.runs.run import JUDGE
from engine.stages import EXTEND, STAGES
from engine.worker.gate import lm_eval, registration
from engine.worker.gate.stage import BaselineStage, GateStage, Judging
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.job.threads import share_threads
from engine.worker.measure.decide import DecideStage
from engine.worker.measure.probe import ProbeStage
from engine.worker.measure.scan import ScanStage
from engine.worker.model import base as models
from engine.worker.model import identity, methods
from engine.worker.model.job import Job
from engine.worker.model.precision import PRECISION_FILE, run_precision
from engine.worker.packing.stage import PackStage
from engine.worker.pipeline.more_arms import ArmsStage
from engine.worker.pipeline.provenance import results
from engine.worker.release.export import export_run
from engine.worker.release.finish import FOLDER, FinishStage
from engine.worker.train import kernels
from engine.worker.train.stage import TrainStage
from engine.worker.vocabulary.stage import ExtendStage, wide_base

OUTCOME_CODES = {
    "GO": Exit.OK,
    "EARNED": Exit.OK,
    "NO-GO": Exit.NO_GO,
    "NOT YET": Exit.NO_GO,
    "NOT JUDGED": Exit.NO_GO,
    "TIE": Exit.TIE,
    "HURT": Exit.HURT,
}


class NotYet(Blocked):
    """The run stops before compute is spent."""

    outcome = "NOT YET"


class NotJudged(NotYet):
    """The same: the gate could not judge what would be trained."""

    outcome = "NOT JUDGED"


def run_stages(context: Context, wanted: tuple[str, ...]) -> RunEnded:
    """Run the wanted stages in order; returns the event that ends the run."""
    if wanted == ("export",):
        return export_run(context)
    resumed = context.run.events_path.stat().st_size > 0
    context.emit(
        RunStarted(
            run=context.run.id,
            pid=os.getpid(),
            stages=plan_stages(context.recipe, wanted),
            version=__version__,
            resumed=resumed,
        )
    )
    lm_eval.materialise(context)
    job = Job(context, prepare(context))
    identity.hold(context, job.base.name, dict(job.base.parts))
    for note in job.base.notes:
        context.emit(Alarm(level="note", stage="scan", message=f"{job.base.name}: {note}"))
    facts = {
        "model": job.base.name,
        "weights": job.base.stored,
        "context": f"{job.base.context} tokens",
        "device": models.device().type,
    }
    context.emit(Facts(stage="scan", facts=facts))
    try:
        return walk_stages(job, wanted)
    except NotYet as error:
        write_run_report(job)
        return RunEnded(outcome=error.outcome, code=int(Exit.NO_GO), message=str(error))


def plan_stages(recipe: Recipe, wanted: tuple[str, ...]) -> list[str]:
    """The stages that a worker is going to run, in order, by name."""
    names = [stage for stage in STAGES if stage in wanted]
    if recipe.vocab.extend and PackStage.name in names:
        names.insert(names.index(PackStage.name), EXTEND)
    judges = GateStage.name in wanted
    names += [ArmsStage.name] if recipe.arms.asked and judges else []
    finishes = FinishStage.name in wanted or (recipe.finish.run and judges)
    names += [FinishStage.name] if finishes else []
    return (["base"] if demo.is_demo(recipe) else []) + names


def prepare(context: Context) -> models.Base:
    """Set up torch, and find the base."""
    recipe = context.recipe
    share_threads(recipe)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if demo.is_demo(recipe):
        from engine.worker.pipeline.demo_base import base_stage

        base = base_stage(context)
    else:
        check_recipe(recipe, home(), context.run.training_begun)
        methods.check(recipe)
        kernels.check(recipe)
        base = models.resolve(recipe.model)
    methods.check(recipe, base.config)
    models.check_length(recipe, base)
    return base


def serve(context: Context) -> None:
    """A rank other than 0: wait until training begins, take part in it, and leave."""
    if not context.ranks.wait_for_training(context.stop_requested):
        return
    context.stage = TrainStage.name
    job = Job(context, prepare(context))
    job.runner.artifacts = context.run.read_artifacts()
    made, extends = job.made, job.recipe.vocab.extend
    if made.scan is None or made.pack is None or (extends and made.extend is None):
        raise InputError("Rank 0's artifacts are not here; all nodes must share the run's folder")
    if extends:
        job.trained = wide_base(context.run.path, job.base)
    TrainStage(job).make()


def walk_stages(job: Job, wanted: tuple[str, ...]) -> RunEnded:
    """From the scan to the last wanted stage; each is run, or found done."""
    if change := find_change(job.run.recipe_path.read_text(errors="replace")):
        message = f"{change.replace('its', 'the', 1)}: it is taken as it is now"
        job.context.emit(Alarm(level="note", stage="scan", message=message))
    trains, recipe, runner = TrainStage.name in wanted, job.recipe, job.runner
    again = job.run.take_request(JUDGE)
    if not demo.is_demo(recipe):
        check_texts(job.run, recipe)
    gate_files = registration.hashes(recipe.gate)  # as they were when the worker began
    if trains:
        check_registration(job, gate_files)
        if recipe.vocab.extend and not job.run.training_begun:
            ExtendStage(job).check_first_run()
    runner.run(ScanStage(job))
    runner.run(ProbeStage(job))
    verdict = runner.run(DecideStage(job))
    write_recipe(job)
    trains = trains and (verdict.outcome == "GO" or bool(verdict.override))
    arms = ArmsStage(job)
    if trains:
        arms.fetch()
    forget_tokens()  # models, texts and references are fetched by now
    if not trains:
        if TrainStage.name in wanted:
            write_run_report(job)
        return end_run(verdict)
    judging = begin_gate(job, gate_files) if is_gated(recipe) else None
    if recipe.vocab.extend:
        runner.run(ExtendStage(job))
        job.trained = wide_base(job.run.path, job.base)
    runner.run(PackStage(job))
    training = TrainStage(job)
    if judging is None:
        runner.run(training)
        write_run_report(job)
        return RunEnded(
            outcome="NOT YET",
            code=int(Exit.NO_GO),
            message="Trained past the decision, but no gold set and SFT data: there is no gate",
        )
    attempt = judging.trying(training.identity)
    judging.begin(attempt)
    runner.run(training)
    return judge_run(job, wanted, GateStage(job, judging, attempt, again), arms)


def judge_run(job: Job, wanted: tuple[str, ...], gate: GateStage, arms: ArmsStage) -> RunEnded:
    """The gate, and what was asked for after it."""
    judging, attempt = gate.judging, gate.attempt
    judged = job.runner.run(gate)
    write_run_report(job)
    if job.recipe.arms.asked:
        arms.judge_with(judging, attempt)
        job.runner.run(arms)
        write_run_report(job)
    asked = FinishStage.name in wanted
    if not asked and not job.recipe.finish.run:
        return end_run(judged)
    if not job.recipe.finish.anyway:
        check_verdict(job.run, "finish")
    finished = job.runner.run(FinishStage(job, judging))
    write_run_report(job)
    if not asked:
        return end_run(judged)
    said = f"The task model is in {job.run.path / FOLDER}. {finished.why}"
    return RunEnded(outcome=judged.outcome, code=int(Exit.OK), message=said)


def end_run(judged: Verdict | GateVerdict) -> RunEnded:
    """The event that ends a run with this verdict."""
    code = int(OUTCOME_CODES[judged.outcome])
    return RunEnded(outcome=judged.outcome, code=code, message=judged.sentence)


# --- the gate before training ---------------------------------------------------------------


def is_gated(recipe: Recipe) -> bool:
    """Whether the recipe names what a gate needs."""
    return recipe.gate.gold is not None and recipe.gate.sft is not None


def gate_terms(job: Job, files: dict[str, str], precision: str | None) -> registration.Terms:
    """The gate as it would be registered now; ``files`` are the hashes of its files."""
    gold = registration.read_items(job.run, job.recipe.gate)
    return registration.terms(job.recipe, job.base.named_parts, precision, files, gold)


def check_registration(job: Job, files: dict[str, str]) -> None:
    """Refuse a gate that changed after training had begun, before anything is run again."""
    if is_gated(job.recipe) or registration.kept(job.run) is not None:
        chosen = job.context.scratch(PRECISION_FILE) or {}
        registration.check(job.run, gate_terms(job, files, chosen.get("name")))


def begin_gate(job: Job, files: dict[str, str]) -> Judging:
    """Register the gate and judge the base's own arm. NotYet where it shows too little."""
    job.context.stage = BaselineStage.name
    terms = gate_terms(job, files, run_precision(job.context, job.base).name)
    registered = registration.register(job.context, terms)
    judging = Judging(job.context, job.base, terms, registered)
    facts = {"registered": f"sha256 {registered}"}
    job.context.emit(Facts(stage=BaselineStage.name, facts=facts))
    made = job.runner.run(BaselineStage(judging))
    check_learnt(job, made)
    check_effect(job, made)
    return judging


def check_learnt(job: Job, made: BaselineArtifact) -> None:
    """NotJudged where too many seeds of the base's SFT have taught nothing."""
    why = too_many_replaced(made.arm) if made.arm else ""
    if not why:
        return
    message = (
        f"NOT JUDGED before training: {why}; a gate on it would compare noise. Give more SFT "
        "examples, a higher gate.probe.lr or most_epochs, or say in gate.probe.why_unlearnt why "
        "such seeds are to be judged"
    )
    job.context.emit(Alarm(level="red", stage=BaselineStage.name, message=message))
    raise NotJudged(message)


def check_effect(job: Job, made: BaselineArtifact) -> None:
    """NotYet where the smallest effect that the gate can show is more than what is plausible."""
    recipe = job.recipe
    if made.mde <= recipe.gate.plausible_gain:
        return
    message = (
        f"The baseline's own variance gives a minimum detectable effect of {made.mde:.1f} points, "
        f"more than the plausible gain of {recipe.gate.plausible_gain:g}: this gold set cannot "
        "answer"
    )
    job.context.emit(Alarm(level="amber", stage=BaselineStage.name, message=message))
    if not recipe.recipe.override:
        raise NotYet(message + "; add gold items or seeds, or use --override")


# --- recipe and report ----------------------------------------------------------------------


def hides_verdict(job: Job) -> bool:
    """Whether the run has a verdict that this walk has not come to."""
    return job.made.gate is None and job.run.judged


def write_recipe(job: Job) -> None:
    """Put evidence, verdict and provenance into the run's recipe (it then replays).

    Those of a judged run stand until the walk has come to its verdict.
    """
    if hides_verdict(job):
        return
    write_results(job.run.recipe_path, results(job.recipe, job.base, job.made))


class ReportStage(Stage[ReportArtifact]):
    """Written anew each time: it is cheap, and it must show the newest state."""

    name = "report"

    def __init__(self, job: Job) -> None:
        self.job = job

    def inputs(self) -> list[object]:
        return [time.time()]

    def make(self, fingerprint: str) -> ReportArtifact:
        job = self.job
        return ReportArtifact(path=str(write_report(job.run, job.recipe, job.made)))

    def files(self, made: ReportArtifact) -> list[Path]:
        return written_files(self.job.run)


def write_run_report(job: Job) -> None:
    """Bring recipe and report to what is known now; a report without the verdict replaces none."""
    if hides_verdict(job):
        return
    job.context.stage = ReportStage.name
    write_recipe(job)
    job.runner.run(ReportStage(job))
