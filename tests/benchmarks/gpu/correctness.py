"""What must hold on a GPU before any speed counts."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import torch

from engine.runs.run import Run, create_run
from engine.worker.model import base as models
from engine.worker.model import methods, proof
from engine.worker.model.document_attention import Documents, attend
from engine.worker.model.precision import Precision
from engine.worker.release.export import check_proof, run_reload
from engine.worker.release.reload import reload
from engine.worker.scoring import self_check
from engine.worker.step.frozen_base import hold, hold_where_it_pays
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper
from tests import tiny
from tests.benchmarks.gpu import shapes
from tests.benchmarks.gpu.peers import trainer_losses
from tests.benchmarks.gpu.results import Report
from tests.benchmarks.gpu.shapes import BF16, FP32, LR, Shape, bare_base, on_gpu, plan, prepared
from tests.faults.driving import header, recipe, steps, walk, walk_until, weights

PARITY = {"fp32": 1e-4, "bf16": 2e-2}
"""Nats a token that our losses may be from Trainer's. Expected: the order of sums in fp32; in bf16
the head's gradient, which ours sums in fp32."""


def shape_of(small: bool) -> Shape:
    return shapes.TINY if small else shapes.MIDDLE


def parity(report: Report, small: bool, work: Path) -> None:
    """The same model, rows and optimizer: our losses against Trainer's, step by step."""
    shape, count = shape_of(small), 4 if small else 20
    for precision in (FP32, BF16):
        model, rows = shape.model(), shape.rows()
        theirs = trainer_losses(shapes.twin(model), rows, count, precision is BF16, work)
        ready = prepared(model, bare_base(work, model), plan(), precision)
        stepper = Stepper(ready, make_optimizer(ready, LR), precision, 1.0, len(rows))
        ours = [stepper.step(rows, LR)[0] for _ in range(count)]
        worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        what = f"losses of {count} steps against Trainer, {shape.name}, {precision.name}"
        note = f"from {ours[0]:.4f} to {ours[-1]:.4f}"
        report.check(what, worst <= PARITY[precision.name], worst, "nats/token", note)


def checks(report: Report, small: bool, work: Path) -> None:
    """Every fast path that the start-up check compares, in both precisions."""
    shape = shape_of(small)
    for precision in (FP32, BF16):
        model = shape.model()
        paths = self_check.examine(model, bare_base(work, model), precision)
        for name, check in dataclasses.asdict(paths).items():
            if name == "fused_bf16" and precision is FP32:
                continue
            report.check(f"{name}, {precision.name}", check["ok"], note=check["found"])


