"""How training ends: a stop at the worst moment is resumed, an end for good is final."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.runs.events import EvalPoint, Event, Facts, StageStarted, TrainStep
from engine.runs.run import Run, create_run
from tests import tiny
from tests.faults.driving import (
    edit,
    events,
    recipe,
    steps,
    walk,
    walk_until,
    weights,
)

Files = dict[str, Path]


def test_a_stop_during_the_first_evaluation(tiny_model: Path, tiny_files: Files) -> None:
    """Its checkpoint has no optimizer state yet; the run goes on to the same weights."""
    text = recipe(tiny_model, tiny_files)
    whole, stopped = create_run("whole", text), create_run("stopped", text)
    assert walk(whole).code == 3

    def watch(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "train":
            stopped.request("stop")

    assert walk(stopped, watch=watch).code == 6
    assert [p.name for p in stopped.checkpoints.iterdir()] == ["step-00000000"]
    assert walk(stopped).code == 3
    assert weights(stopped) == weights(whole)
    assert stopped.read_artifact("train") == whole.read_artifact("train")


@pytest.mark.parametrize("at", ["start", "end"])
def test_an_evaluation_cut_by_a_stop_is_made_on_resume(
    tiny_model: Path, tiny_files: Files, at: str
) -> None:
    """The losses before and after training are those of its first and last step."""
    text = recipe(tiny_model, tiny_files)
    whole, stopped = create_run("whole", text), create_run("stopped", text)
    walk(whole)
    total = steps(whole)[-1].step

    def watch(event: Event) -> None:
        facts = isinstance(event, Facts) and event.stage == "train"
        last = isinstance(event, TrainStep) and event.step == total and event.series == "train"
        if facts if at == "start" else last:
            stopped.request("stop")

    assert walk(stopped, watch=watch).code == 6
    assert all(e.step != (0 if at == "start" else total) for e in events(stopped, EvalPoint))
    walk(stopped)
    assert stopped.read_artifact("train") == whole.read_artifact("train")


def test_rows_without_a_target_do_not_end_the_run(tiny_model: Path, tmp_path: Path) -> None:
    """Documents of exactly one row leave an EOS alone; one such row was a crash on every resume."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = [
        tokenizer.decode(tokenizer(" ".join(tiny.documents(3, seed)))["input_ids"][:128])
        for seed in range(30)
    ]
    exact = [{"text": t} for t in texts if len(tokenizer(t)["input_ids"]) == 128]
    files = tiny.write_corpora(tmp_path / "c")
    files["domain"] = tiny.write_jsonl(tmp_path / "c" / "exact.jsonl", list(exact))
    text = recipe(tiny_model, files, "micro_batch = 1\n")
    run = create_run("eos", text.replace("sequence_length = 64", "sequence_length = 128"))
    assert walk(run).code == 3
    assert len(exact) > 10
    assert all(e.loss for e in steps(run))


@pytest.fixture
def overflowing(tmp_path: Path, tiny_model: Path) -> Path:
    """A base whose loss is finite and whose gradient norm is not: every step is broken."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(tiny_model)
    model.model.norm.weight.data *= 1e25
    model.save_pretrained(tmp_path / "m")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def final(run: Run, sentence: str) -> None:
    """The run has ended for good: code 1, and a resume says the same and trains nothing."""
    first = walk(run)
    trained = len(steps(run))
    again = walk(run)
    assert (first.code, again.code) == (1, 1)
    assert sentence in first.message
    assert "new run" in first.message
    assert again.message == first.message
    assert len(steps(run)) == trained


def test_broken_steps_end_the_run_for_good(overflowing: Path, tiny_files: Files) -> None:
    run = create_run("broken", recipe(overflowing, tiny_files))
    final(run, "not finite for 3 steps in a row")
    assert len(steps(run)) == 3
    assert all(e.grad_norm is None for e in steps(run))


def test_broken_steps_are_counted_over_a_stop(overflowing: Path, tiny_files: Files) -> None:
    run = create_run("broken", recipe(overflowing, tiny_files))
    assert walk_until(run, 2).code == 6
    assert walk(run).code == 1
    assert len(steps(run)) == 3


def test_a_red_guard_that_stops_ends_the_run_for_good(tiny_model: Path, tiny_files: Files) -> None:
    text = recipe(tiny_model, tiny_files, "stop_on_red = true\neval_every = 3\n")
    limits = "thresholds = { forgetting_green = -9.0, forgetting_amber = -8.0 }"
    run = create_run("red", text.replace("[probe]", f"[probe]\n{limits}"))
    final(run, "guard is red")
    edit(run, "forgetting_amber = -8.0", "forgetting_amber = 90.0")
    assert walk(run).code == 1


def test_the_trained_model_keeps_the_bases_cache(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("cache", recipe(tiny_model, tiny_files))
    walk(run)
    flags = [
        json.loads((folder / "config.json").read_text())["use_cache"]
        for folder in (tiny_model, run.path / "model")
    ]
    assert flags == [True, True]
