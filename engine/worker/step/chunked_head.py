"""Head and cross-entropy of a bf16 run in chunks, with their gradients made in the forward pass.

torch's own fused operation returns its sum in the dtype of its input, which in bf16 is one part in
256. Here matrices are multiplied in bf16 as under autocast, the logits of a chunk are fp32, and
the loss and the head's gradient are summed over the chunks in fp32. No logits are kept, and none
are computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

CHUNK_BYTES = 2**28
"""Of fp32 logits of a chunk: 1,024 tokens of 49,152 words. Engineering choice: such a matrix keeps
a GPU busy, and a few of them fit beside any model (``tests/benchmarks/gpu`` times others)."""
LEAST_CHUNK, MOST_CHUNK = 256, 4_096
"""Tokens of a chunk at least and at most."""

Gradients = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, None, None]


def chunk_of(vocabulary: int) -> int:
    """Tokens whose logits exist at once: a power of two."""
    fitting = max(1, CHUNK_BYTES // (4 * vocabulary))
    return min(MOST_CHUNK, max(LEAST_CHUNK, 1 << (fitting.bit_length() - 1)))


def chunked_losses(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    targets: torch.Tensor,
    chunk: int = 0,
) -> torch.Tensor:
    """Summed cross-entropy (fp32) of ``targets`` [n] under states [n, d] and a head [V, d]."""
    inputs = [hidden, weight, bias]
    if not torch.is_grad_enabled():  # else their flags would ask for gradients all the same
        inputs = [None if x is None else x.detach() for x in inputs]
    apply: Any = _ChunkedHead.apply
    total: torch.Tensor = apply(*inputs, targets, chunk or chunk_of(len(weight)))
    return total


class _ChunkedHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        wanted: tuple[bool, ...] = ctx.needs_input_grad[:3]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        made = [
            torch.zeros_like(x, dtype=torch.float32) if x is not None and needed else None
            for x, needed in zip((hidden, weight, bias), wanted, strict=True)
        ]
        # autocast would keep the casts it makes here, without a history, for later passes.
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = weight.to(torch.bfloat16)
            added = None if bias is None else bias.to(torch.bfloat16)
            for start in range(0, len(targets), chunk):
                piece = slice(start, start + chunk)
                states, labels = hidden[piece].to(torch.bfloat16), targets[piece, None]
                logits = F.linear(states, matrix, added).float()
                scale = logits.logsumexp(-1, keepdim=True)
                total += (scale - logits.gather(-1, labels)).sum()
                if any(wanted):
                    # softmax - one-hot, in the logits' own memory
                    slope = logits.sub_(scale).exp_()
                    slope.scatter_add_(-1, labels, torch.full_like(scale, -1.0))
                    _add_gradients(made, piece, slope, states, matrix)
        ctx.save_for_backward(*made)
        ctx.dtypes = [None if x is None else x.dtype for x in (hidden, weight, bias)]
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> Gradients:
        found = [
            None if x is None else (x * outputs[0]).to(dtype)
            for x, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return found[0], found[1], found[2], None, None


def _add_gradients(
    made: list[torch.Tensor | None],
    piece: slice,
    slope: torch.Tensor,
    states: torch.Tensor,
    matrix: torch.Tensor,
) -> None:
    """A chunk's part of the gradients of states, head and bias."""
    of_states, of_weight, of_bias = made
    low = slope.to(torch.bfloat16)
    if of_states is not None:
        of_states[piece] = low @ matrix
    if of_weight is not None:
        of_weight += low.T @ states
    if of_bias is not None:
        of_bias += slope.sum(0)
