"""The step: packed rows in, one optimizer update out. Used by training, pilots and probes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from engine.worker.model import Precision, device, trainable
from engine.worker.paths import paths_of, plain
from engine.worker.ranks import Ranks

IGNORE = -100
MICRO_TOKENS = 4096
"""Tokens of a micro-batch on a CPU; larger ones were not faster there."""
LOGIT_CHUNK = 2048
"""Tokens whose logits exist at once: memory is chunk x vocabulary, not batch x vocabulary."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Packed rows [B, L]: ids, position ids that restart at each document, labels."""

    ids: Array
    positions: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Rows:
        return Rows(self.ids[part], self.positions[part], self.labels[part])

    @property
    def targets(self) -> int:
        """Tokens that carry loss (labels are shifted by one inside the model)."""
        return int((self.labels[:, 1:] != IGNORE).sum())

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return (
            torch.from_numpy(self.ids.astype(np.int64)).to(device()),
            torch.from_numpy(self.positions.astype(np.int64)).to(device()),
            torch.from_numpy(self.labels.astype(np.int64)).to(device()),
        )


def parts(model: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module] | None:
    """(decoder, head) where the head's plain output was proven to be the logits, else None.

    Models that scale or cap their logits (gemma2, granite, falcon_h1) keep their own forward.
    """
    if not paths_of(model).chunked.ok:
        return None
    inside = plain(model)
    return inside.get_decoder(), inside.get_output_embeddings()


def micro_batches(model: torch.nn.Module, rows: Rows, size: int) -> Iterator[Rows]:
    """``rows`` in parts of ``size`` rows, or of as many tokens with one document a row.

    The latter where this model was not proven to keep the documents of a row apart; its rows
    are padded on the right, which no earlier token reads.
    """
    if paths_of(model).packed.ok:
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
        return
    documents = sorted(_documents(rows), key=len, reverse=True)
    cells = size * rows.ids.shape[1]
    while documents:
        count = max(1, cells // len(documents[0]))
        yield _one_a_row(documents[:count])
        documents = documents[count:]


def _documents(rows: Rows) -> Iterator[Array]:
    """Each document that carries loss as (id, label) pairs [n, 2]."""
    for ids, positions, labels in zip(rows.ids, rows.positions, rows.labels, strict=True):
        starts = np.flatnonzero(positions == 0)
        for document in np.split(np.stack([ids, labels], axis=1), starts[starts > 0]):
            if (document[1:, 1] != IGNORE).any():
                yield document


def _one_a_row(documents: list[Array]) -> Rows:
    shape = (len(documents), len(documents[0]))
    ids, labels = np.zeros(shape, dtype=np.int64), np.full(shape, IGNORE, dtype=np.int64)
    for row, document in enumerate(documents):
        ids[row, : len(document)], labels[row, : len(document)] = document.T
    return Rows(ids, np.broadcast_to(np.arange(shape[1]), shape), labels)


def token_losses(model: torch.nn.Module, rows: Rows) -> torch.Tensor:
    """Summed next-token loss over a micro-batch (nats), logits in chunks."""
    ids, positions, labels = rows.tensors()
    split = parts(model)
    targets = labels[:, 1:].reshape(-1)
    if split is None:
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        flat = logits[:, :-1].reshape(-1, logits.shape[-1]).float()
        return F.cross_entropy(flat, targets, ignore_index=IGNORE, reduction="sum")
    decoder, head = split
    # No attention mask: SDPA then honours the documents through position_ids.
    hidden = decoder(
        input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False
    ).last_hidden_state[:, :-1]
    hidden = hidden.reshape(-1, hidden.shape[-1])
    keep = targets != IGNORE
    hidden, targets = hidden[keep], targets[keep]
    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), LOGIT_CHUNK):
        piece = slice(start, start + LOGIT_CHUNK)
        total = total + checkpoint(_chunk, head, hidden[piece], targets[piece], use_reentrant=False)
    return total


def _chunk(head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="sum")


