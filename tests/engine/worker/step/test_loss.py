"""The fused head gives the plain one's loss and gradients, and is taken only where it can."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.recipe.adapters import Lora
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.embeddings import output_head
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.step import loss
from engine.worker.step.chunked_head import chunked_losses
from engine.worker.step.loss import route_of, token_losses, vocabulary
from engine.worker.step.rows import IGNORE, Rows
from tests.tiny import write_model

BF16 = Precision("bf16", "test")
YES = Check(True)
CHUNKED = Paths(packed=YES, chunked=YES)
FUSED = Paths(packed=YES, chunked=YES, fused=YES)
pytestmark = pytest.mark.skipif(
    not hasattr(F, "linear_cross_entropy"), reason="this torch has no linear_cross_entropy"
)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), tied=request.param)


@pytest.fixture
def always_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size: a tiny table of logits is otherwise kept whole."""
    monkeypatch.setattr(loss, "SMALL_LOGITS", 0)


def rows(length: int = 200, ignored: int = 150) -> Rows:
    ids = np.random.default_rng(0).integers(1, 300, (4, length))
    labels = ids.copy()
    labels[:2, -ignored:] = IGNORE
    return Rows(ids, np.tile(np.arange(length), (4, 1)), labels)


def made_ready(folder: Path, way: str) -> torch.nn.Module:
    model = models.load_folder(folder)
    if way == "lora":
        settings = methods.MethodSettings(Lora.model_validate({}), 4, 0)
        model = methods.METHODS["lora"].ready(model, settings)
    methods.set_embeddings(model, way == "full")
    return model


def taken(model: torch.nn.Module, paths: Paths) -> tuple[float, dict[str, torch.Tensor]]:
    enable_fast_paths(model, paths)
    model.zero_grad()
    total = token_losses(model, rows()) / 100
    total.backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return float(total.detach()), grads


@pytest.mark.parametrize("way", ["full", "frozen head", "lora"])
@pytest.mark.usefixtures("always_fused")
def test_the_fused_head_gives_the_same_loss_and_gradients(folder: Path, way: str) -> None:
    """More tokens than a chunk, some without a label."""
    model = made_ready(folder, way)
    (own, expected), (fused, found) = (taken(model, paths) for paths in (CHUNKED, FUSED))
    assert route_of(model, 500, "fp32") == "fused"
    assert fused == pytest.approx(own, rel=1e-6)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("always_fused")
def test_bf16_keeps_its_loss_in_fp32(folder: Path) -> None:
    """torch's fused sum would come back in bf16, one part in 256: it is not taken there."""
    model = made_ready(folder, "full")
    found = []
    for paths in (CHUNKED, FUSED):
        enable_fast_paths(model, paths)
        with torch.no_grad(), BF16.autocast():
            found.append(token_losses(model, rows()))
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)


@pytest.mark.usefixtures("always_fused")
def test_a_head_that_is_more_than_its_matrix_is_called(folder: Path) -> None:
    model = made_ready(folder, "full")
    enable_fast_paths(model, FUSED)
    head = output_head(model)
    assert head is not None
    handle = head.register_forward_hook(lambda module, args, out: out * float("nan"))
    assert route_of(model, 500, "fp32") != "fused"
    with torch.no_grad():
        assert torch.isnan(token_losses(model, rows()))
    handle.remove()
    assert route_of(model, 500, "fp32") == "fused"


def test_the_way_depends_on_what_is_proven_and_on_size(folder: Path) -> None:
    model = models.load_folder(folder)
    few, some, many = (
        bound // (4 * vocabulary(model)) + more
        for bound, more in ((loss.SMALL_LOGITS, 0), (loss.KEPT_LOGITS, 0), (loss.KEPT_LOGITS, 1))
    )
    ways = {}
    for name, paths in (("none", Paths()), ("chunked", CHUNKED), ("fused", FUSED)):
        enable_fast_paths(model, paths)
        ways[name] = [route_of(model, count, "fp32") for count in (few, some, many)]
    assert ways == {
        "none": ["own", "own", "own"],
        "chunked": ["kept", "kept", "recomputed"],
        "fused": ["kept", "fused", "fused"],
    }
    assert route_of(model, many, "bf16") == "recomputed"


def test_recomputed_chunks_give_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made_ready(folder, "full")
    own, expected = taken(model, CHUNKED)
    monkeypatch.setattr(loss, "SMALL_LOGITS", 0)
    monkeypatch.setattr(loss, "KEPT_LOGITS", 0)
    found, gradients = taken(model, CHUNKED)
    assert found == pytest.approx(own, rel=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)


def states_and_head(bias: bool) -> tuple[torch.Tensor, torch.nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    head = torch.nn.Linear(32, 700, bias=bias)
    return torch.randn(300, 32), head, torch.randint(0, 700, (300,))


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
def test_bf16_in_chunks_is_the_plain_bf16_head(bias: bool, frozen: bool) -> None:
    """The same loss, and gradients nearer to fp32 than the plain head's in bf16."""
    made = []
    for way in ("fp32", "plain", "chunked"):
        states, head, targets = states_and_head(bias)
        states.requires_grad_()
        head.requires_grad_(not frozen)
        with BF16.autocast() if way != "fp32" else contextlib.nullcontext():
            if way == "chunked":
                total = chunked_losses(states, *head.parameters(), targets=targets, chunk=128)
            else:
                total = loss.plain_losses(head, states, targets)
        (total / 7).backward()
        grads = [p.grad for p in (states, *head.parameters()) if p.grad is not None]
        made.append((total.detach(), grads))
    (_, exact), (plain, rounded), (chunked, found) = made
    assert len(found) == len(exact) == (1 if frozen else 2 + bias)
    assert chunked.dtype == torch.float32
    assert float(chunked) == pytest.approx(float(plain), rel=1e-6)
    for one, other, right in zip(found, rounded, exact, strict=True):
        assert one.dtype == right.dtype
        off, theirs = (float((x - right).norm() / right.norm()) for x in (one, other))
        assert off < min(1e-2, 1.1 * theirs)


@pytest.mark.usefixtures("always_fused")
def test_a_bf16_run_takes_the_chunks_where_they_are_proven(folder: Path) -> None:
    model = made_ready(folder, "full")
    found = []
    for paths in (CHUNKED, replace(CHUNKED, fused_bf16=YES)):
        enable_fast_paths(model, paths)
        model.zero_grad()
        with BF16.autocast():
            total = token_losses(model, rows())
        total.backward()
        found.append((float(total.detach()), output_head(model).weight.grad.norm()))  # type: ignore[union-attr]
        with torch.no_grad(), BF16.autocast():
            assert token_losses(model, rows()).requires_grad is False
    assert route_of(model, 500, "bf16") == "chunked"
    assert route_of(model, 500, "fp16") == route_of(model, 500, "fp32") == "kept"
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    assert float(found[1][1]) == pytest.approx(float(found[0][1]), rel=1e-2)