def attention(report: Report, small: bool, work: Path) -> None:
    """Attention by document in the run's dtype against a dense mask in fp32."""
    length, heads, groups, width = (64, 4, 2, 8) if small else (2_048, 9, 3, 64)
    sizes = (length // 2, 1, length // 4 - 1, length // 4)
    module = torch.nn.Module()
    module.num_key_value_groups, module.is_causal = heads // groups, True  # type: ignore[assignment]
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    dense = (owner[:, None] == owner) & torch.ones(length, length, dtype=torch.bool).tril()
    place = models.device()
    for precision, limit in ((FP32, 1e-5), (BF16, 2e-2)):
        dtype = models.DTYPES[precision.name]
        torch.manual_seed(0)
        made = [torch.randn(1, n, length, width, device=place) for n in (heads, groups, groups)]
        slope = torch.randn(1, length, heads, width, device=place)
        found = []
        for mask, kind in ((dense.to(place)[None, None], torch.float32), (Documents(sizes), dtype)):
            given = [x.to(kind, copy=True).requires_grad_() for x in made]
            out, _ = attend(module, *given, mask)
            out.backward(slope.to(kind))
            found.append([out.detach().float(), *(x.grad.float() for x in given)])
        off = max(float((a - b).norm() / a.norm()) for a, b in zip(found[0], found[1], strict=True))
        kernel = "variable length" if on_gpu() and precision is BF16 else "one call a document"
        report.check(f"documents apart, {precision.name}", off <= limit, off, "of the norm", kernel)


def lora(report: Report, small: bool, work: Path) -> None:
    """The frozen base in bf16: the same losses, the same merged model, less memory."""
    written = tiny.write_model(work / "base", tied=False)
    base, given = models.resolve(plan().model.model_copy(update={"id": str(written)})), []
    for held in (False, True):
        model = prepared(models.load(base), base, plan("lora"), BF16)
        holding = hold(model, base, BF16) if held else None
        stepper = Stepper(model, make_optimizer(model, 1e-3), BF16, 1.0, 4)
        losses = [stepper.step(shapes.TINY.rows(), 1e-3)[0] for _ in range(5)]
        if holding:
            report.check("held in bf16", bool(holding.layers), note=holding.found)
            holding.put_back(base)
        given.append((losses, methods.merged(model).state_dict()))
    (plain, one), (other, two) = given
    worst = max(abs(a - b) for a, b in zip(plain, other, strict=True))
    report.check(
        "losses of 5 steps beside fp32 and beside bf16", worst <= 1e-3, worst, "nats/token"
    )
    apart = max(float((one[k].float() - two[k].float()).abs().max()) for k in one)
    report.check("merged weights", apart <= 1e-4, apart, "at most")
    if not on_gpu():
        report.skip("memory of the base", "it is held so on GPUs only")
        return
    shape = shapes.SMOLLM2_135M
    before = torch.cuda.memory_allocated()
    model = shape.model()
    ready = prepared(model, bare_base(work, model), plan("lora"), BF16)
    whole = torch.cuda.memory_allocated() - before
    found = hold_where_it_pays(ready, base, plan("lora"), BF16).found
    less = torch.cuda.memory_allocated() - before
    report.figure("memory of the 135M base", less / 1e6, "MB", f"{whole / 1e6:,.0f} MB in fp32")
    report.check("135M held in bf16", found.startswith("bf16"), note=found)


def tiny_run(work: Path, name: str, extra: str, method: str = "full") -> Run:
    """A run of the tiny model through all stages up to training, dtype left to the timing."""
    model, files = work / "model", work / "texts"
    if not model.is_dir():
        tiny.write_model(model)
        tiny.write_corpora(files)
    paths = {key: files / f"{key}.jsonl" for key in ("domain", "generic", "gold", "sft")}
    text = recipe(model, paths, "max_tokens = 6000\n" + extra)
    if method != "full":
        text = text.replace('method = "full"\nwhy_full = "tiny"\n', 'method = "lora"\n')
        text += f'\n[lora]\nvariant = "{method}"\n'
    if on_gpu():
        text = text.replace('dtype = "fp32"', 'dtype = "bf16"')
    return create_run(name, text)


VARIANTS = {
    "full": ("", "full", ""),
    "lora": ("", "lora", ""),
    "dora": ("", "dora", ""),
    "qlora": ("", "qlora", "bitsandbytes"),
    "liger": ("liger = true\n", "full", "liger_kernel"),
    "compile": ("compile = true\n", "full", ""),
}
"""Lines of ``[train]``, method, and the package that it needs, on a GPU only."""


def variants(report: Report, small: bool, work: Path) -> None:
    """Whole runs by each method and kernel: they train, and say what was on."""
    for name, (extra, method, package) in VARIANTS.items():
        if package and not (on_gpu() and importlib.util.find_spec(package)):
            report.skip(name, f"needs a GPU and {package}")
            continue
        if small and name not in ("full", "lora"):
            report.skip(name, "small")
            continue
        run = tiny_run(work, name, extra, method)
        ended = walk(run)
        losses, told = [s.loss or 0.0 for s in steps(run)], header(run)
        said = [f"{k}: {told[k]}" for k in ("dtype", "attention", "loss", "compile", "liger")]
        said += [f"frozen weights: {told['frozen weights']}"] if "frozen weights" in told else []
        ok = ended.code == 3 and losses[-1] < losses[0]
        note = "; ".join(said) if ok else f"{ended.message}; {'; '.join(said)}"
        report.check(f"{name}: trains to the end", ok, losses[-1], "nats/token", note)


def resume(report: Report, small: bool, work: Path) -> None:
    """Stopped and resumed is the unbroken run, bit for bit."""
    for method in ("full",) if small else ("full", "lora"):
        whole, cut = (tiny_run(work, f"{name}-{method}", "", method) for name in ("whole", "cut"))
        walk(whole)
        walk_until(cut, 5)
        walk(cut)
        same = weights(whole) == weights(cut)
        report.check(f"{method}: resumed as unbroken, bit for bit", same, note=header(cut)["dtype"])


class _Full(SingleProcess):
    """Memory that ends above four rows, where no card tells it."""

    def loss(self, rows: Rows) -> torch.Tensor:
        if len(rows) > 4:
            raise torch.OutOfMemoryError("no room")
        return super().loss(rows)


def oom(report: Report, small: bool, work: Path) -> None:
    """Out of memory: the same step in halves, with the same loss."""
    shape = shapes.TINY if not on_gpu() or small else shapes.SMOLLM2_135M
    rows = shape.rows(8 if not on_gpu() else 64)
    model = shape.model()
    ready = prepared(model, bare_base(work, model), plan("lora"), BF16 if on_gpu() else FP32)
    precision: Precision = BF16 if on_gpu() else FP32
    halved: list[int] = []
    over = None if on_gpu() else _Full(ready)
    optimizer = make_optimizer(ready, 0.0)
    stepper = Stepper(ready, optimizer, precision, 1.0, len(rows), halved.append, over)
    if on_gpu():
        whole = torch.cuda.get_device_properties(0).total_memory
        room = torch.cuda.memory_allocated() + 24e9
        torch.cuda.set_per_process_memory_fraction(min(1.0, room / whole))
    loss, _ = stepper.step(rows, 0.0)
    if on_gpu():
        torch.cuda.set_per_process_memory_fraction(1.0)
    report.check("micro-batch was halved", bool(halved), note=f"to {halved or len(rows)}")
    other = Stepper(ready, optimizer, precision, 1.0, 1).step(rows, 0.0)[0]
    limit = PARITY[precision.name]
    report.check("the same loss as in single rows", abs(loss - other) <= limit, abs(loss - other))


def export(report: Report, small: bool, work: Path) -> None:
    """Merged, saved and loaded in a process of its own: the live model's logits."""
    written = tiny.write_model(work / "exported", tied=True)
    base = models.resolve(plan().model.model_copy(update={"id": str(written)}))
    model = prepared(models.load(base), base, plan("lora"), BF16)
    holding = hold(model, base, BF16)
    stepper = Stepper(model, make_optimizer(model, 1e-3), BF16, 1.0, 4)
    for _ in range(5):
        stepper.step(shapes.TINY.rows(), 1e-3)
    holding.put_back(base)
    live = work / "live.safetensors"
    proof.keep(model, live)
    models.save(methods.merged(model), base, work / "saved")
    found = (reload if small else run_reload)(work / "saved", live)
    try:
        check_proof(found)
    except Exception as error:
        report.check("reload gives the live logits", False, found.largest, note=str(error)[:200])
    else:
        report.check("reload gives the live logits", True, found.largest, "at most")
