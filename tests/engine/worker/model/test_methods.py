"""Methods: what is trained, what stays, and that the saved model is the trained one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.recipe.sections import Recipe
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.step import Stepper
from tests import tiny
from tests.conftest import Command
from tests.engine.worker.step.test_step import FP32, load, random_rows

CLOSE = 1e-5
"""Largest logit difference of a merged model to the trained one: fp32 rounding (a choice)."""

RELOAD = """
import sys, numpy, torch
from transformers import AutoModelForCausalLM
for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(folder + "/saved", dtype=torch.float32).eval()
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    ids = torch.from_numpy(numpy.load(folder + "/ids.npy"))
    with torch.no_grad():
        numpy.save(folder + "/logits.npy", model(input_ids=ids, use_cache=False).logits.numpy())
    print(tied)
"""


def recipe(train: dict[str, Any], **lora: Any) -> Recipe:
    """A recipe with this ``[train]`` (LoRA unless ``full``) and ``[lora]``."""
    if train.get("method") == "full":
        train = {"why_full": "test", **train}
    values = {"model": {"id": "m"}, "corpus": {"path": "c"}, "train": train, "lora": lora}
    return Recipe.model_validate(values)


def trained(folder: Path, plan: Recipe, steps: int = 8) -> torch.nn.Module:
    """The model in ``folder`` after a few hot steps of the recipe's method."""
    model = methods.ready(load(folder), plan, 8, 0)
    optimizer = make_optimizer(model, 3e-3, embeddings_scale=0.5)
    stepper = Stepper(model, optimizer, FP32, 1.0, 8)
    for step in range(steps):
        stepper.step(random_rows(8, seed=step), 3e-3)
    return model.eval()


@torch.no_grad()
def logits(model: torch.nn.Module, ids: Any) -> Any:
    return model(input_ids=torch.from_numpy(ids), use_cache=False).logits.numpy()


CASES = {
    "full": recipe({"method": "full"}),
    "full + embeddings": recipe({"method": "full", "train_embeddings": True}),
    "LoRA": recipe({}),
    "rsLoRA": recipe({}, variant="rslora"),
    "DoRA": recipe({}, variant="dora"),
    "LoRA + embeddings": recipe({"train_embeddings": True}),
    "DoRA + embeddings": recipe({"train_embeddings": True}, variant="dora"),
}


@dataclass(frozen=True)
class Saved:
    """Logits of a model before training, after it, and as a new process loads it."""

    before: np.ndarray
    now: np.ndarray
    loaded: np.ndarray
    tied: str


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Saved]:
    """Every case trained, merged and saved; one new process loads them all."""
    ids, made = random_rows(4, 48, seed=99).ids, {}
    for tied in (True, False):
        folder = tiny.write_model(tmp_path_factory.mktemp("base"), tied=tied)
        before = logits(load(folder).eval(), ids)
        for name, plan in CASES.items():
            base = models.resolve(plan.model.model_copy(update={"id": str(folder)}))
            model, out = trained(folder, plan), tmp_path_factory.mktemp("case")
            made[name, tied] = (out, before, logits(model, ids))
            models.save(methods.merged(model), base, out / "saved")
            np.save(out / "ids.npy", ids)
    folders = [str(out) for out, *_ in made.values()]
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, *folders], capture_output=True, text=True, check=True
    )
    return {
        case: Saved(before, now, np.load(out / "logits.npy"), said)
        for (case, (out, before, now)), said in zip(made.items(), done.stdout.split(), strict=True)
    }


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("name", CASES)
def test_the_saved_model_is_the_trained_one(
    saved: dict[tuple[str, bool], Saved], name: str, tied: bool
) -> None:
    """Merged, saved and loaded by transformers in a new process: the same logits, tied as before.

    Training changed the logits by far more than the allowed difference.
    """
    case = saved[name, tied]
    off = float(np.abs(case.loaded - case.now).max())
    moved = float(np.abs(case.now - case.before).max())
    print(f"| {name} | {'tied' if tied else 'untied'} | {moved:.2f} | {off:.1e} |")
    assert case.tied == str(tied)
    assert off < CLOSE
    assert moved > 100 * CLOSE


