"""A model whose parameters are sharded over the ranks, by PyTorch's own FSDP2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from engine.worker.job.ranks import Ranks
from engine.worker.model.base import device
from engine.worker.model.fast_paths import unwrap_model
from engine.worker.step.parallel import Losses, SingleProcess, first_targets
from engine.worker.step.rows import Rows


class Fsdp2(SingleProcess):
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
            yield first_targets(rows), 0.0

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

    def whole_norm(self, norm: torch.Tensor) -> torch.Tensor:
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

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
    names = set(getattr(unwrap_model(model), "_no_split_modules", None) or ())
    return [module for module in model.modules() if type(module).__name__ in names]
