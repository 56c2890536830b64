"""Cross-entropy of packed rows in chunks: the full table of logits is never held."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from engine.worker.model.embeddings import output_head
from engine.worker.model.fast_paths import paths_of, plain
from engine.worker.step.rows import IGNORE, Rows

LOGIT_CHUNK = 2048
"""Tokens whose logits exist at once: memory is chunk x vocabulary, not batch x vocabulary."""


def parts(model: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module] | None:
    """(decoder, head) where the head's plain output was proven to be the logits, else None.

    Models that scale or cap their logits (gemma2, granite, falcon_h1) keep their own forward.
    """
    if not paths_of(model).chunked.ok:
        return None
    inside = plain(model)
    head = output_head(model)
    return None if head is None else (inside.get_decoder(), head)


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
    total: torch.Tensor = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), LOGIT_CHUNK):
        piece = slice(start, start + LOGIT_CHUNK)
        total = total + checkpoint(_chunk, head, hidden[piece], targets[piece], use_reentrant=False)
    return total


def _chunk(head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="sum")