def changed(before: dict[str, torch.Tensor], model: torch.nn.Module) -> set[str]:
    """Names of the weights that are not as they were."""
    return {n for n, p in model.state_dict().items() if not torch.equal(p, before[n])}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("embeddings", [True, False])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_embeddings_and_head_move_only_when_asked(
    tmp_path: Path, method: str, embeddings: bool, tied: bool
) -> None:
    folder = tiny.write_model(tmp_path / "m", tied=tied)
    plan = recipe({"method": method, "train_embeddings": embeddings})
    moved = changed(load(folder).state_dict(), methods.merged(trained(folder, plan)))
    ends = {"model.embed_tokens.weight", "lm_head.weight"}
    assert moved & ends == (ends if embeddings else set())
    assert any("q_proj" in name for name in moved)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_embeddings_have_a_rate_of_their_own(tmp_path: Path, tied: bool) -> None:
    """Each end once, at its own rate: a tied matrix is one parameter."""
    model = load(tiny.write_model(tmp_path / "m", tied=tied))
    model = methods.ready(model, recipe({"train_embeddings": True}), 4, 0)
    groups = make_optimizer(model, 1e-3, embeddings_scale=0.1).param_groups
    special = [p for g in groups if g["scale"] == 0.1 for p in g["params"]]
    assert len(special) == (1 if tied else 2)
    assert all(p.shape == (320, 32) for p in special)


@pytest.mark.parametrize("variant", [None, "lora", "dora"])
def test_frozen_layers_stay(tiny_model: Path, variant: str | None) -> None:
    """Full: the lowest layer keeps its weights. LoRA: it has no adapter."""
    train = {"freeze_layers": 1, "method": "lora" if variant else "full"}
    plan = recipe(train, variant=variant) if variant else recipe(train)
    moved = changed(load(tiny_model).state_dict(), methods.merged(trained(tiny_model, plan)))
    assert any(".layers.1." in name for name in moved)
    assert not any(".layers.0." in name for name in moved)
    assert "lowest 1 layers" in methods.describe(plan, 8, "test")


def scaling(model: torch.nn.Module) -> float:
    """The factor of the adapters' product."""
    layer = next(m for m in model.modules() if hasattr(m, "lora_A"))
    return float(layer.scaling["default"])


def test_the_variants_are_really_on(tiny_model: Path) -> None:
    """rsLoRA scales by the root of the rank; DoRA trains magnitudes, and plain LoRA does not."""
    kinds = {}
    for variant in ("lora", "rslora", "dora"):
        plan = recipe({}, variant=variant)
        model = methods.ready(load(tiny_model), plan, 16, 0)
        named = [n for n, p in model.named_parameters() if p.requires_grad]
        kinds[variant] = (scaling(model), any("magnitude" in n for n in named))
    assert kinds == {"lora": (2.0, False), "rslora": (2.0, False), "dora": (2.0, True)}
    plan = recipe({}, variant="rslora")
    assert scaling(methods.ready(load(tiny_model), plan, 64, 0)) == 1.0


def test_adapters_move_to_the_base_on_disk(tiny_model: Path) -> None:
    """What QLoRA does at its end: the trained weights, merged into an unrounded base."""
    plan = recipe({"train_embeddings": True})
    rounded = load(tiny_model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16().float())
    model = methods.ready(rounded, plan, 8, 0)
    stepper = Stepper(model, make_optimizer(model, 3e-3), FP32, 1.0, 8)
    stepper.step(random_rows(8), 3e-3)
    moved = methods.transplanted(model, models.load_folder(tiny_model))
    mine, theirs = dict(model.named_parameters()), dict(moved.named_parameters())
    assert all(torch.equal(theirs[n], p) for n, p in mine.items() if p.requires_grad)
    name = next(n for n in mine if n.endswith("q_proj.base_layer.weight"))
    assert not torch.equal(mine[name], theirs[name])


@pytest.mark.parametrize(
    ("train", "lora", "part"),
    [
        ({"method": "full"}, {"variant": "dora"}, "no effect with train.method"),
        ({"embeddings_lr": 1e-4}, {}, "no effect without train_embeddings"),
        ({"decay_share": 0.5}, {}, "no effect without schedule"),
        ({"freeze_layers": -1}, {}, "freeze_layers"),
        ({}, {"variant": "vera"}, "variant"),
    ],
)
def test_contradictions_are_refused(train: dict[str, Any], lora: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        recipe(train, **lora)


@pytest.mark.parametrize("targets", [["nothing"], ["q_proj", "lm_head"], ["embed_tokens"]])
def test_targets_that_cannot_be_are_refused(tiny_model: Path, targets: list[str]) -> None:
    with pytest.raises(InputError, match=r"\[lora\] targets"):
        methods.ready(load(tiny_model), recipe({}, targets=targets), 4, 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ('[lora]\nvariant = "qlora"', "needs a GPU"),
        ("freeze_layers = 2", "leaves no layer"),
    ],
)
def test_what_cannot_work_ends_before_any_work(
    cpt: Command,
    tiny_model: Path,
    tiny_files: dict[str, Path],
    tmp_path: Path,
    extra: str,
    part: str,
) -> None:
    text = tiny.recipe_text(tiny_model, tiny_files, extra=extra)
    path = tmp_path / "r.toml"
    path.write_text(text.replace('method = "full"\n', ""))
    done = cpt("run", str(path), "--plain")
    assert done.returncode == 1
    assert part in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((tmp_path / "home").rglob("scan.json"))
