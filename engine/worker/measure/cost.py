"""The price before it is paid: FLOPs, memory and time from a short timing on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from engine.artifacts.probe import Cost
from engine.artifacts.scan import Scan
from engine.decision.mix_back import plan_mix_back
from engine.gold.draws import gate_items
from engine.gold.metrics import METRICS
from engine.recipe import sections as recipes
from engine.recipe.defaults import TRIAL_RANK
from engine.recipe.gate import Gate
from engine.recipe.method_facts import TRAIN_METHODS
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.base import sequence_length
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.generate import new_tokens
from engine.worker.step import memory
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.step import Stepper, mean_loss

TIMING_STEPS = 3
LEAST_ROW = 64
"""Tokens of the shortest row that a step is timed on."""
FORWARD_SHARE = 1 / 3
"""Of a training step's time, what a forward pass costs (2N of 6N FLOPs)."""


def estimate(
    context: Context,
    base: models.Base,
    model: torch.nn.Module,
    precision: Precision,
    scan: Scan,
) -> Cost:
    """Time three real steps of this model and scale to the run and to its gate.

    The model given is used up (its gradients and optimizer state are thrown away).
    """
    recipe = context.recipe
    context.progress("timing a few steps", 0, TIMING_STEPS, "steps")
    parameters = models.count(model)
    model = methods.ready(model, recipe, recipe.lora.rank or TRIAL_RANK, 0)
    trained = sum(p.numel() for p in models.trainable(model))
    length = sequence_length(recipe, base)
    planned = memory.plan(
        model, recipe.train, precision, length, max(1, recipe.train.batch_tokens // length)
    )
    speed = measure_speed(model, precision, length)
    mixed = plan_mix_back(scan.domain, scan.generic, recipe)
    tokens = int((mixed.domain + mixed.taken) * recipe.train.epochs)
    judged = gate_tokens(recipe.gate, base)
    per_gate_token = flops_per_token(recipe.gate.probe.method, parameters, base, length)
    # An adapter of the gate is taken to be as small as the run's own.
    its = trained if TRAIN_METHODS[recipe.gate.probe.method].trains_adapters else parameters
    peak = planned.forecast.peak(planned.rows)
    gate_peak = peak + memory.STATE_BYTES * (its - trained)
    return Cost(
        tokens=tokens,
        tokens_per_s=round(speed.tokens_per_s, 1),
        idle_tokens_per_s=round(speed.idle_tokens_per_s, 1),
        train_seconds=round(tokens / speed.tokens_per_s, 1),
        gate_seconds=round(judged / speed.tokens_per_s, 1),
        memory_gb=round(peak / 1e9, 3),
        train_flops=tokens * flops_per_token(recipe.train.method, parameters, base, length),
        gate_flops=judged * per_gate_token,
        gate_memory_gb=round(gate_peak / 1e9, 3) if judged else 0,
    )


def flops_per_token(method: str, parameters: int, base: models.Base, length: int) -> float:
    """6N for full training, 4N for adapters (no weight gradients), plus attention (Kaplan 2020)."""
    weights = TRAIN_METHODS[method].flops * parameters
    config = models.text_config(base.config)
    attention = 6 * int(config.num_hidden_layers) * length * int(config.hidden_size)
    return float(weights + attention)


def cost_inputs(recipe: recipes.Recipe) -> list[object]:
    """What the price depends on beside the texts, ``[train]`` and ``[lora]``."""
    gate = recipe.gate
    probe = [gate.probe.method, gate.probe.likely_epochs, gate.probe.max_examples, gate.probe.rates]
    scoring = [gate.metric, gate.template, gate.max_new_tokens, len(gate.seeds), gate.max_items]
    return [recipe.pack.mix_back, *scoring, *probe]


class Speed(NamedTuple):
    """How fast this machine trains."""

    tokens_per_s: float
    """By the clock: what a price is made of."""
    idle_tokens_per_s: float
    """If nothing else ran here: what decides how much is measured."""

    @classmethod
    def of(cls, tokens: float, timing: Timing) -> Speed:
        return cls(tokens / timing.seconds, tokens / timing.idle_seconds)


class Timing(NamedTuple):
    """Seconds of one piece of work."""

    seconds: float
    idle_seconds: float
    """On a CPU its processor time over its threads, which others' work hardly changes."""


def measure_speed(model: torch.nn.Module, precision: Precision, length: int) -> Speed:
    """Tokens per second of whole steps on one random row, the fastest of three.

    A row that does not fit in memory is halved, down to ``LEAST_ROW``; where not even that
    can be trained on, the speed of reading is scaled down instead.
    """
    rows = memory.random_row(model, length)
    stepper = Stepper(model, make_optimizer(model, 1e-9), precision, 1.0, 1)
    try:
        return Speed.of(length, time_fastest(lambda: stepper.step(rows, 1e-9)))
    except torch.OutOfMemoryError:
        stepper.optimizer.zero_grad(set_to_none=True)
        stepper.optimizer.state.clear()
        torch.cuda.empty_cache()
    if length > LEAST_ROW:
        return measure_speed(model, precision, length // 2)
    timing = time_fastest(lambda: mean_loss(model, rows, precision, 1))
    return Speed.of(FORWARD_SHARE * length, timing)


def time_fastest(work: Callable[[], object]) -> Timing:
    """The fastest of a few calls, by the clock and by processor time."""
    times, idle = [], []
    threads = torch.get_num_threads() if models.device().type == "cpu" else None
    for _ in range(TIMING_STEPS):
        started, used = time.perf_counter(), time.process_time()
        work()
        times.append(time.perf_counter() - started)
        idle.append(max(1e-9, time.process_time() - used) / threads if threads else times[-1])
    return Timing(min(times), min(idle))


def gate_tokens(gate: Gate, base: models.Base) -> float:
    """Training-equivalent tokens of the whole gate: 2 arms x seeds x (SFT + rates + scoring).

    A dev trial of a rate trains as a seed does, and scores no gold item.
    """
    if gate.gold is None or gate.sft is None:
        return 0.0
    encoder = Encoder(base, gate.template)
    items = gate_items(Path(gate.gold), Path(gate.sft), gate)
    sft, gold = items.sft.draw(gate.seeds[0]), items.gold
    training = sum(len(encoder.training(e)) for e in sft) * gate.probe.likely_epochs
    heads = sum(len(encoder.before(e, base.context // 2)) for e in gold)
    if METRICS[gate.metric].choices:
        scoring = heads + sum(4 * len(e.choices) for e in gold)
    else:  # read once for the log-probability and once to go on from it
        scoring = 2 * heads + 2 * sum(new_tokens(encoder, gold, gate))
    trials = len(gate.probe.rates) if len(gate.probe.rates) > 1 else 0
    sizes = gate.look_sizes
    seeds = sizes[len(sizes) // 2]  # a gate of three looks ends at the second, more or less
    return 2 * seeds * ((1 + trials) * training + FORWARD_SHARE * scoring)
