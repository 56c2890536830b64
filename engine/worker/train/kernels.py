"""torch.compile and Liger: faster kernels that are asked for, turned on, and compared first.

Both change the forward of modules in place, so parameters keep their names and checkpoints
their form. The first micro-batch's loss must be the same with and without them.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import torch

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.runs.events import Alarm
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.fast_paths import Check, enable_fast_paths, paths_of, unwrap_model
from engine.worker.model.precision import Precision
from engine.worker.packing.batches import Mix
from engine.worker.scoring.self_check import LIMITS
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import Rows

SHAPES = 64
"""Graphs that a decoder may be compiled into: one for each shape (training's and an
evaluation's micro-batch, and the rests). Beyond it torch would run uncompiled, unasked."""
LIGER_LOSSES = ("cross_entropy", "fused_linear_cross_entropy")
"""Left off: the loop has chunked cross-entropy of its own."""


def check(recipe: recipes.Recipe) -> None:
    """InputError for kernels that cannot work here."""
    if recipe.train.liger and models.device().type != "cuda":
        raise InputError("[train] liger needs a GPU; take it out on this machine")
    sharded = recipe.launch.processes > 1 and recipe.launch.strategy == "fsdp2"
    if recipe.train.compile and sharded:
        raise InputError('[train] compile needs [launch] strategy = "ddp", or one process')


def turn_on(
    context: Context, over: SingleProcess, mix: Mix, micro_batch: int, precision: Precision
) -> dict[str, str]:
    """Turn on what the recipe asks for; what is really on, for the header.

    InputError where compiling fails, or the loss of the first micro-batch is another.
    """
    train = context.recipe.train
    said = {"compile": "inductor" if train.compile else "off", "liger": "off"}
    installed = importlib.util.find_spec("liger_kernel") is not None
    if train.liger and not installed:
        said["liger"] = "not installed: pip install 'cpt-tui[liger]'"
        message = "[train] liger is asked for and liger_kernel is not installed: training without"
        context.emit(Alarm(level="amber", stage="train", message=message))
    if not train.compile and not (train.liger and installed):
        return said
    rows = mix.batch(0)[:micro_batch]
    before = _loss(over, rows, precision)
    if train.liger and installed:
        said["liger"] = liger(over.model)
    if train.compile:
        compile_decoder(over.model)
    try:
        after = _loss(over, rows, precision)
    except torch._dynamo.exc.TorchDynamoException as error:
        first = str(error).splitlines()[0][:200]
        raise InputError(f"[train] compile does not work here: {first}; take it out") from None
    if not abs(after - before) <= LIMITS[precision.name]:
        raise InputError(
            f"[train] compile or liger changes this model's loss from {before:.4f} to {after:.4f} "
            "nats a token; take it out"
        )
    return said


def compile_decoder(model: torch.nn.Module) -> None:
    """Compile the decoder in place, a graph for each shape: sizes then never depend on history,
    and a resumed run computes what the unbroken one does."""
    if not paths_of(model).packed.ok:
        raise InputError(
            "[train] compile needs rows of one shape, and this model's documents get a row each; "
            "take it out"
        )
    # One graph must serve rows of all kinds of documents: a dense mask is what it can take.
    enable_fast_paths(model, replace(paths_of(model), documents=Check(False, "off under compile")))
    torch._dynamo.config.recompile_limit = SHAPES
    unwrap_model(model).get_decoder().compile(dynamic=False)


def liger(model: torch.nn.Module) -> str:
    """Patch norms, rotary embedding and MLP of this model, if Liger knows its kind."""
    from liger_kernel.transformers import monkey_patch

    inside = unwrap_model(model)
    kinds: dict[str, Any] = monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN
    if inside.config.model_type not in kinds:
        return f"off: it has no kernels for {inside.config.model_type}"
    monkey_patch._apply_liger_kernel_to_instance(inside, **dict.fromkeys(LIGER_LOSSES, False))
    return "on (norms, rotary embedding, MLP)"


def _loss(over: SingleProcess, rows: Rows, precision: Precision) -> float:
    """Nats a token, dropout off, on the graph that training takes (gradients on)."""
    over.model.eval()
    with precision.autocast():
        total = over.loss(rows)
    over.rest()
    return float(total.detach()) / max(1, rows.targets)