def learning_rate(
    step: int,
    total: int,
    peak: float,
    schedule: str,
    warmup: int,
    min_share: float,
    decay_share: float = 0.2,
) -> float:
    """Rate of step ``step`` (0-based) of ``total``: linear warm-up, then the schedule.

    ``cosine`` falls to ``min_share`` of the peak, ``constant`` stays, ``wsd`` stays until the
    last ``decay_share`` of the steps and falls to ``min_share`` in a line (Hu 2024, MiniCPM).
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant" or total <= warmup:
        return peak
    if schedule == "wsd":
        decay = min(total - warmup, max(1, round(decay_share * total)))
        done = max(0, step + 1 - (total - decay)) / decay
        return peak * (1 - (1 - min_share) * min(1.0, done))
    progress = (step - warmup) / max(1, total - warmup)
    return peak * (min_share + (1 - min_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def make_optimizer(
    model: torch.nn.Module,
    lr: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    embeddings_scale: float = 1.0,
) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters; no decay on vectors (norms, biases).

    ``embeddings_scale`` multiplies the rate of embeddings and head.
    """
    special = {id(p) for layer in _embeddings(model) for p in layer.parameters()}
    groups: list[dict[str, Any]] = []
    for is_special in (False, True):
        chosen = [p for p in trainable(model) if (id(p) in special) == is_special]
        scale = embeddings_scale if is_special else 1.0
        for vectors in (False, True):
            members = [p for p in chosen if (p.ndim < 2) == vectors]
            if members:
                decay = 0.0 if vectors else weight_decay
                groups.append({"params": members, "weight_decay": decay, "scale": scale})
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)


def _embeddings(model: torch.nn.Module) -> list[torch.nn.Module]:
    getters = ("get_input_embeddings", "get_output_embeddings")
    layers = [getattr(model, getter)() for getter in getters]
    return [layer for layer in layers if layer is not None]


class Alone:
    """How a model's passes are spread over the ranks: here there is one. See ``spread``."""

    sharded = False
    """Whether a rank holds only parts of the parameters."""

    def __init__(self, model: torch.nn.Module, ranks: Ranks | None = None) -> None:
        self.model, self.ranks = model, ranks or Ranks()

    def loss(self, rows: Rows) -> torch.Tensor:
        """Summed loss of a micro-batch."""
        return token_losses(self.model, rows)

    def passes(self, rows: Rows, size: int) -> Iterator[tuple[Rows, float]]:
        """This rank's micro-batches of a global batch, each with its weight (1, or 0: filler).

        Those without a target are left out: every label is a first token or padding.
        """
        own = rows[self.ranks.rank :: self.ranks.world]
        for part in micro_batches(self.model, own, size):
            if part.targets:
                yield part, 1.0

    def accumulating(self) -> AbstractContextManager[Any]:
        """Around the passes of one step."""
        return nullcontext()

    def exchange(self, rows: Rows) -> torch.Tensor | None:
        """The loss whose backward adds up the ranks' gradients, if that takes a pass."""
        return None

    def rest(self) -> None:
        """After passes without a backward."""

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the model or the optimizer, gathered: all ranks ask, rank 0 gets it."""
        return tensor.detach()

    def place(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """This rank's part of a gathered tensor that is laid out as ``like``."""
        return tensor.to(device())

    def facts(self) -> str:
        """What is really on, for the header."""
        return "1 process"

    def _place(self) -> str:
        return f"{self.ranks.world} processes, {self.ranks.backend}"


