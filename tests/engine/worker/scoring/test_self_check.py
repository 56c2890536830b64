"""The start-up check over many architectures: what leaks or scales is seen, and not used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.errors import InputError
from engine.gold.example import Example
from engine.recipe import sections as recipes
from engine.recipe.adapters import Lora
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, Facts, read_all
from engine.runs.run import Run, create_run, list_runs
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths, paths_of
from engine.worker.model.precision import Precision
from engine.worker.scoring.self_check import FILE, examine, prove
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.rows import IGNORE, Rows
from engine.worker.step.step import Stepper, mean_loss
from tests import tiny
from tests.conftest import Command
from tests.engine.worker.architectures import CONFIGS, base_of, build

FP32, BF16 = Precision("fp32", "test"), Precision("bf16", "test")
ALL = ("packed", "chunked", "fused", "documents", "tree", "padded")
SLOW = {
    "llama": (),
    "gpt2": (),
    "gpt_neo": ("documents",),
    "gemma2": ("chunked", "fused", "documents"),
    "mistral": ("documents", "tree"),
    "granite": ("chunked", "fused"),
    "opt": ("packed", "documents"),
    "mamba": ("packed", "documents", "tree"),
    "rwkv": ("packed", "documents", "tree", "padded"),
    "lfm2": ("packed", "documents", "tree"),
    "falcon_h1": ("packed", "chunked", "fused", "documents", "tree"),
    "modernbert-decoder": ("chunked", "fused", "tree"),
}
"""The paths that each architecture cannot take, all others it can (transformers 5.24)."""


@pytest.fixture(scope="module")
def tiny_base(tiny_model: Path) -> models.Base:
    return models.resolve(recipes.Model(id=str(tiny_model)))


def made(base: models.Base, name: str, **more: object) -> tuple[models.Base, torch.nn.Module]:
    model = build(name, len(base.tokenizer), **more)
    return base_of(base, model), model


@pytest.fixture
def context(tmp_path: Path) -> Context:
    run = create_run("checked", "", tmp_path)
    recipe = recipes.Recipe.model_validate({"model": {"id": "x"}, "corpus": {"path": "y"}})
    return Context(run, recipe, EventLog(run.events_path), stage="probe")


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("precision", [FP32, BF16], ids=lambda p: p.name)
def test_each_architecture_takes_the_paths_it_can(
    tiny_base: models.Base, name: str, precision: Precision
) -> None:
    base, model = made(tiny_base, name)
    paths = examine(model, base, precision)
    refused = tuple(path for path in ALL if not getattr(paths, path).ok)
    assert refused == SLOW[name], paths


def two_documents(seed: int = 0) -> tuple[list[list[int]], Rows]:
    """Four documents, two a row, the second row with padding; and each alone."""
    rng = np.random.default_rng(seed)
    documents = [rng.integers(1, 300, n).tolist() for n in (17, 31, 9, 26)]
    ids, positions, labels = (np.zeros((2, 48), dtype=np.int64) for _ in range(3))
    labels[:] = IGNORE
    for row, pair in enumerate((documents[:2], documents[2:])):
        filled = 0
        for document in pair:
            end = filled + len(document)
            ids[row, filled:end] = document
            positions[row, filled:end] = np.arange(len(document))
            labels[row, filled + 1 : end] = document[1:]
            filled = end
        positions[row, filled:] = np.arange(48 - filled)
    return documents, Rows(ids, positions, labels)


def own_loss(model: torch.nn.Module, documents: list[list[int]]) -> torch.Tensor:
    """Mean loss from the model's own forward over every document by itself."""
    losses = []
    for document in documents:
        ids = torch.tensor([document])
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        losses.append(F.cross_entropy(logits, ids[0, 1:], reduction="sum"))
    return torch.stack(losses).sum() / sum(len(d) - 1 for d in documents)


@pytest.mark.parametrize("name", SLOW)
def test_loss_and_gradient_are_those_of_each_document_alone(
    tiny_base: models.Base, name: str
) -> None:
    """Whatever the architecture: evaluation, the step's loss and its gradient norm."""
    base, model = made(tiny_base, name)
    enable_fast_paths(model, examine(model, base, FP32))
    documents, rows = two_documents()
    loss = own_loss(model, documents)
    loss.backward()
    expected = float(loss.detach())
    assert mean_loss(model, rows, FP32, 2) == pytest.approx(expected, abs=2e-5)
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9))
    model.zero_grad()
    for micro_batch in (2, 1):
        stepper = Stepper(model, make_optimizer(model, 1e-9), FP32, 1e9, micro_batch)
        found = stepper.step(rows, 1e-9)
        assert found == pytest.approx((expected, norm), rel=1e-4)


def test_a_model_nobody_checked_takes_no_fast_path(tiny_base: models.Base) -> None:
    _, model = made(tiny_base, "falcon_h1")
    assert not any(getattr(paths_of(model), path).ok for path in ALL)
    documents, rows = two_documents()
    with torch.no_grad():
        expected = float(own_loss(model, documents))
    assert mean_loss(model, rows, FP32, 1) == pytest.approx(expected, abs=2e-5)


