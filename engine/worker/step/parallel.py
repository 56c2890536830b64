"""Training's model spread over the ranks, by PyTorch's own DDP or FSDP2 (``sharded``).

Rank r of n takes rows r, r+n, ... of the global batch, which every rank knows whole (it is
arithmetic): so the number of targets that the loss is divided by needs no message. Both
strategies average gradients over ranks; the loss is multiplied by n to make that the sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from engine.worker.job.ranks import Ranks
from engine.worker.model.base import device
from engine.worker.step.loss import token_losses
from engine.worker.step.rows import IGNORE, Rows, micro_batches


class SingleProcess:
    """How a model's passes are spread over the ranks: here there is one. See ``parallelize``."""

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

    def whole_norm(self, norm: torch.Tensor) -> torch.Tensor:
        """The norm over all ranks' parts of the gradients."""
        return norm

    def facts(self) -> str:
        """What is really on, for the header."""
        return "1 process"

    def _place(self) -> str:
        return f"{self.ranks.world} processes, {self.ranks.backend}"


EXCHANGE_TOKENS = 2


class Losses(torch.nn.Module):
    """A model whose forward is its summed token loss: what DDP and FSDP2 can wrap."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Rows) -> torch.Tensor:
        return token_losses(self.model, rows)


class Ddp(SingleProcess):
    """Every rank holds the whole model; gradients are averaged in a pass of their own.

    A rank's micro-batches run without messages, so ranks may have unequal numbers of them, and
    one that runs out of memory can say so and repeat the step with the others. The exchange
    is then a pass over two tokens that weigh nothing.
    """

    def __init__(self, model: torch.nn.Module, ranks: Ranks) -> None:
        super().__init__(model, ranks)
        ids = [torch.cuda.current_device()] if device().type == "cuda" else None
        # Unused parameters (experts that no token reached) would wait for ever without it.
        self.wrapped = DistributedDataParallel(
            Losses(model), device_ids=ids, find_unused_parameters=True
        )

    def accumulating(self) -> Any:
        return self.wrapped.no_sync()

    def exchange(self, rows: Rows) -> torch.Tensor | None:
        part = first_targets(rows)
        loss: torch.Tensor = self.wrapped(part) * 0.0
        return loss

    def facts(self) -> str:
        return f"{type(self.wrapped).__name__}, {self._place()}"


def first_targets(rows: Rows) -> Rows:
    """The shortest piece of a batch that has a target: every trained layer takes part in it."""
    for row in range(len(rows)):
        if rows[row : row + 1].targets:
            at = int((rows.labels[row, 1:] != IGNORE).argmax())
            part = (slice(row, row + 1), slice(at, at + EXCHANGE_TOKENS))
            first = Rows(rows.ids[part], rows.positions[part] * 0, rows.labels[part])
            first.positions[0] = range(first.ids.shape[1])
            return first
    raise ValueError("a batch without a target is not trained on")
