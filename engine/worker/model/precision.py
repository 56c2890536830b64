"""The compute precision of a run: chosen by a timing on this machine, then kept."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from engine.errors import InputError
from engine.runs.events import Alarm
from engine.worker.job.context import Context
from engine.worker.model.base import (
    DTYPES,
    Base,
    batch_rows,
    config_of,
    device,
    load,
    sequence_length,
    text_config,
)

FASTER_BY = 1.5
"""A lower precision must beat fp32 by this factor; timing noise must not flip the choice."""

PRECISION_FILE = "precision.json"
"""The kept choice, beside the artifacts."""


@dataclass(frozen=True)
class Precision:
    """The compute dtype that is really on, and why."""

    name: str
    why: str

    def autocast(self) -> AbstractContextManager[Any]:
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(device().type, dtype=DTYPES[self.name])

    def facts(self) -> dict[str, str]:
        return {k: str(v) for k, v in dataclasses.asdict(self).items()}


def choose_precision(
    asked: str, model: torch.nn.Module, shape: tuple[int, int] = (1, 128)
) -> Precision:
    """``auto``: by a short timing of this model here; see ``choose_fastest``.

    ``shape`` is rows x tokens of the timing. Stages ask ``run_precision``, which keeps
    the answer.
    """
    refuse_fp16(asked)
    if asked != "auto":
        return Precision(asked, "asked for in the recipe")
    rows, tokens = shape
    times = measure_timings(model, shape)
    if math.isinf(min(times.values())) and rows > 1:
        return choose_precision(asked, model, (rows // 2, tokens))
    return choose_fastest(times)


def measure_timings(model: torch.nn.Module, shape: tuple[int, int]) -> dict[str, float]:
    """Seconds of a forward-backward by dtype; fp16 only on a GPU. Infinite: out of memory."""
    times = {"fp32": measure_seconds(Precision("fp32", ""), model, shape=shape)}
    for name in ("bf16", "fp16") if device().type == "cuda" else ("bf16",):
        times[name] = measure_seconds(Precision(name, ""), model, 4 * times["fp32"], shape)
    return times


def choose_fastest(times: dict[str, float]) -> Precision:
    """fp32 unless another is faster by ``FASTER_BY``; fp16 only where it beats bf16 by as much.

    fp16 needs a loss scale (``Stepper`` has one), which bf16 does without.
    """
    best = "bf16"
    if times.get("fp16", math.inf) * FASTER_BY < times["bf16"]:
        best = "fp16"
    if math.isinf(times["fp32"]):
        return Precision(best, "the timing of fp32 ran out of memory here")
    ratio = {name: times["fp32"] / time for name, time in times.items()}
    others = [f"{name} {ratio[name]:.2f}x" for name in ratio if name not in ("fp32", best)]
    more = f" ({', '.join(others)})" if others else ""
    if ratio[best] >= FASTER_BY:
        return Precision(best, f"measured {ratio[best]:.1f}x as fast as fp32 here{more}")
    return Precision("fp32", f"{best} measured {ratio[best]:.2f}x as fast here{more}")


def refuse_fp16(name: str) -> None:
    """InputError for fp16 on a CPU."""
    if name == "fp16" and device().type != "cuda":
        raise InputError('model.dtype = "fp16" needs a GPU; use "auto"')


def measure_seconds(
    precision: Precision,
    model: torch.nn.Module,
    limit: float = 30.0,
    shape: tuple[int, int] = (1, 128),
) -> float:
    """Best of up to six forward-backward passes over ``shape`` tokens; gradients are dropped.

    Infinity where memory ends.
    """
    generator = np.random.default_rng(0)
    vocab = text_config(config_of(model)).vocab_size
    ids = torch.from_numpy(generator.integers(0, vocab, shape)).to(device())
    times: list[float] = []
    try:
        while len(times) < 6 and sum(times) <= limit:
            start = time.perf_counter()
            with precision.autocast():
                loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            if device().type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        times = [math.inf]
    model.zero_grad(set_to_none=True)
    return min(times)


_CHOSEN: WeakKeyDictionary[Context, Precision] = WeakKeyDictionary()


def run_precision(context: Context, base: Base, model: torch.nn.Module | None = None) -> Precision:
    """The run's compute precision: chosen at its first use, then kept for all of the run.

    Training, its resumes and both arms of the gate would differ by more than their data
    if each timed anew. ``model`` is what a timing runs on (default: the base, loaded for
    it). Kept in ``artifacts/precision.json`` of the outer run. Raises InputError if
    ``[model] dtype`` changed after training had begun.
    """
    context = context.outer
    if context not in _CHOSEN:
        _CHOSEN[context] = _kept_precision(context) or _choose_and_keep(context, base, model)
    return _CHOSEN[context]


def _kept_precision(context: Context) -> Precision | None:
    kept, asked = context.scratch(PRECISION_FILE), context.recipe.model.dtype
    if kept is None:
        return None
    if kept["asked"] != asked:
        if not context.run.training_begun:
            return None
        raise InputError(
            f'[model] dtype was "{kept["asked"]}" when training began and is "{asked}" now; '
            "put it back as it was, or start a new run"
        )
    refuse_fp16(kept["name"])
    here = device().type
    if kept["device"] != here:
        message = f"{kept['name']} was chosen on {kept['device']}; it is kept on this {here}"
        context.emit(Alarm(level="amber", stage=context.stage, message=message))
    return Precision(kept["name"], kept["why"])


def _choose_and_keep(context: Context, base: Base, model: torch.nn.Module | None) -> Precision:
    shape, asked = (1, min(128, base.context)), context.recipe.model.dtype
    if device().type == "cuda":  # a small batch would time the launch of kernels
        length = sequence_length(context.recipe, base)
        shape = (batch_rows(length), length)
    chosen = choose_precision(asked, model or load(base), shape)
    kept = {"asked": asked, **chosen.facts(), "device": device().type}
    context.keep_scratch(PRECISION_FILE, kept)
    return chosen
