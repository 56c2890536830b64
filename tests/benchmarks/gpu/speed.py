"""Tokens a second, share of the card's peak and memory, against Trainer's best on the same rows."""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.demo import demo
from engine.recipe.sections import Recipe
from engine.runs.events import RunEnded, StageDone, read_all
from engine.worker.job.determinism import prefer_determinism
from engine.worker.measure.cost import flops_per_token
from engine.worker.model import base as models
from engine.worker.model.document_attention import Documents, attend
from engine.worker.step import loss, memory
from engine.worker.step.chunked_head import chunk_of, chunked_losses
from engine.worker.step.frozen_base import hold_where_it_pays
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.step import Stepper
from tests.benchmarks.gpu import shapes
from tests.benchmarks.gpu.peers import WARM_STEPS, settings, trainer_speed
from tests.benchmarks.gpu.results import Report
from tests.benchmarks.gpu.shapes import (
    BF16,
    LR,
    RANK,
    Shape,
    bare_base,
    clock,
    on_gpu,
    peak_flops,
    plan,
    prepared,
)
from tests.benchmarks.speed import recomputed

STEPS = 10
"""Timed steps of each arm; the median counts."""


def machine(report: Report, small: bool, work: Path) -> None:
    """What this is run on, and how fast its products are."""
    import transformers

    name = torch.cuda.get_device_name() if on_gpu() else "CPU"
    found = [
        n for n in ("bitsandbytes", "liger_kernel", "flash_attn") if importlib.util.find_spec(n)
    ]
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    size = 256 if small else 8_192
    one = torch.randn(size, size, device=models.device(), dtype=torch.bfloat16)
    seconds = timed(lambda: one @ one)
    flops = 2 * size**3 / seconds / 1e12
    report.figure(name, flops, "TFLOP/s", f"bf16 product; {versions}; installed: {found}")
    if on_gpu():
        report.figure("memory", torch.cuda.get_device_properties(0).total_memory / 1e9, "GB")


def timed(work: Callable[[], object], times: int = 5) -> float:
    """Median seconds after two calls that are not timed."""
    found = []
    for number in range(times + 2):
        began = clock()
        work()
        if number >= 2:
            found.append(clock() - began)
    return statistics.median(found)


