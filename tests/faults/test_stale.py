"""Files of a run that were changed, lost or outdated behind its back: found, and made anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from engine.files import home
from engine.runs.events import StageDone
from engine.runs.run import Run, create_run
from engine.stages import CHECK_STAGES, STAGES
from tests import tiny
from tests.faults.driving import alarms, edit, events, recipe, walk, walk_until, weights

Files = dict[str, Path]


def ran(run: Run) -> set[str]:
    """The stages of the last walk that did work."""
    walks: list[list[StageDone]] = [[]]
    for event in events(run, StageDone):
        if event.stage == "scan":
            walks.append([])
        walks[-1].append(event)
    return {e.stage for e in walks[-1] if not e.skipped}


@pytest.fixture
def whole(tiny_model: Path, tiny_files: Files) -> Run:
    run = create_run("whole", recipe(tiny_model, tiny_files))
    assert walk(run).code == 3
    return run


def test_a_changed_pack_is_packed_again(whole: Run, tiny_model: Path, tiny_files: Files) -> None:
    """Rows that were rewritten while the run was stopped are not trained on."""
    run = create_run("pack", recipe(tiny_model, tiny_files))
    assert walk_until(run, 5).code == 6
    path = run.path / "pack" / "domain" / "rows.bin"
    path.write_bytes(path.read_bytes()[::-1])
    assert walk(run).code == 3
    assert ran(run) == {"pack", "train", "report"}
    assert any("pack/domain/rows.bin changed" in message for message in alarms(run))
    assert weights(run) == weights(whole)
    assert run.read_artifact("train") == whole.read_artifact("train")


@pytest.mark.parametrize("fault", ["zeroed", "lost"])
def test_a_changed_model_is_saved_again(whole: Run, fault: str) -> None:
    before, folder = weights(whole), whole.path / "model"
    if fault == "lost":
        shutil.rmtree(folder)
    else:
        path = folder / "model.safetensors"
        tensors = {name: 0 * tensor for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
        assert weights(whole) != before
    assert walk(whole).code == 3
    assert ran(whole) == {"train", "report"}
    assert weights(whole) == before


def test_a_cleared_cache_is_filled_again(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("cache", recipe(tiny_model, tiny_files))
    walk(run, CHECK_STAGES)
    shutil.rmtree(home() / "cache" / "tokens")
    assert walk(run).code == 3
    assert ran(run) == {"scan", "pack", "train", "report"}


def test_an_answer_that_opens_the_question_has_it_probed(
    tiny_model: Path, tiny_files: Files
) -> None:
    """A NO-GO by answer skips the probe; another answer must not inherit that."""
    text = recipe(tiny_model, tiny_files).replace('override = "a test of the machinery"\n', "")
    sizes = "thresholds = { tokens_noise = 10, tokens_small = 20, tokens_marginal = 30 }"
    text = text.replace("[probe]", f"[probe]\n{sizes}").replace('"unreadable"', '"format"')
    run = create_run("answer", text)
    assert walk(run, CHECK_STAGES).code == 3
    assert run.read_artifact("probe")["fluency"] is None
    edit(run, 'hurts = "format"', 'hurts = "unreadable"')
    walk(run, CHECK_STAGES)
    assert run.read_artifact("probe")["fluency"] is not None
    assert walk(run, CHECK_STAGES).code == 3
    assert ran(run) == set()


def test_a_smaller_gold_set_is_scanned_again(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("gate", recipe(tiny_model, tiny_files, gate=True))
    walk(run, CHECK_STAGES)
    before = run.read_artifact("scan")["gate"]
    edit(run, "plausible_gain = 100", "plausible_gain = 100\nmax_items = 8")
    edit(run, "[gate.probe]", "[gate.probe]\nmax_examples = 4")
    walk(run, CHECK_STAGES)
    after = run.read_artifact("scan")["gate"]
    assert (after["gold_items"], after["sft_examples"]) == (8, 4)
    assert after["mde"] > before["mde"]


def test_less_mix_back_is_priced_again(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("price", recipe(tiny_model, tiny_files))
    walk(run, CHECK_STAGES)
    before = run.read_artifact("probe")["cost"]["tokens"]
    edit(run, "sequence_length = 64", "sequence_length = 64\nmix_back = 0.5")
    walk(run, CHECK_STAGES)
    assert run.read_artifact("probe")["cost"]["tokens"] > 1.5 * before


def test_a_generic_pack_that_is_not_used_is_no_part_of_the_data(
    tiny_model: Path, tiny_files: Files
) -> None:
    text = recipe(tiny_model, tiny_files)
    none = text.replace("= 64", '= 64\nmix_back = 0\nwhy_no_mix_back = "a test"')
    run, fresh = create_run("before", text), create_run("fresh", none)
    stages = tuple(stage for stage in STAGES if stage != "gate")
    walk(run, stages)
    shutil.rmtree(run.checkpoints)
    run.recipe_path.write_text(none)
    walk(run, stages)
    walk(fresh, stages)
    assert run.read_artifact("pack")["sha256"] == fresh.read_artifact("pack")["sha256"]
    assert weights(run) == weights(fresh)


def test_a_tokenizer_of_another_model_is_refused(
    tiny_model: Path, tiny_files: Files, tmp_path: Path
) -> None:
    """Ids beyond the embeddings are a crash in the middle of the probe, or worse on a GPU."""
    larger = tiny.write_model(tmp_path / "larger", vocabulary=500)
    mixed = Path(shutil.copytree(tiny_model, tmp_path / "mixed"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(larger / name, mixed / name)
    run = create_run("mixed", recipe(mixed, tiny_files))
    end = walk(run)
    assert end.code == 1
    assert "the model's own tokenizer" in end.message
    assert "Traceback" not in json.dumps(alarms(run))