@dataclass
class Stepper:
    """One optimizer step over a global batch, in micro-batches; halves them when memory ends.

    fp16 gets a loss scale (``scaler``): its smallest gradients would be 0 without one.
    """

    model: torch.nn.Module
    optimizer: torch.optim.AdamW
    precision: Precision
    clip: float
    micro_batch: int
    on_oom: Callable[[int], None] = lambda rows: None
    spread: Alone | None = None
    """Over the ranks of the job; default: one process."""

    def __post_init__(self) -> None:
        self.over = self.spread or Alone(self.model)
        self.scaler = torch.amp.GradScaler(device().type, enabled=self.precision.name == "fp16")

    def step(self, rows: Rows, lr: float) -> tuple[float, float]:
        """(mean loss in nats, gradient norm) over all ranks; ``rows`` is the global batch.

        A non-finite one means: nothing was updated. An out-of-memory error repeats the same
        step with half the micro-batch, on all ranks; an fp16 overflow with half the scale.
        Rows without a target teach nothing: (0.0, 0.0).
        """
        if not rows.targets:
            return 0.0, 0.0
        while True:
            try:
                loss, norm = self._step(rows, lr)
            except torch.OutOfMemoryError:
                # What is left of the others' messages cannot be caught up with.
                if self.micro_batch == 1 or self.over.sharded:
                    raise
                self.micro_batch = max(1, self.micro_batch // 2)
            else:
                if not self._overflowed(loss, norm):
                    return loss, norm
                continue
            self.optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            self.on_oom(self.micro_batch)

    def _overflowed(self, loss: float, norm: float) -> bool:
        """Whether only the fp16 scale was too high; it has been halved by then."""
        broken = math.isfinite(loss) and not math.isfinite(norm)
        return self.scaler.is_enabled() and broken and self.scaler.get_scale() >= 1

    def _step(self, rows: Rows, lr: float) -> tuple[float, float]:
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        total = self.over.ranks.sum(self._accumulate(rows))
        self.scaler.unscale_(self.optimizer)
        norm = self._clip()
        # One device sync a step: the update must not happen on a broken gradient.
        loss_value, norm_value = torch.stack([total, norm]).tolist()
        loss_value /= self.over.ranks.world
        if math.isfinite(loss_value) and math.isfinite(norm_value):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss_value, norm_value

    def _accumulate(self, rows: Rows) -> torch.Tensor:
        """This rank's share of the loss, times the ranks: their gradients are averaged."""
        targets = rows.targets / self.over.ranks.world
        total = torch.zeros((), device=device())
        full: torch.OutOfMemoryError | None = None
        try:
            with self.over.accumulating():
                for part, weight in self.over.passes(rows, self.micro_batch):
                    with self.precision.autocast():
                        loss = weight * self.over.loss(part) / targets
                    self.scaler.scale(loss).backward()
                    total += loss.detach()
        except torch.OutOfMemoryError as error:
            full = error
        if not self.over.sharded and self.over.ranks.any(full is not None):
            raise full or torch.OutOfMemoryError("on another rank")
        if full:
            raise full
        with self.precision.autocast():
            loss_of_none = self.over.exchange(rows)
        if loss_of_none is not None:
            self.scaler.scale(loss_of_none).backward()
        return total

    def _clip(self) -> torch.Tensor:
        """Clip the gradients of all ranks; returns their norm before it."""
        chosen = trainable(self.model)
        norm = torch.nn.utils.get_total_norm([p.grad for p in chosen if p.grad is not None])
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        torch.nn.utils.clip_grads_with_norm_(chosen, self.clip, norm)
        return norm


@torch.no_grad()
def mean_loss(
    model: torch.nn.Module,
    rows: Rows,
    precision: Precision,
    batch: int,
    check: Callable[[], None] = lambda: None,
    spread: Alone | None = None,
) -> float:
    """Mean held-out loss in nats per token over fixed rows, each rank reading its share.

    ``check`` is called before each batch and may raise (with several ranks: on all of them).
    """
    model.eval()
    over = spread or Alone(model)
    total = torch.zeros((), device=device(), dtype=torch.float64)
    own = list(over.passes(rows, batch))
    for number in range(over.ranks.most(len(own))):
        check()
        if number < len(own):
            part, weight = own[number]
            with precision.autocast():
                total += weight * over.loss(part).double()
    over.rest()
    return float(over.ranks.sum(total)) / max(1, rows.targets)