def peak_of(work: Callable[[], object]) -> float:
    """MB on the GPU above what is in use; 0 on a CPU."""
    if not on_gpu():
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def head(report: Report, small: bool, work: Path) -> None:
    """Head and cross-entropy of a micro-batch in bf16, forward and backward, by each way."""
    tokens, vocabulary, width = (256, 512, 32) if small else (16_384, 49_152, 576)
    torch.manual_seed(0)
    place = models.device()
    hidden = torch.randn(tokens, width, device=place, requires_grad=True)
    head = torch.nn.Linear(width, vocabulary, bias=False, device=place)
    targets = torch.randint(0, vocabulary, (tokens,), device=place)
    weight = head.weight
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "whole": lambda: loss.plain_losses(head, hidden, targets),
        "recomputed": lambda: recomputed(head, hidden, targets, loss.RECOMPUTED_CHUNK),
    }
    own = chunk_of(vocabulary)
    for chunk in sorted({own // 2, own, 2 * own, 4 * own}):
        ways[f"fused, chunks of {chunk:,}{' (ours)' if chunk == own else ''}"] = (
            lambda c=chunk: chunked_losses(hidden, weight, targets=targets, chunk=c)  # type: ignore[misc]
        )
    if on_gpu() and importlib.util.find_spec("liger_kernel"):
        from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy as fused

        ways["Liger"] = lambda: fused(
            hidden.bfloat16(), weight.bfloat16(), targets, reduction="sum"
        )
    totals = {}
    for name, way in ways.items():

        def run(way: Callable[[], torch.Tensor] = way) -> float:
            hidden.grad = head.weight.grad = None
            with BF16.autocast():
                total = way()
            total.backward()
            return float(total.detach())

        try:
            totals[name] = run()
            megabytes = peak_of(run)
            report.figure(f"head, {name}", 1e3 * timed(run), "ms", f"{megabytes:,.0f} MB")
        except Exception as error:  # out of memory, or a peer's kernel that this card has not
            report.skip(f"head, {name}", f"{type(error).__name__}: {str(error)[:120]}")
    whole = totals.pop("whole", None)
    for name, total in totals.items() if whole else ():
        off = abs(total - whole) / tokens
        report.check(f"head, {name}: the whole head's loss", off <= 1e-3, off, "nats/token")


def attention(report: Report, small: bool, work: Path) -> None:
    """Attention of packed rows in bf16, forward and backward: by document and by a dense mask."""
    rows, length, heads, groups, width = (2, 64, 4, 2, 8) if small else (8, 2_048, 9, 3, 64)
    place, module = models.device(), torch.nn.Module()
    module.num_key_value_groups, module.is_causal = heads // groups, True  # type: ignore[assignment]
    for size in (length, length // 4, length // 16):
        made = [
            torch.randn(rows, n, length, width, device=place, dtype=torch.bfloat16)
            for n in (heads, groups, groups)
        ]
        given = [x.requires_grad_() for x in made]
        owner = torch.arange(length, device=place) // size
        dense = (owner[:, None] == owner) & torch.ones_like(owner[:, None] * owner).tril().bool()
        arms = {
            "by document": Documents((size,) * (rows * length // size)),
            "dense mask": dense[None, None].expand(rows, -1, -1, -1),
        }
        for name, mask in arms.items():

            def run(mask: Any = mask, given: list[torch.Tensor] = given) -> None:
                out, _ = attend(module, given[0], given[1], given[2], mask)
                out.backward(torch.ones_like(out))

            report.figure(f"attention, documents of {size}, {name}", 1e3 * timed(run), "ms")


def train_speed(report: Report, shape: Shape, recipe: Recipe, work: Path, small: bool) -> None:
    """Steps of the product and of Trainer at its best, on the same rows."""
    rows, count = shape.rows(), 2 if small else STEPS
    ours, best = our_speed(report, shape, recipe, work, count), 0.0
    for name, more in settings(recipe.train.method == "full").items():
        for micro in sorted({len(rows), max(1, len(rows) // 4)}, reverse=True):
            label = f"{shape.name} {recipe.train.method}, Trainer, {name}, micro-batch {micro}"
            model: Any = peer_model(shape, recipe)
            try:
                steps = count + WARM_STEPS
                speed, gigabytes = trainer_speed(model, rows, micro, steps, work, **more)
            except Exception as error:  # out of memory, or a kernel that this card has not
                report.skip(label, f"{type(error).__name__}: {str(error)[:120]}")
                continue
            finally:
                del model
                free()
            report.figure(label, speed, "tokens/s", f"{gigabytes:.1f} GB")
            best = max(best, speed)
            told = f"{shape.name} {recipe.train.method}, ours over Trainer's best so far"
            report.figure(told, ours / best, "times")
            break  # the largest micro-batch that fits is its fastest


def peer_model(shape: Shape, recipe: Recipe) -> Any:
    """What a user of Trainer trains: LoRA beside a bf16 base, as its guides say."""
    model: Any = shape.model()
    if recipe.train.method == "full":
        return model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model.to(torch.bfloat16), config)


def free() -> None:
    gc.collect()
    if on_gpu():
        torch.cuda.empty_cache()


def our_speed(report: Report, shape: Shape, recipe: Recipe, work: Path, count: int) -> float:
    """Tokens a second of the product's own step in the micro-batch that it plans itself."""
    prefer_determinism()  # as a run does
    rows, model = shape.rows(), shape.model()
    parameters, base = models.count(model), bare_base(work, model)
    ready = prepared(model, base, recipe, BF16)
    if recipe.train.method != "full":
        found = hold_where_it_pays(ready, base, recipe, BF16).found
        if on_gpu():
            report.check(f"{shape.name} lora, frozen base", found.startswith("bf16"), note=found)
    planned = memory.plan(ready, recipe.train, BF16, shape.length, len(rows))
    if planned.checkpointing:
        models.enable_checkpointing(ready)
    stepper = Stepper(ready, make_optimizer(ready, LR), BF16, 1.0, planned.rows)
    peak, times = memory.Peak(), []
    for number in range(count + WARM_STEPS):
        began = clock()
        stepper.step(rows, LR)
        if number >= WARM_STEPS:
            times.append(clock() - began)
    speed = rows.ids.size / statistics.median(times)
    name = f"{shape.name} {recipe.train.method}, ours"
    took = peak.bytes() or 0
    note = f"micro-batch {stepper.micro_batch}, {took / 1e9:.1f} GB"
    report.figure(name, speed, "tokens/s", note)
    predicted = planned.forecast.peak(stepper.micro_batch)
    if on_gpu():
        report.figure(f"{name}, memory measured over predicted", took / predicted, "times")
    flops = flops_per_token(recipe.train.method, parameters, base, shape.length)
    if on_gpu() and (most := peak_flops()):
        report.figure(f"{name}, share of peak", 100 * speed * flops / most, "%")
    del stepper, ready, model
    free()
    torch.use_deterministic_algorithms(False)
    return speed


def full_135m(report: Report, small: bool, work: Path) -> None:
    train_speed(report, shapes.TINY if small else shapes.SMOLLM2_135M, plan(), work, small)


def lora_135m(report: Report, small: bool, work: Path) -> None:
    train_speed(report, shapes.TINY if small else shapes.SMOLLM2_135M, plan("lora"), work, small)


def lora_1700m(report: Report, small: bool, work: Path) -> None:
    train_speed(report, shapes.TINY if small else shapes.SMOLLM2_1700M, plan("lora"), work, small)


def demo_run(report: Report, small: bool, work: Path) -> None:
    """The demo to its verdict, as a user starts it; in small it is unpacked and not run."""
    run = demo.create_demo()
    if small:
        report.skip("demo", "small")
        return
    subprocess.run([sys.executable, "-m", "engine.worker", str(run.path)], check=False)
    for event in read_all(run.events_path):
        if isinstance(event, StageDone):
            report.figure(f"demo, {event.stage}", event.seconds, "s")
        if isinstance(event, RunEnded):
            report.check("demo: EARNED", event.outcome == "EARNED", note=event.message)
    chosen = run.path / "artifacts" / "precision.json"
    if chosen.is_file():
        report.figure("demo, dtype", 0, "", json.loads(chosen.read_text())["why"])
