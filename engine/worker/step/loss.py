"""Cross-entropy of packed rows: the full table of logits is held only where it is small."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from engine.worker.model.base import DTYPES, config_of, text_config
from engine.worker.model.embeddings import output_head
from engine.worker.model.fast_paths import paths_of, unwrap_model
from engine.worker.step.chunked_head import chunked_losses
from engine.worker.step.rows import IGNORE, Rows

LOGIT_CHUNK = 2048
"""Tokens whose logits exist at once where texts are only scored."""
FUSED_CHUNK = 256
"""Tokens whose logits exist at once in torch's linear cross-entropy. Its own choice of a chunk is
as small as 32 tokens at 49,152 words and took three times as long on a CPU; 256 and 512 took the
same time (``tests/benchmarks/speed.py``)."""
RECOMPUTED_CHUNK = 512
"""The same where the head is computed again in the backward pass: a quarter of the memory of
2,048 for a tenth more of the head's time."""
SMALL_LOGITS = 2**20
"""Bytes of fp32 logits up to which one plain cross-entropy is fastest (measured on 64 to 512
tokens of a vocabulary of 320)."""
KEPT_LOGITS = 2**27
"""Bytes of fp32 logits of a micro-batch that are kept for the backward pass where no fused path
was proven: recomputing them takes 1.4 times as long. Three tables of that size exist at once."""

Route = Literal["own", "fused", "chunked", "kept", "recomputed"]
"""The model's own full logits, or the head by itself: fused by torch, fused here in chunks, as a
whole, or in chunks that are computed again."""


def parts(model: torch.nn.Module) -> tuple[torch.nn.Module, torch.nn.Module] | None:
    """(decoder, head) where the head's plain output was proven to be the logits, else None.

    Models that scale or cap their logits (gemma2, granite, falcon_h1) keep their own forward.
    """
    if not paths_of(model).chunked.ok:
        return None
    inside = unwrap_model(model)
    head = output_head(model)
    return None if head is None else (inside.get_decoder(), head)


def route_of(model: torch.nn.Module, tokens: int, precision: str) -> Route:
    """How the losses of a micro-batch of ``tokens`` are computed in a precision ("fp32", …).

    It depends on what was proven and on sizes alone, so a resumed run takes it again. torch's
    fused op returns its sum in the dtype of its input, which in bf16 is one part in 256, so it
    is for fp32 only, and bf16 has one of our own. fp16 has none: its gradients need a loss scale.
    """
    split = parts(model)
    if split is None:
        return "own"
    size = 4 * tokens * vocabulary(model)
    if size <= SMALL_LOGITS:
        return "kept"
    if fusible(split[1], precision):
        if precision == "fp32" and paths_of(model).fused.ok:
            return "fused"
        if precision == "bf16" and paths_of(model).fused_bf16.ok:
            return "chunked"
    return "kept" if size <= KEPT_LOGITS else "recomputed"


def fusible(head: torch.nn.Module, precision: str) -> bool:
    """Whether the head is its matrix and bias alone: no adapter, no quantization, no hook."""
    hooked = head._forward_hooks or head._forward_pre_hooks
    held = {torch.float32, DTYPES.get(precision)}
    return type(head) is torch.nn.Linear and head.weight.dtype in held and not hooked


def precision_of(hidden: torch.Tensor) -> str:
    """The name of the dtype that the head's product of these states is made in here."""
    kind = hidden.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else hidden.dtype
    return next((name for name, own in DTYPES.items() if own == dtype), "other")


def vocabulary(model: torch.nn.Module) -> int:
    """Logits of a token."""
    return int(text_config(config_of(model)).vocab_size)


def token_losses(model: torch.nn.Module, rows: Rows) -> torch.Tensor:
    """Summed next-token loss over a micro-batch (nats)."""
    ids, positions, labels = rows.tensors()
    split = parts(model)
    targets = labels[:, 1:].reshape(-1)
    if split is None:
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        flat = logits[:, :-1].reshape(-1, logits.shape[-1]).float()
        return F.cross_entropy(flat, targets, ignore_index=IGNORE, reduction="sum")
    decoder, head = split
    # No attention mask: the documents are then told apart by position_ids.
    hidden = decoder(
        input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False
    ).last_hidden_state[:, :-1]
    hidden = hidden.reshape(-1, hidden.shape[-1])
    keep = targets != IGNORE
    hidden, targets = hidden[keep], targets[keep]
    way = route_of(model, len(targets), precision_of(hidden))
    if way == "fused":
        return fused_losses(hidden, *head.parameters(), targets=targets)
    if way == "chunked":
        return chunked_losses(hidden, *head.parameters(), targets=targets)
    if way == "kept":
        return plain_losses(head, hidden, targets)
    total: torch.Tensor = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), RECOMPUTED_CHUNK):
        piece = slice(start, start + RECOMPUTED_CHUNK)
        again = checkpoint(plain_losses, head, hidden[piece], targets[piece], use_reentrant=False)
        total = total + again
    return total


def plain_losses(
    head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Summed loss from whole logits."""
    return F.cross_entropy(head(hidden).float(), targets, reduction="sum")


def fused_losses(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    targets: torch.Tensor,
    chunk: int = FUSED_CHUNK,
) -> torch.Tensor:
    """The same by torch's linear cross-entropy (2.13): the gradients are made chunk by chunk in
    the forward pass, so logits are neither kept nor computed twice.

    Raises AttributeError where this torch has none.
    """
    return F.linear_cross_entropy(
        hidden,
        weight,
        targets,
        linear_bias=bias,
        reduction="sum",
        options=torch.nn.LinearCrossEntropyOptions(batch_chunk_size=chunk),
    )
