"""Deterministic algorithms are demanded for attention's backward pass, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AttentionInterface
from transformers.integrations import sdpa_attention

from engine.worker.job.determinism import KERNEL, register, repeatable
from tests.engine.worker.architectures import build


@pytest.fixture(autouse=True)
def preferred() -> Iterator[None]:
    kept = AttentionInterface()[KERNEL]
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    AttentionInterface.register(KERNEL, kept)
    torch.use_deterministic_algorithms(False)


class Noting(torch.autograd.Function):
    """Notes whether deterministic algorithms are demanded in its backward pass."""

    seen: list[bool]

    @staticmethod
    def forward(ctx: Any, *tensors: torch.Tensor) -> torch.Tensor:
        return torch.stack(tensors).sum(0)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        Noting.seen.append(not torch.is_deterministic_algorithms_warn_only_enabled())
        return slopes[0], slopes[0], slopes[0]


def test_it_is_demanded_for_attention_alone() -> None:
    Noting.seen = []
    weight = torch.ones(4, requires_grad=True)
    before = Noting.apply(weight, weight, weight)
    inside = repeatable((before, before * 2, before * 3), Noting.apply)
    after = Noting.apply(inside, inside, inside)
    after.sum().backward()
    assert Noting.seen == [False, True, False]
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.equal(weight.grad, torch.full((4,), 54.0))  # type: ignore[arg-type]


def test_a_pass_that_broke_off_leaves_nothing_behind() -> None:
    torch.use_deterministic_algorithms(True, warn_only=False)  # as memory that ended left it
    repeatable((torch.ones(2, requires_grad=True),), lambda x: x * 2)
    assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_without_gradients_or_the_wish_nothing_is_changed() -> None:
    one = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert repeatable((one,), lambda x: x) is one
    torch.use_deterministic_algorithms(False)
    assert repeatable((one,), lambda x: x) is one
    assert not torch.are_deterministic_algorithms_enabled()


def test_transformers_layers_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same loss and gradients as transformers' own function gives, once for each layer."""
    model, ids = build("llama", 320), torch.arange(1, 40)[None]
    real, calls, found = sdpa_attention.sdpa_attention_forward, [], []

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(torch.is_grad_enabled())
        return real(*given, **named)

    for _ in range(2):
        model.zero_grad()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in model.parameters())])
        monkeypatch.setattr(sdpa_attention, "sdpa_attention_forward", counted)
        register()
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert calls == [True] * model.config.num_hidden_layers
