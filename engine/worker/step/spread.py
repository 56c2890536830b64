"""One process, DDP or FSDP2: how this job trains its model."""

from __future__ import annotations

import torch

from engine.worker.job.ranks import Ranks
from engine.worker.step.parallel import Ddp, SingleProcess


def spread(model: torch.nn.Module, ranks: Ranks, strategy: str) -> SingleProcess:
    """The model as this job trains it. Optimizers are made after it: FSDP2 swaps parameters."""
    if not ranks.joined:
        return SingleProcess(model, ranks)
    if strategy == "ddp":
        return Ddp(model, ranks)
    # Here, for it imports what one process has no need of: a third of a worker's start.
    from engine.worker.step.sharded import Fsdp2

    return Fsdp2(model, ranks)
