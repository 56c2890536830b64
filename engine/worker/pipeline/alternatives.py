"""The arms that are shown beside the verdict: a curve of both arms, more SFT, merges.

Nothing is trained for them but the SFT of their seeds. Their models are made in memory from the
base, the CPT model and the run's checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.artifacts.gate_probe import ProbeSteps
from engine.errors import InputError
from engine.gold.draws import SftRows
from engine.worker.gate.schedule import pinned_steps
from engine.worker.gate.stage import Judging
from engine.worker.measure.cost import flops_per_token
from engine.worker.model import base as models
from engine.worker.model.job import Job, need
from engine.worker.pipeline.arm_plan import LAST_MEAN, Planned
from engine.worker.scoring.examples import Encoder
from engine.worker.train.checkpoint import Checkpoints, verify

MOST_MORE = 10
"""Times the probe's own length that more SFT takes at most: its data are learnt long before."""


@dataclass(frozen=True)
class Alternative:
    """One arm that is shown: its model, and how its SFT differs from the gate's."""

    model: torch.nn.Module
    sft: SftRows
    plan: ProbeSteps
    tokens: int = 0
    """Of CPT in the model's weights."""
    compute_share: float | None = None
    """Of CPT's compute that more SFT takes."""


ModelAt = Callable[[Path], torch.nn.Module]
"""The run's own model as a checkpoint has it, adapters merged."""


def make_alternative(job: Job, judging: Judging, planned: Planned, at: ModelAt) -> Alternative:
    """The arm's model, rows and length. InputError where it cannot be made."""
    sft = judging.items.sft
    plan = need(job.made.baseline).plan or pinned_steps(job.recipe.gate.probe, sft.size)
    if planned.kind == "merge":
        return Alternative(merged_model(job, planned, at), sft, plan, need(job.made.train).tokens)
    if planned.kind == "sft":
        return _more_sft(job, sft, plan)
    model = models.load(job.base) if planned.side == "base" else _cpt_model(job)
    shorter = scale_plan(plan, planned.share, planned.axis)
    if planned.axis == "examples":
        sft = SftRows(sft.pool, max(1, round(planned.share * sft.size)))
    tokens = 0 if planned.side == "base" else need(job.made.train).tokens
    return Alternative(model, sft, shorter, tokens)


def known_rise(job: Job, planned: Planned) -> tuple[list[float | None], str] | None:
    """What is forgotten before SFT by the base, and by the CPT model as the gate has it."""
    if planned.kind not in ("curve", "sft"):
        return None
    if planned.side == "base":
        return [0.0, None, None], "green"
    verdict = need(job.made.gate)
    return [verdict.generic_rise, verdict.generic_low, verdict.generic_high], verdict.guard


def scale_plan(plan: ProbeSteps, share: float, axis: str) -> ProbeSteps:
    """The same schedule over a share (or a multiple) of the steps.

    With as small a share of the examples each is seen as often as before.
    """
    steps = max(1, round(share * plan.steps))
    hold = None if plan.hold is None else min(steps, max(1, round(share * plan.hold)))
    return plan.model_copy(
        update={
            "steps": steps,
            "examples": max(1, round(share * plan.examples)),
            "warmup": max(1, min(plan.warmup, round(share * plan.warmup))),
            "hold": hold,
            "epochs": plan.epochs if axis == "examples" else share * plan.epochs,
        }
    )


def _cpt_model(job: Job) -> torch.nn.Module:
    if job.trained is not job.base:
        raise InputError("the run has new tokens, and these arms read with the base's own")
    return models.load_folder(job.run.path / "model")


def _more_sft(job: Job, sft: SftRows, plan: ProbeSteps) -> Alternative:
    """The base with CPT's compute in SFT steps, on all rows that seeds may draw."""
    recipe, base, model = job.recipe, job.base, models.load(job.base)
    size = sum(p.numel() for p in model.parameters())
    encoder = Encoder(base, recipe.gate.template)
    lengths = [len(encoder.training(example)) for example in sft.pool]
    length = sum(lengths) / len(lengths)
    trained, packed = need(job.made.train), need(job.made.pack)
    cpt = trained.tokens * flops_per_token(recipe.train.method, size, base, packed.sequence_length)
    one = length * flops_per_token(recipe.gate.probe.method, size, base, round(length))
    times = 1 + cpt / (one * plan.examples)
    taken = min(times, MOST_MORE)
    spent = (taken - 1) / (times - 1)
    longer = scale_plan(plan, taken, "steps")
    return Alternative(model, SftRows(sft.pool, len(sft.pool)), longer, 0, spent)


@torch.no_grad()
def merged_model(job: Job, planned: Planned, at: ModelAt) -> torch.nn.Module:
    """Base and CPT weights mixed, or the mean of the run's last checkpoints.

    InputError with new tokens, and where fewer than two checkpoints were kept.
    """
    if planned.name != LAST_MEAN:
        model, other = models.load(job.base), _cpt_model(job)
        theirs = dict(other.named_parameters())
        for name, weight in model.named_parameters():
            weight.lerp_(theirs[name].to(weight.dtype), planned.share)
        return model
    _cpt_model(job)
    whole = [path for path in Checkpoints(job.run.checkpoints).all() if verify(path)]
    if len(whole) < 2:
        raise InputError(
            "a mean of checkpoints needs two of them; [arms] checkpoints = [0.8, 0.9] keeps "
            "earlier ones in a new run"
        )
    model = at(whole[0])
    sums = {name: weight.float().clone() for name, weight in model.named_parameters()}
    for path in whole[1:]:
        for name, weight in at(path).named_parameters():
            sums[name] += weight.float()
    for name, weight in model.named_parameters():
        weight.copy_((sums[name] / len(whole)).to(weight.dtype))
    return model
