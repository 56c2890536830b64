"""The learning rate at a step, and AdamW with its groups of parameters."""

from __future__ import annotations

import math
from typing import Any

import torch

from engine.worker.model.base import trainable
from engine.worker.model.embeddings import ends


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
    special = {id(p) for layer in ends(model) for p in layer.parameters()}
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
