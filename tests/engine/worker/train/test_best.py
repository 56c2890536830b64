"""The best checkpoint: kept beside the last ones, and the run's model if the recipe says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.recipe.sections import Train
from engine.runs.events import EvalPoint
from engine.runs.run import Run, create_run
from engine.worker.train.checkpoint import Checkpoints
from tests.faults.driving import alarms, edit, events, recipe, walk, walk_until

Files = dict[str, Path]
WILD = """
keep_best = true
eval_every = 2
schedule = 'constant'
clip = 100
betas = [0.0, 0.9]
max_tokens = 9000
"""
"""With a rate at which the loss falls, and then rises again."""


def run_of(model: Path, files: Files, extra: str, limit: float = 99.0) -> Run:
    text = recipe(model, files, WILD + extra).replace("lr = 1e-3", "lr = 0.5")
    limits = f"thresholds = {{ forgetting_green = {limit - 1}, forgetting_amber = {limit} }}"
    return create_run("best", text.replace("[probe]", f"[probe]\n{limits}"))


def kept(run: Run) -> list[int]:
    return [int(p.name.removeprefix("step-")) for p in Checkpoints(run.checkpoints).all()]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder)


def test_the_best_is_kept_over_a_stop_and_becomes_the_model(
    tiny_model: Path, tiny_files: Files
) -> None:
    run = run_of(tiny_model, tiny_files, "use = 'best'\n")
    walk_until(run, 7)
    walk(run)
    points = {e.step: e for e in events(run, EvalPoint) if e.series == "train"}
    best = min((e.domain or 9, step) for step, e in points.items() if step)[1]
    made: dict[str, Any] = run.read_artifact("train")
    assert best < made["steps"] - 4, "the test's rate does not overshoot"
    assert kept(run) == [best, made["steps"] - 2, made["steps"]]
    assert (made["used"], made["used_step"], made["best_step"]) == ("best", best, best)
    assert made["domain_after"] == points[best].domain
    assert made["generic_after"] == points[best].generic
    saved = weights_of(run.checkpoints / f"step-{best:08d}" / "trainable.safetensors")
    model = weights_of(run.path / "model" / "model.safetensors")
    assert all(torch.equal(model[name], saved[name]) for name in model)
    last = weights_of(run.checkpoints / f"step-{made['steps']:08d}" / "trainable.safetensors")
    assert not all(torch.equal(model[name], last[name]) for name in model)


def test_a_red_guard_has_no_best(tiny_model: Path, tiny_files: Files) -> None:
    run = run_of(tiny_model, tiny_files, "use = 'best'\n", limit=-9.0)
    walk(run)
    made = run.read_artifact("train")
    assert made
    assert (made["used"], made["used_step"], made["best_step"]) == ("last", made["steps"], None)
    assert any("red at every evaluation" in m for m in alarms(run))


def test_a_broken_best_is_said_and_not_used(tiny_model: Path, tiny_files: Files) -> None:
    run = run_of(tiny_model, tiny_files, "use = 'best'\n")
    walk(run)
    made = run.read_artifact("train")
    assert made
    path = run.checkpoints / f"step-{made['best_step']:08d}" / "trainable.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    (run.path / "model" / "model.safetensors").unlink()  # so that the stage runs again
    walk(run)
    again = run.read_artifact("train")
    assert again
    assert (again["used"], again["used_step"]) == ("last", made["steps"])
    assert any(
        f"the best checkpoint (step {made['best_step']}) is broken" in m for m in alarms(run)
    )


def test_use_best_needs_keep_best() -> None:
    with pytest.raises(ValueError, match="keep_best"):
        Train.model_validate({"use": "best"})


def test_one_more_checkpoint_is_part_of_the_predicted_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.worker.train import checkpoint

    asked: list[int] = []
    monkeypatch.setattr(checkpoint, "check_space", lambda folder, need: asked.append(need))
    model = torch.nn.Linear(100, 10)
    for best in (False, True):
        Checkpoints(tmp_path, 2, best).predict_space(model)
    assert asked[1] - asked[0] == 3 * 4 * (1000 + 10)


def changed_recipe(run: Run, model: Path, files: Files) -> None:
    edit(run, "lr = 1e-3", "lr = 2e-3")


def changed_corpus(run: Run, model: Path, files: Files) -> None:
    text = files["domain"].read_text().splitlines()
    files["domain"].write_text("\n".join(text[:-10]) + "\n")


def changed_tokenizer(run: Run, model: Path, files: Files) -> None:
    """Another rule, which gives this corpus the same tokens."""
    path = model / "tokenizer.json"
    path.write_text(path.read_text().replace('"normalizer": null', '"normalizer": {"type": "NFC"}'))


def changed_weights(run: Run, model: Path, files: Files) -> None:
    from transformers import LlamaForCausalLM

    loaded = LlamaForCausalLM.from_pretrained(model)
    with torch.no_grad():
        loaded.lm_head.weight.mul_(1.01)
    loaded.save_pretrained(model)


@pytest.mark.parametrize(
    ("change", "named", "others"),
    [
        (changed_recipe, "another recipe;", ["tokenizer", "corpus", "weights"]),
        (changed_corpus, "another corpus or packing", ["tokenizer", "weights", "another recipe"]),
        (changed_tokenizer, "its tokenizer changed", ["weights", "corpus", "another recipe"]),
        (changed_weights, "its weights changed", ["tokenizer", "corpus", "another recipe"]),
    ],
)
def test_a_resume_of_something_else_is_refused_by_name(
    tmp_path: Path, change: Any, named: str, others: list[str]
) -> None:
    from tests import tiny

    model, files = tiny.write_model(tmp_path / "m"), tiny.write_corpora(tmp_path / "c")
    run = create_run("changed", recipe(model, files))
    assert walk_until(run, 5).code == 6
    change(run, model, files)
    last = walk(run)
    assert last.code == 1
    assert named in last.message
    assert not any(other in last.message for other in others)
