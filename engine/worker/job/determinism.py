"""The same numbers each time, which a resumed run must give.

torch's fused attention sums its gradients in one order only where deterministic algorithms are
demanded, and in any order where they are preferred (``warn_only``), as a run must prefer them: some
operations have none. So they are demanded for the backward pass of attention alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Tensors = tuple[torch.Tensor, ...]
KERNEL = "sdpa"
"""transformers' attention function that ends in torch's fused kernels."""


class _Demand(torch.autograd.Function):
    """Going backward, what comes next must be deterministic."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> torch.Tensor:
        torch.use_deterministic_algorithms(True, warn_only=False)
        return slopes[0]


class _Prefer(torch.autograd.Function):
    """Going backward, what comes next may be anything again; it waits for all gradients."""

    @staticmethod
    def forward(ctx: Any, *tensors: torch.Tensor) -> Tensors:
        # Also where memory ended in the middle of the backward pass before.
        torch.use_deterministic_algorithms(True, warn_only=True)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Tensors:
        torch.use_deterministic_algorithms(True, warn_only=True)
        return slopes


def repeatable(inputs: Tensors, attention: Callable[..., torch.Tensor]) -> torch.Tensor:
    """``attention(*inputs)``, whose backward pass gives the same numbers each time.

    Nothing is changed where no gradient is asked for, or where the process does not prefer
    deterministic algorithms.
    """
    asked = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    if not (asked and torch.are_deterministic_algorithms_enabled()):
        return attention(*inputs)
    apply_prefer: Any = _Prefer.apply
    apply_demand: Any = _Demand.apply
    out: torch.Tensor = apply_demand(attention(*apply_prefer(*inputs)))
    return out


def prefer_determinism() -> None:
    """Let torch take deterministic algorithms where it has them, on a GPU in attention too."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # No operation here reads memory that it has not written; filling it takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if torch.cuda.is_available():
        register()


def register() -> None:
    """Put a repeatable function in the place of transformers' own."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *given: Any,
        **named: Any,
    ) -> tuple[torch.Tensor, None]:
        if torch.compiler.is_compiling():  # a graph has no place for a flag of the process
            return sdpa_attention_forward(module, query, key, value, *given, **named)  # type: ignore[no-any-return]
        out = repeatable(
            (query, key, value),
            lambda *qkv: sdpa_attention_forward(module, *qkv, *given, **named)[0],
        )
        return out, None

    AttentionInterface.register(KERNEL, attend)
