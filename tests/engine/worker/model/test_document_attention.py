"""Attention by document: the dense mask's loss and gradients, and only where a mask allows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model import document_attention
from engine.worker.model.document_attention import Documents, document_sizes, forced, pays
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
from engine.worker.step.loss import token_losses
from engine.worker.step.rows import IGNORE, Rows
from tests.engine.worker.architectures import build

YES = Check(True)
DENSE = Paths(packed=YES, chunked=YES)
BY_DOCUMENT = Paths(packed=YES, chunked=YES, documents=YES)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vocabulary(tiny_model: Path) -> int:
    return len(models.resolve(recipes.Model(id=str(tiny_model))).tokenizer)


def rows(sizes: list[list[int]]) -> Rows:
    length = sum(sizes[0])
    ids = np.random.default_rng(0).integers(1, 300, (len(sizes), length))
    positions = np.array([[at for n in row for at in range(n)] for row in sizes])
    return Rows(ids, positions, np.where(positions == 0, IGNORE, ids))


SIZES = [[30, 1, 17], [48], [5, 40, 3]]


def taken(model: torch.nn.Module, paths: Paths) -> tuple[float, dict[str, torch.Tensor], int]:
    """Loss, gradients, and how often attention read documents."""
    enable_fast_paths(model, paths)
    model.zero_grad()
    before = Documents.reads
    with forced():
        total = token_losses(model, rows(SIZES))
    total.backward()  # outside: recomputed layers must not depend on where they are
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return float(total.detach()), grads, Documents.reads - before


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "granite"])
def test_loss_and_gradients_are_the_dense_masks(
    name: str, checkpointing: bool, vocabulary: int
) -> None:
    model = build(name, vocabulary).train()
    if checkpointing:
        models.enable_checkpointing(model)
    own, expected, none = taken(model, DENSE)
    found, gradients, reads = taken(model, BY_DOCUMENT)
    layers = 2 * (1 + checkpointing)
    assert (none, reads) == (0, layers)
    assert found == pytest.approx(own, rel=1e-6)
    for key, gradient in expected.items():
        assert float((gradients[key] - gradient).abs().max()) <= 1e-4 * float(
            gradient.abs().max() + 1e-6
        ), key


def test_a_window_counts_only_where_a_document_is_longer(vocabulary: int) -> None:
    for window, reads in ((64, 2), (20, 0)):
        model = build("mistral", vocabulary, sliding_window=window)
        own, _, _ = taken(model, DENSE)
        found, _, count = taken(model, BY_DOCUMENT)
        assert count == reads
        assert found == pytest.approx(own, rel=1e-6)


def test_what_was_not_proven_is_off_and_a_copy_keeps_its_own_kernel(vocabulary: int) -> None:
    model = build("llama", vocabulary)
    enable_fast_paths(model, BY_DOCUMENT)
    assert models.config_of(model)._attn_implementation == document_attention.NAME
    assert "attn" not in models.config_of(model).to_json_string()
    assert document_attention.is_sdpa(models.config_of(model))
    enable_fast_paths(model, Paths(documents=YES))  # without packing there is nothing to keep apart
    assert models.config_of(model)._attn_implementation == "sdpa"


def test_other_masks_go_to_sdpa(vocabulary: int) -> None:
    """Padding, a mask of one's own, a cache."""
    model = build("llama", vocabulary)
    ids = torch.from_numpy(rows(SIZES).ids)
    padding = torch.ones_like(ids)
    padding[:, :4] = 0
    causal = torch.ones(48, 48, dtype=torch.bool).tril()[None, None].expand(3, 1, 48, 48)
    asked = [{"attention_mask": padding}, {"attention_mask": causal}, {"use_cache": True}]
    with torch.no_grad(), forced():
        for inputs in asked:
            found = []
            for paths in (DENSE, BY_DOCUMENT):
                enable_fast_paths(model, paths)
                found.append(model(input_ids=ids, **inputs).logits)
            assert torch.equal(*found)


def mask_of(seen: torch.Tensor) -> document_attention.Sees:
    return lambda row, head, query, key: seen[row, query, key]


def test_sizes_are_read_off_a_mask() -> None:
    groups = torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 1]])
    seen = (groups[:, :, None] == groups[:, None, :]) & torch.ones(6, 6, dtype=torch.bool).tril()
    assert document_sizes(mask_of(seen), 2, 6, CPU) == (3, 2, 1, 1, 5)
    for row, query, key in ((0, 2, 0), (0, 1, 2), (0, 3, 2), (1, 5, 1), (1, 1, 0)):
        odd = seen.clone()
        odd[row, query, key] ^= True
        found = document_sizes(mask_of(odd), 2, 6, CPU)
        assert found != (3, 2, 1, 1, 5), (row, query, key)


def test_it_is_taken_where_it_was_measured_to_pay() -> None:
    assert pays((512,) * 4, 2048, 9, CPU)
    assert pays((32,) * 16, 512, 4, CPU)
    assert not pays((16,) * 16, 256, 4, CPU)
