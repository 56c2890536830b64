"""Memory of a training step: predicted from this model's own tensors before the run, and read
off the machine after. The prediction chooses the micro-batch.

What a forward pass keeps for its backward is counted tensor by tensor on real rows, so that
kernels, adapters, dtype and architecture are in the figure without a formula for each.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch

from engine.model_folder.needed_memory import free_memory
from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model.embeddings import output_head, width
from engine.worker.model.precision import Precision
from engine.worker.step.chunked_head import chunk_of
from engine.worker.step.loss import (
    FUSED_CHUNK,
    RECOMPUTED_CHUNK,
    route_of,
    token_losses,
    vocabulary,
)
from engine.worker.step.rows import Rows

FILL = 0.8
"""Of the free memory a step may be predicted to take: the rest is for fragments and for what
else runs here. Engineering choice."""
LEAST_ROW = 64
"""Tokens of the shortest row that is measured on."""
KEPT = {"cpu": 2.0, "cuda": 1.0}
"""Heap that activations take for each of their bytes. glibc keeps freed blocks and splits them:
on tiny to 135M models measured peaks were 1.2 to 2.7 times what the tensors need, most under
adapters, and 1.0 times with every block mapped on its own, which cost a third more CPU."""
STATE_BYTES = 12
"""fp32 gradient and two AdamW moments of a trained parameter; its weights are there already."""
LOGIT_BYTES = {"fp32": 12, "bf16": 16, "fp16": 16}
"""A logit of the chunk at hand: itself, its log-softmax, their gradients (and fp32 copies)."""
PROC = Path("/proc/self")


@dataclass(frozen=True)
class Forecast:
    """Predicted bytes of a step. ``peak`` adds them up for a micro-batch."""

    resident: int
    """In use now, with the model loaded: of the process on a CPU, of the allocator on a GPU."""
    state: int
    """Gradients and optimizer state."""
    row: int
    """Kept for the backward pass by each row of a micro-batch."""
    fixed: int
    """Kept however many rows there are (weights cast to the compute dtype)."""
    work: int
    """What the largest operation needs beside its result, by row."""
    logits: int
    """Of one chunk, with their gradients."""

    def peak(self, rows: int) -> int:
        """Bytes at the worst moment of a step in micro-batches of ``rows``."""
        active = self.fixed + rows * (self.row + self.work) + self.logits
        return self.resident + self.state + int(active * KEPT[models.device().type])

    def rows(self, free: int, most: int) -> int:
        """The largest power of two of rows, up to ``most``, that fits in ``free`` bytes.

        1 where none does. ``free`` is beside what is resident.
        """
        rows = 1
        while 2 * rows <= most and self.peak(2 * rows) - self.resident <= free:
            rows *= 2
        return rows

    def told(self, rows: int) -> str:
        """The prediction in words."""
        return f"{gb(self.peak(rows))} predicted for a step"

    def scaled(self, factor: float) -> Forecast:
        """For rows ``factor`` times as long."""
        parts = {name: int(getattr(self, name) * factor) for name in ("row", "work")}
        return replace(self, **parts)


def forecast(model: torch.nn.Module, precision: Precision, length: int) -> Forecast:
    """Predict the memory of a step on rows of ``length`` tokens; nothing is updated.

    ``model`` is as it is trained, but without gradient checkpointing; ``checkpointed`` tells
    what that would save. Two forward
    passes, of one row and of half a row, tell what grows with the rows from what does not;
    attention that grows with the square is over-predicted for more than one row. A row that
    runs out of memory is halved and scaled up; where none fits, a row takes all that is free.
    """
    try:
        whole, largest = saved_bytes(model, precision, length)
        half, _ = saved_bytes(model, precision, max(1, length // 2))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        if length // 2 >= LEAST_ROW:
            return forecast(model, precision, length // 2).scaled(2)
        whole, half, largest = free(), 0, 0  # more than there is
    row = min(whole, 2 * (whole - half))
    trained = sum(p.numel() for p in models.trainable(model))
    head = head_bytes(model, precision, length)
    return Forecast(
        resident=in_use(),
        state=STATE_BYTES * trained,
        row=row + head.row,
        fixed=whole - row,
        work=largest,
        logits=head.fixed,
    )


@dataclass(frozen=True)
class HeadBytes:
    """What the head and its loss take beside what they keep for the backward pass."""

    fixed: int
    """Logits of one chunk, and what a fused head makes of its own matrix."""
    row: int = 0
    """By row: gradients of kept logits, or those that the fused head makes going forward."""


def head_bytes(model: torch.nn.Module, precision: Precision, length: int) -> HeadBytes:
    """By the way that a row of ``length`` tokens takes (``loss.route_of``).

    More rows never take more than that: kept logits are counted as if there were no bound.
    """
    way = route_of(model, length, precision.name)
    chunks = {
        "fused": FUSED_CHUNK,
        "chunked": chunk_of(vocabulary(model)),
        "recomputed": RECOMPUTED_CHUNK,
    }
    chunk = chunks.get(way, length)
    logits = min(length, chunk) * vocabulary(model) * LOGIT_BYTES[precision.name]
    if way == "kept":  # kept and working memory are in the row; its gradient is not
        return HeadBytes(logits, 4 * length * vocabulary(model))
    if way not in ("fused", "chunked"):
        return HeadBytes(logits)
    head = output_head(model)
    held = list(head.parameters()) if head else []
    own = sum(4 * p.numel() for p in held if p.requires_grad)
    if way == "chunked":  # the matrix in bf16, and a chunk's part of its gradient
        own += sum(2 * p.numel() * (1 + p.requires_grad) for p in held)
    return HeadBytes(logits + own, 4 * length * width(model))


def checkpointed(made: Forecast, model: torch.nn.Module, length: int) -> Forecast:
    """With gradient checkpointing: every layer's input, and the inside of one layer at a time."""
    config = models.text_config(models.config_of(model))
    layers = int(config.num_hidden_layers)
    return replace(made, row=4 * layers * length * int(config.hidden_size) + made.row // layers)


def saved_bytes(model: torch.nn.Module, precision: Precision, length: int) -> tuple[int, int]:
    """(bytes kept for backward by one row, the largest of them); parameters are not counted."""
    rows = random_row(model, length)
    held = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, int] = {}
    kept: list[torch.Tensor] = []  # else a freed tensor's address would be counted once for two

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            sizes[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    model.train()
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, precision.autocast():
        token_losses(model, rows)
    return sum(sizes.values()), max(sizes.values(), default=0)


@dataclass(frozen=True)
class Plan:
    """How a step is cut to fit in memory."""

    rows: int
    """Of a micro-batch."""
    checkpointing: bool
    forecast: Forecast
    fits: bool

    @property
    def needed(self) -> int:
        """Bytes beside what is in use."""
        return self.forecast.peak(self.rows) - self.forecast.resident


def plan(
    model: torch.nn.Module,
    train: recipes.Train,
    precision: Precision,
    length: int,
    most_rows: int,
    share: float = 1.0,
) -> Plan:
    """The micro-batch for this model here: the recipe's, else by the predicted memory.

    ``share`` of the free memory is this process's. Not timed on purpose: a micro-batch that
    two timings could choose differently would change the last digits of a replayed run.
    Gradient checkpointing is the recipe's, else on only where one row would not fit without.
    """
    room = int(FILL * share * free())
    most = min(most_rows, models.batch_rows(length))
    asked, plain = train.gradient_checkpointing, forecast(model, precision, length)
    for checkpointing in (False, True) if asked is None else (asked,):
        made = checkpointed(plain, model, length) if checkpointing else plain
        rows = min(train.micro_batch or made.rows(room, most), most_rows)
        found = Plan(rows, checkpointing, made, made.peak(rows) - made.resident <= room)
        if found.fits:
            break
    return found


def reading_rows(train: recipes.Train, length: int) -> int:
    """Rows of ``length`` tokens that are read at once without a backward pass."""
    return train.micro_batch or models.batch_rows(length)


def random_row(model: torch.nn.Module, length: int) -> Rows:
    """One row of random tokens that is one document."""
    vocab = models.text_config(models.config_of(model)).vocab_size
    ids = np.random.default_rng(0).integers(0, vocab, (1, length))
    return Rows(ids, np.arange(length)[None], ids)


def in_use() -> int:
    """Bytes of this process (CPU) or of this process's tensors (GPU)."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated()
    return int(psutil.Process().memory_info().rss)


def shown() -> int:
    """What a run's screen shows: the peak on a GPU, where memory comes and goes within a step."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else in_use()


def free() -> int:
    """Bytes that are free here: on the GPU, or on the machine within this process's limit."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    return free_memory()


class Peak:
    """The most memory in use since it was made, where the system tells (Linux, CUDA)."""

    def __init__(self) -> None:
        self.told = torch.cuda.is_available()
        if self.told:
            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):  # "5" resets the high-water mark: man 5 proc
            (PROC / "clear_refs").write_text("5")
            self.told = True

    def bytes(self) -> int | None:
        """None where the high-water mark could not be reset: it would include the loading."""
        if not self.told:
            return None
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
        for line in (PROC / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
        return None


def gb(count: float) -> str:
    """``1.25 GB``"""
    return f"{count / 1e9:.2f} GB"
