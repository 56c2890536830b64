"""One optimizer step: micro-batches summed, clipped, applied, or refused if not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from engine.worker.model.base import device, trainable
from engine.worker.model.precision import Precision
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import Rows


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
    spread: SingleProcess | None = None
    """Over the ranks of the job; default: one process."""
    mask: Callable[[], None] = lambda: None
    """Takes from the gradients what a step must not train."""

    def __post_init__(self) -> None:
        self.over = self.spread or SingleProcess(self.model)
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
        self.mask()
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
        grads = [p.grad for p in chosen if p.grad is not None]
        norm = self.over.whole_norm(torch.nn.utils.get_total_norm(grads))
        torch.nn.utils.clip_grads_with_norm_(chosen, self.clip, norm)
        return norm


@torch.no_grad()
def mean_loss(
    model: torch.nn.Module,
    rows: Rows,
    precision: Precision,
    batch: int,
    check: Callable[[], None] = lambda: None,
    spread: SingleProcess | None = None,
) -> float:
    """Mean held-out loss in nats per token over fixed rows, each rank reading its share.

    ``check`` is called before each batch and may raise (with several ranks: on all of them).
    """
    model.eval()
    over = spread or SingleProcess(model)
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
