"""A small training job of several processes: writes what rank 0 saw.

``python -m tests.engine.worker.parallel_job MODEL PROCESSES STEPS OUT``
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

import numpy as np
import torch

from engine.recipe.adapters import Lora
from engine.worker.job.ranks import Ranks, find_ranks
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.document_attention import Documents
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.step import loss
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.rows import IGNORE, Rows
from engine.worker.step.spread import spread
from engine.worker.step.step import Stepper, mean_loss
from engine.worker.train.checkpoint import collect

FP32 = Precision("fp32", "test")
LR = 1e-3
OOM_AT = 3
"""Step at which the last rank runs out of memory once."""


def batch(step: int) -> Rows:
    """Global batch ``step``: 1 to 9 rows, so that ranks get unequal numbers, or none."""
    rng = np.random.default_rng(step)
    count, length = 1 + step % 9, 48
    ids = rng.integers(1, 300, (count, length))
    positions = np.tile(np.r_[np.arange(16), np.arange(32)], (count, 1))
    labels = np.where(positions == 0, IGNORE, ids)
    labels[: count // 2, -7 * (step % 5) - 1 :] = IGNORE
    return Rows(ids, positions, labels)


def prepared(folder: Path, method: str) -> torch.nn.Module:
    model = models.load_folder(folder)
    enable_fast_paths(model, Paths(*[Check(True)] * 4))
    if method == "full":
        return model
    wrapped = methods.METHODS["lora"].ready(
        model, methods.MethodSettings(Lora.model_validate({}), 4, 0)
    )
    methods.set_embeddings(wrapped, False)
    return wrapped


def train(model: torch.nn.Module, ranks: Ranks, strategy: str, steps: int) -> dict[str, object]:
    """``steps`` steps and an evaluation; DDP runs out of memory on the way, on one rank only."""
    over = spread(model, ranks, strategy)
    optimizer = make_optimizer(model, LR)
    halved: list[int] = []
    stepper = Stepper(model, optimizer, FP32, 1.0, 2, halved.append, over)
    seen = []
    for step in range(steps):
        if step == OOM_AT and strategy == "ddp" and ranks.rank == ranks.world - 1:
            fail_once(model)
        seen.append(stepper.step(batch(step), LR))
    held = mean_loss(model, batch(8), FP32, 2, spread=over)
    weights, _ = collect(over, optimizer)
    return {
        "losses": [loss for loss, _ in seen],
        "norms": [norm for _, norm in seen],
        "heldout": held,
        "weights": sum(float(w.double().abs().sum()) for w in weights.values()),
        "facts": over.facts(),
        "micro": halved,
    }


def fail_once(model: torch.nn.Module) -> None:
    """Memory ends in the last block: the pass is half done by then."""

    def fail(module: torch.nn.Module, inputs: object) -> None:
        handle.remove()
        raise torch.OutOfMemoryError("a test")

    blocks = [m for m in model.modules() if type(m).__name__ == "LlamaDecoderLayer"]
    handle = blocks[-1].register_forward_pre_hook(fail)


def variants(folder: Path, count: int, steps: int) -> dict[str, dict[str, object]]:
    """Both methods, each with both strategies, in this process's job (``alone`` if it has none)."""
    ranks = find_ranks()
    ranks.begin({"job": "test"})
    made = {}
    for method in ("full", "lora"):
        for strategy in ("ddp", "fsdp2") if count > 1 else ("alone",):
            made[f"{method} {strategy}"] = train(prepared(folder, method), ranks, strategy, steps)
    ranks.leave()
    return made


def rank_of(folder: Path, rank: int, count: int, steps: int, out: Path) -> None:
    """One rank, in a process of its own, told so as torchrun would."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank))
    made = variants(folder, count, steps)
    if rank == 0:
        out.write_text(json.dumps(made))


def main() -> int:
    """Fork ``count`` ranks: torch is imported once for all of them."""
    folder, count, steps, out = sys.argv[1:]
    torch.set_num_threads(1)
    # So small a model would take neither fast path; its ranks inherit this.
    loss.SMALL_LOGITS, Documents.forced = 0, True
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    fork = multiprocessing.get_context("fork")
    given = [(Path(folder), rank, int(count), int(steps), Path(out)) for rank in range(int(count))]
    ranks = [fork.Process(target=rank_of, args=one) for one in given]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return max(abs(process.exitcode or 0) for process in ranks)


if __name__ == "__main__":
    sys.exit(main())
