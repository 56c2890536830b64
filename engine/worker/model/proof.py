"""The live model's logits on fixed tokens, kept before merging and saving: what a reload must give.

In fp32 and without autocast, so that the comparison sees the weights and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from engine.files import private_dir
from engine.worker.model.base import stated, text_config
from engine.worker.model.fast_paths import unwrap_model

ROWS, TOKENS, POSITIONS = 2, 64, 8
"""Tokens read, and positions of a row whose logits are kept: a few MB at any vocabulary."""
TOLERANCE = 1e-4
"""Of the largest logit (at least of 1). Measured on four small models: saving alone gave 0,
merging LoRA in fp32 up to 6e-6; a head or an adapter left behind gives far more."""


def live_file(run_path: Path, what: str) -> Path:
    """Where the logits of ``cpt`` or ``task`` are kept."""
    return run_path / "artifacts" / f"live-{what}.safetensors"


def fixed_tokens(vocabulary: int, context: int) -> torch.Tensor:
    """The same ids [2, T] for every model of a vocabulary and context."""
    size = min(TOKENS, context)
    ids = np.random.default_rng(0).integers(0, vocabulary, (ROWS, size))
    return torch.from_numpy(ids)


@torch.no_grad()
def kept_logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Logits [2, P, V] (fp32, on the CPU) at evenly spaced positions, the last one included."""
    model.eval()
    where = np.linspace(0, ids.shape[1] - 1, min(POSITIONS, ids.shape[1]), dtype=int).tolist()
    at = next(model.parameters()).device
    logits: torch.Tensor = model(input_ids=ids.to(at), use_cache=False).logits
    return logits[:, where].float().cpu().contiguous()


def keep(model: torch.nn.Module, path: Path) -> None:
    """Write the live model's tokens and logits; adapters may be on it."""
    config = unwrap_model(model).config
    ids = fixed_tokens(int(text_config(config).vocab_size), stated(config) or TOKENS)
    private_dir(path.parent)
    temporary = path.with_suffix(".tmp")
    save_file({"ids": ids, "logits": kept_logits(model, ids)}, temporary)
    temporary.replace(path)


def differences(path: Path, model: torch.nn.Module) -> tuple[float, float]:
    """(largest absolute difference, largest absolute logit) of ``model`` to what was kept.

    NaN on either side is an infinite difference.
    """
    kept = load_file(path)
    now = kept_logits(model, kept["ids"])
    if now.shape != kept["logits"].shape:
        return float("inf"), float(kept["logits"].abs().max())
    gap = (now - kept["logits"]).abs().nan_to_num(nan=torch.inf)
    return float(gap.max()), float(kept["logits"].abs().max())
