"""A worker's walk through the wanted stages, and how it ends."""

from __future__ import annotations

import os

import torch

from engine import __version__
from engine.demo import demo
from engine.errors import Exit, InputError
from engine.files import home
from engine.preflight import check_recipe
from engine.redaction import forget_tokens
from engine.runs.events import Facts, RunEnded, RunStarted
from engine.stages import EXTEND, STAGES
from engine.worker.gate import lm_eval
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.pipeline.more_arms import MoreArms
from engine.worker.pipeline.pipeline import NotYet, Pipeline, share_threads
from engine.worker.release.export import export_run
from engine.worker.release.finish import FOLDER
from engine.worker.train import kernels
from engine.worker.vocabulary.stage import wide_base

OUTCOME_CODES = {
    "GO": Exit.OK,
    "EARNED": Exit.OK,
    "NO-GO": Exit.NO_GO,
    "NOT YET": Exit.NO_GO,
    "TIE": Exit.TIE,
    "HURT": Exit.HURT,
}


def run_stages(context: Context, stages: tuple[str, ...]) -> RunEnded:
    """Run the wanted stages in order; returns the event that ends the run."""
    if stages == ("export",):
        return export_run(context)
    recipe = context.recipe
    names = (["base"] if demo.is_demo(recipe) else []) + [s for s in STAGES if s in stages]
    if recipe.vocab.extend and "pack" in names:
        names.insert(names.index("pack"), EXTEND)
    names += ["arms"] if recipe.arms.asked and "gate" in stages else []
    names += ["finish"] if "finish" in stages or (recipe.finish.run and "gate" in stages) else []
    resumed = context.run.events_path.stat().st_size > 0
    context.emit(
        RunStarted(
            run=context.run.id, pid=os.getpid(), stages=names, version=__version__, resumed=resumed
        )
    )
    lm_eval.materialise(context)
    base = prepare(context)
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
    return base


def serve(context: Context) -> None:
    """A rank other than 0: wait until training begins, take part in it, and leave."""
    if not context.ranks.wait_for_training(context.stop_requested):
        return
    context.stage = "train"
    pipeline = Pipeline(context, prepare(context), STAGES)
    wide = [EXTEND] if pipeline.recipe.vocab.extend else []
    made = {stage: context.run.read_artifact(stage) for stage in ("scan", *wide, "pack")}
    if None in made.values():
        raise InputError("Rank 0's artifacts are not here; all nodes must share the run's folder")
    pipeline.made.update(made)
    if wide:
        pipeline.trained = wide_base(context.run.path, pipeline.base)
    pipeline.train_only(pipeline.identity())


def _walk(pipeline: Pipeline) -> RunEnded:
    if "train" in pipeline.wanted:
        pipeline.check_registration()
        pipeline.check_first_run()
    pipeline.scan()
    pipeline.probe()
    verdict = pipeline.decide()
    trains = "train" in pipeline.wanted and (verdict.outcome == "GO" or verdict.override)
    arms = MoreArms(pipeline)
    if trains:
        arms.fetch()
    forget_tokens()  # models, texts and references are fetched by now
    if "train" not in pipeline.wanted:
        return _ended(verdict.outcome, verdict.sentence)
    if not trains:
        pipeline.report()
        return _ended(verdict.outcome, verdict.sentence)
    if pipeline.gated:
        pipeline.baseline()
    if pipeline.recipe.vocab.extend:
        pipeline.extend()
    pipeline.pack()
    pipeline.train()
    if not pipeline.gated:
        pipeline.report()
        return RunEnded(
            outcome="NOT YET",
            code=int(Exit.NO_GO),
            message="Trained past the decision, but no gold set and SFT data: there is no gate",
        )
    judged = pipeline.gate()
    pipeline.report()
    if pipeline.recipe.arms.asked:
        arms.stage()
        pipeline.report()
    if not pipeline.finishing:
        return _ended(judged.outcome, judged.sentence)
    pipeline.finish()
    pipeline.report()
    if "finish" not in pipeline.wanted:
        return _ended(judged.outcome, judged.sentence)
    folder, why = pipeline.context.run.path / FOLDER, pipeline.made["finish"]["why"]
    said = f"The task model is in {folder}. {why}"
    return RunEnded(outcome=judged.outcome, code=int(Exit.OK), message=said)


def _ended(outcome: str, sentence: str) -> RunEnded:
    return RunEnded(outcome=outcome, code=int(OUTCOME_CODES[outcome]), message=sentence)