def test_wraps_and_copies_take_the_same_paths(tiny_base: models.Base) -> None:
    base, model = made(tiny_base, "llama")
    paths = examine(model, base, FP32)
    enable_fast_paths(model, paths)
    wrapped = methods.METHODS["lora"].ready(
        model, methods.MethodSettings(Lora.model_validate({}), 4, 0)
    )
    assert paths_of(wrapped) == paths
    assert paths_of(methods.merged(wrapped)) == paths


def test_a_model_that_reads_ahead_is_refused(tiny_base: models.Base) -> None:
    base, model = made(tiny_base, "bert")
    with pytest.raises(InputError, match="later tokens change the loss of earlier ones"):
        examine(model, base, FP32)


def test_a_broken_model_is_refused(tiny_base: models.Base) -> None:
    base, model = made(tiny_base, "llama")
    with torch.no_grad():
        model.get_parameter("model.norm.weight").fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        examine(model, base, FP32)
    model.forward = lambda **inputs: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(InputError, match="ZeroDivisionError"):
        examine(model, base, FP32)


def test_the_record_holds_for_both_arms(tiny_base: models.Base, context: Context) -> None:
    base, model = made(tiny_base, "opt")
    paths = prove(context, base, model, FP32)
    assert not paths.packed.ok
    kept = (context.run.path / "artifacts" / FILE).read_text()
    # The other arm's model is not asked: it would be refused, being broken.
    _, other = made(tiny_base, "opt")
    with torch.no_grad():
        other.get_input_embeddings().weight.fill_(float("nan"))  # type: ignore[union-attr]
    assert prove(context, base, other, FP32) == paths == paths_of(other)
    assert (context.run.path / "artifacts" / FILE).read_text() == kept
    assert paths.training(model)["attention"].startswith("sdpa, one document a row")
    (note,) = [e for e in read_all(context.run.events_path) if isinstance(e, Alarm)]
    assert "a row of its own" in note.message


def test_another_dtype_checks_again_and_the_stricter_answer_holds(
    tiny_base: models.Base, context: Context
) -> None:
    base, leaking = made(tiny_base, "opt")
    prove(context, base, leaking, FP32)
    _, model = made(tiny_base, "llama")
    paths = prove(context, base, model, BF16)
    assert [path for path in ALL if not getattr(paths, path).ok] == ["packed", "documents"]


def test_a_broken_record_is_made_again(tiny_base: models.Base, context: Context) -> None:
    base, model = made(tiny_base, "llama")
    paths = prove(context, base, model, FP32)
    path = context.run.path / "artifacts" / FILE
    for text in ("{", "[]", "{}", json.dumps({"key": "x", "gold": "", "paths": {"fast": {}}})):
        path.write_text(text)
        assert prove(context, base, model, FP32) == paths


def test_a_sliding_window_shows_on_the_longest_gold_item(
    tiny_base: models.Base, context: Context
) -> None:
    """The window is longer than the check's own text, shorter than the gold prompt."""
    base, model = made(tiny_base, "mistral", sliding_window=30)
    assert examine(model, base, FP32).tree.ok
    prompt = " ".join(["river stone walks"] * 12)
    gold = [Example(text, " river", (" river", " stone")) for text in ("short", prompt)]
    assert not prove(context, base, model, FP32, gold).tree.ok
    assert not prove(context, base, model, FP32, gold).tree.ok
    _, whole = made(tiny_base, "mistral", sliding_window=None)
    other = Context(create_run("other", "", context.run.path), context.recipe, context.log)
    assert prove(other, base, whole, FP32, gold).tree.ok


def test_the_stricter_of_two() -> None:
    yes, no = Check(True, "equal"), Check(False, "apart")
    one, other = Paths(packed=yes, chunked=no), Paths(packed=no, chunked=yes, tree=yes)
    both = one.strictest(other)
    assert (both.packed, both.chunked) == (no, no)
    assert both == Paths(packed=no, chunked=no)


def write_opt(folder: Path) -> Path:
    """The tiny model's folder with an OPT in it."""
    tiny.write_model(folder)
    base = models.resolve(recipes.Model(id=str(folder)))
    model = build("opt", len(base.tokenizer), bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model.save_pretrained(folder)  # type: ignore[operator]
    return folder


def test_a_leaking_model_goes_through_every_stage(
    cpt: Command, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    """One document a row in every stage, said in the header facts, and a verdict at the end."""
    path = tmp_path / "opt.toml"
    path.write_text(tiny.recipe_text(write_opt(tmp_path / "m"), tiny_files, gate=True))
    done = cpt("run", str(path), "--plain")
    assert done.returncode in (0, 4, 5), done.stdout + done.stderr
    (run,) = list_runs()
    facts = facts_of(run)
    for stage in ("probe", "baseline", "train", "gate"):
        assert "one document a row" in facts[stage]["attention"], facts
        assert facts[stage]["loss"].startswith("fused linear cross-entropy, checked: off")
    assert facts["baseline"]["choices"] == facts["gate"]["choices"]
    assert facts["gate"]["choices"].startswith("an item in one pass, checked")


def facts_of(run: Run) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for event in read_all(run.events_path):
        if isinstance(event, Facts):
            found.setdefault(event.stage, {}).update(event.facts)
    return found


def test_every_architecture_is_listed() -> None:
    assert {*SLOW, "bert"} == set(CONFIGS)
