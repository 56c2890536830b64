"""Training's model spread over the ranks, by PyTorch's own DDP or FSDP2.

Rank r of n takes rows r, r+n, ... of the global batch, which every rank knows whole (it is
arithmetic): so the number of targets that the loss is divided by needs no message. Both
strategies average gradients over ranks; the loss is multiplied by n to make that the sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from engine.worker.job.ranks import Ranks
from engine.worker.model.base import device
from engine.worker.model.fast_paths import plain
from engine.worker.step.loss import token_losses
from engine.worker.step.rows import IGNORE, Rows, micro_batches


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


EXCHANGE_TOKENS = 2


class Losses(torch.nn.Module):
    """A model whose forward is its summed token loss: what DDP and FSDP2 can wrap."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Rows) -> torch.Tensor:
        return token_losses(self.model, rows)


class Ddp(Alone):
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
        part = _first_targets(rows)
        loss: torch.Tensor = self.wrapped(part) * 0.0
        return loss

    def facts(self) -> str:
        return f"{type(self.wrapped).__name__}, {self._place()}"


class Fsdp2(Alone):
    """Every rank holds a part of each parameter, its gradient and its optimizer state.

    Every pass exchanges parameters, so all ranks make equally many: one that has no rows left
    repeats some of the others' with no weight.
    """

    sharded = True

    def __init__(self, model: torch.nn.Module, ranks: Ranks) -> None:
        super().__init__(model, ranks)
        for layer in layers(model):
            fully_shard(layer)
        self.wrapped: Any = fully_shard(Losses(model))

    def loss(self, rows: Rows) -> torch.Tensor:
        total: torch.Tensor = self.wrapped(rows)
        return total

    def passes(self, rows: Rows, size: int) -> Iterator[tuple[Rows, float]]:
        own = list(super().passes(rows, size))
        missing = self.ranks.most(len(own)) - len(own)
        yield from own
        for _ in range(missing):
            yield _first_targets(rows), 0.0

    def rest(self) -> None:
        """After a pass without a backward the outermost parameters are still whole."""
        self.wrapped.reshard()

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        return full.detach().cpu() if self.ranks.first else full.new_empty(0)

    def place(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        if not isinstance(like, DTensor):
            return super().place(tensor, like)
        # Every rank has read the file: no messages (src_data_rank=None).
        return distribute_tensor(
            tensor.to(device()), like.device_mesh, like.placements, src_data_rank=None
        )

    def facts(self) -> str:
        held = list(self.model.parameters())
        parts = sum(isinstance(p, DTensor) for p in held)
        units = sum(isinstance(m, FSDPModule) for m in self.wrapped.modules())
        if not units or not parts:
            raise RuntimeError("fully_shard sharded nothing")
        return (
            f"FSDP2 (fully_shard): {parts} of {len(held)} tensors sharded in {units} units, "
            f"{self._place()}"
        )


def layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The decoder's blocks, as transformers names them; none is one unit for all."""
    names = set(getattr(plain(model), "_no_split_modules", None) or ())
    return [module for module in model.modules() if type(module).__name__ in names]


def _first_targets(rows: Rows) -> Rows:
    """The shortest piece of a batch that has a target: every trained layer takes part in it."""
    for row in range(len(rows)):
        if rows[row : row + 1].targets:
            at = int((rows.labels[row, 1:] != IGNORE).argmax())
            part = (slice(row, row + 1), slice(at, at + EXCHANGE_TOKENS))
            first = Rows(rows.ids[part], rows.positions[part] * 0, rows.labels[part])
            first.positions[0] = range(first.ids.shape[1])
            return first
    raise ValueError("a batch without a target is not trained on")


def spread(model: torch.nn.Module, ranks: Ranks, strategy: str) -> Alone:
    """The model as this job trains it. Optimizers are made after it: FSDP2 swaps parameters."""
    if not ranks.joined:
        return Alone(model, ranks)
    return Ddp(model, ranks) if strategy == "ddp" else Fsdp2(model, ranks)
