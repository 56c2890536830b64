"""What is frozen may be held in bf16: the same numbers, half the memory, and it is put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import InputError
from engine.recipe.sections import Recipe
from engine.runs.run import create_run
from engine.worker.model import base as models
from engine.worker.model import methods, proof
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.step import frozen_base, memory
from engine.worker.step.frozen_base import hold, hold_where_it_pays, holdable
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.step import Stepper
from engine.worker.train import setup
from tests import tiny
from tests.engine.worker.step.test_step import random_rows
from tests.faults.driving import header, recipe, steps, walk, weights

BF16 = Precision("bf16", "test")
YES = Check(True)
PATHS = Paths(packed=YES, chunked=YES, fused_bf16=YES)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> models.Base:
    folder = tiny.write_model(tmp_path_factory.mktemp("model"), tied=request.param)
    return models.resolve(plan().model.model_copy(update={"id": str(folder)}))


def plan(**lora: Any) -> Recipe:
    return Recipe.model_validate({"model": {"id": "m"}, "corpus": {"path": "c"}, "lora": lora})


def ready(base: models.Base, **lora: Any) -> torch.nn.Module:
    model = models.load(base)
    enable_fast_paths(model, PATHS)
    return methods.ready(model, plan(**lora), 8, 0)


def trained(model: torch.nn.Module) -> list[float]:
    stepper = Stepper(model, make_optimizer(model, 3e-3), BF16, 1.0, 4)
    return [stepper.step(random_rows(4, seed=step), 3e-3)[0] for step in range(3)]


def test_lora_beside_bf16_is_lora_beside_fp32_bit_for_bit(base: models.Base) -> None:
    """Losses and adapters are the same; merged into fp32, the model is too."""
    plain, other = ready(base), ready(base)
    held = hold(other, base, BF16)
    assert held.found == "bf16, checked: off by 0 nats a token, 0 of the gradient"
    tied = models.config_of(other).tie_word_embeddings
    assert len(held.layers) == 2 * 7 + (not tied)
    assert trained(plain) == trained(other)
    held.put_back(base)
    assert {p.dtype for p in other.parameters()} == {torch.float32}
    merged = [methods.merged(model).state_dict() for model in (plain, other)]
    assert merged[0].keys() == merged[1].keys()
    assert all(torch.equal(merged[0][name], merged[1][name]) for name in merged[0])


def test_the_predicted_memory_follows(base: models.Base) -> None:
    model = ready(base)
    before = memory.saved_bytes(model, BF16, 64)[0]
    weights = sum(4 * p.numel() for layer in holdable(model).values() for p in layer.parameters())
    hold(model, base, BF16)
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    assert held == sum(4 * p.numel() for p in model.parameters()) - weights // 2
    # A pass keeps the cast of each fp32 matrix for its backward; one in bf16 is there already.
    # The head's is made apart (step/chunked_head.py), and so are the lowest layer's first ones.
    assert before - memory.saved_bytes(model, BF16, 64)[0] > weights // 8


def test_dora_is_within_the_bound(base: models.Base) -> None:
    held = hold(ready(base, variant="dora"), base, BF16)
    assert held.found.startswith("bf16, checked")
    assert held.layers


def test_what_changes_the_numbers_is_put_back(
    base: models.Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_base, "LIMIT", -1.0)
    model = ready(base)
    held = hold(model, base, BF16)
    assert held.found.startswith("fp32; in bf16 off by")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert trained(model) == trained(ready(base))


def test_nothing_is_held_on_a_cpu_nor_what_is_trained(base: models.Base) -> None:
    if models.device().type == "cpu":
        assert hold_where_it_pays(ready(base), base, plan(), BF16).found == ""
    whole = plan().model_copy(
        update={"train": plan().train.model_copy(update={"method": "full", "why_full": "test"})}
    )
    model = methods.ready(models.load(base), whole, 8, 0)
    methods.set_embeddings(model, True)
    assert holdable(model) == {}


def test_weights_that_changed_on_disk_are_not_put_back(base: models.Base) -> None:
    model = ready(base)
    held = hold(model, base, BF16)
    weights = base.folder / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(InputError):
            held.put_back(base)
    finally:
        weights.write_bytes(kept)


def test_a_run_that_holds_bf16_ends_in_the_same_model(
    tiny_model: Path, tiny_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps, evaluations, samples and the proof of the saved model, as a GPU's run has them."""
    full = 'method = "full"\nwhy_full = "tiny"\ntrain_embeddings = true'
    text = recipe(tiny_model, tiny_files, "max_tokens = 3000\n")
    assert full in text
    lora = text.replace(full, 'method = "lora"').replace('dtype = "fp32"', 'dtype = "bf16"')
    runs = []
    for held in (False, True):
        if held:
            monkeypatch.setattr(setup, "hold_where_it_pays", lambda m, b, r, p: hold(m, b, p))
        run = create_run("held", lora)
        assert walk(run).code == 3
        assert ("frozen weights" in header(run)) is held
        runs.append(run)
    assert header(runs[1])["frozen weights"].startswith("bf16, checked: off by 0 nats")
    assert [s.loss for s in steps(runs[0])] == [s.loss for s in steps(runs[1])]
    assert weights(runs[0]) == weights(runs[1])
    kept = [load_file(proof.live_file(run.path, "cpt"))["logits"] for run in runs]
    assert torch.equal(*kept)
