"""Samples beside the base's: right, kept over a resume, and without a trace in the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.runs.events import EvalPoint, SampleWritten
from engine.runs.run import Run, create_run
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.scoring.generate import continued
from engine.worker.step.rows import Rows
from engine.worker.train.samples import NEW_TOKENS, PROMPT_TOKENS, choose
from tests.faults.driving import edit, events, header, recipe, walk, walk_until, weights

Files = dict[str, Path]
FP32 = Precision("fp32", "a test")


def lora(model: Path, files: Files, extra: str) -> str:
    """Adapters with dropout: one draw more from the random generator would change the weights."""
    text = recipe(model, files, f"eval_every = 4\n{extra}")
    text = text.replace('method = "full"\n', "").replace("train_embeddings = true\n", "")
    return text + "[lora]\nrank = 4\ndropout = 0.2\n"


def test_samples_are_right_kept_over_a_stop_and_leave_no_trace(
    tiny_model: Path, tiny_files: Files
) -> None:
    without = create_run("without", lora(tiny_model, tiny_files, "samples = 0"))
    walk(without)
    run = create_run("with", lora(tiny_model, tiny_files, ""))
    assert walk_until(run, 9).code == 6
    before = [e.base for e in events(run, SampleWritten)]
    kept = (run.path / "artifacts" / "samples.json").stat().st_mtime_ns
    walk(run)
    assert weights(run) == weights(without)
    assert events(without, SampleWritten) == []
    assert header(without)["samples"] == "off"
    assert header(run)["samples"].startswith(f"3 at each evaluation, {NEW_TOKENS} tokens")
    assert (run.path / "artifacts" / "samples.json").stat().st_mtime_ns == kept

    told = events(run, SampleWritten)
    first, last = told[:3], told[-3:]
    assert {e.stage for e in told} == {"train"}
    assert [e.step for e in first] == [0, 0, 0]
    assert last[0].step == events(run, EvalPoint)[-1].step
    assert [e.base for e in first] == before[:3] == [e.base for e in last]
    assert [e.current for e in first] == [e.base for e in first]
    for folder, wrote in ((tiny_model, "base"), (run.path / "model", "current")):
        assert continuations(folder, run) == [getattr(e, wrote) for e in last]


def continuations(folder: Path, run: Run) -> list[str]:
    """What a saved model writes after the run's prompts, found anew."""
    from engine.recipe.toml import load_recipe
    from engine.worker.packing.batches import heldout_rows

    settings = load_recipe(run.recipe_path)[0]
    base = models.resolve(settings.model)
    held = (
        heldout_rows(run.path / "pack" / "heldout-domain"),
        heldout_rows(run.path / "pack" / "heldout-generic"),
    )
    prompts = choose(held, 3, settings.train.seed)
    model = models.load_folder(folder)
    out = continued(model, prompts, NEW_TOKENS, base.eos, FP32, fast=False)
    found: list[str] = base.tokenizer.batch_decode(
        out.sequences[:, PROMPT_TOKENS:], skip_special_tokens=True
    )
    return found


def test_looking_on_may_change_over_a_resume(tiny_model: Path, tiny_files: Files) -> None:
    """Samples and trackers do not make another run of it; what weights are made from does."""
    run = create_run("less", recipe(tiny_model, tiny_files, "samples = 1\n"))
    walk_until(run, 2)
    edit(run, "samples = 1", "samples = 0")
    assert walk(run).code == 3
    assert header(run)["samples"] == "off"


def rows(lengths: list[int], first: int) -> Rows:
    """One document of each length, a row each, ids counting from ``first``."""
    size = max(lengths)
    ids = np.arange(first, first + size * len(lengths)).reshape(len(lengths), size)
    inside = np.arange(size) < np.array(lengths)[:, None]
    labels = np.where(inside & (np.arange(size) > 0), ids, -100)
    return Rows(ids, np.broadcast_to(np.arange(size), ids.shape), labels)


@pytest.mark.parametrize(("count", "domain"), [(1, 1), (2, 1), (4, 3)])
def test_the_last_prompt_is_generic_and_long_documents_come_first(count: int, domain: int) -> None:
    held = rows([8, 60, 60, 60], 0), rows([60, 60], 10_000)
    prompts = choose(held, count, seed=0)
    assert [p[0] < 10_000 for p in prompts] == [True] * domain + [False] * (count - domain)
    assert {len(p) for p in prompts} == {PROMPT_TOKENS}
    assert prompts == choose(held, count, seed=0)
    assert choose((replace(held[0]), held[1]), count, seed=1) != prompts


def test_short_documents_give_short_prompts_of_one_length() -> None:
    assert [len(p) for p in choose((rows([8, 9], 0), rows([60], 500)), 3, 0)] == [4, 4, 4]
