"""Packing in a whole run: caps that hold, stops that are heard, an order of the data's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.runs.events import Event, Progress, StageDone
from engine.runs.run import Run, create_run
from engine.worker.packing import packs
from engine.worker.packing.packs import PackedRows
from tests import tiny
from tests.faults.driving import events, recipe, steps, walk, walk_until, weights

Files = dict[str, Path]


def test_caps_hold_where_one_document_is_larger(tiny_model: Path, tmp_path: Path) -> None:
    """Each document is larger than every cap: training, evaluation and pilot stay below theirs."""
    files = tiny.write_corpora(tmp_path / "c")
    for side, seed in (("domain", 1), ("generic", 2)):
        giants = [" ".join(tiny.documents(200, seed + 10 * n, side == "domain")) for n in range(10)]
        files[side] = tiny.write_jsonl(tmp_path / f"{side}.jsonl", [{"text": t} for t in giants])
    text = tiny.recipe_text(tiny_model, files, "max_tokens = 4000\n")
    run = create_run("cap", text)
    assert walk(run).code == 3
    pack = run.read_artifact("pack")
    assert 3900 <= pack["tokens"] <= 4000
    assert pack["ledger"]["tokens cut by the token cap"] > 10_000
    assert abs(pack["achieved_mix"] - 0.1) * pack["tokens"] <= pack["sequence_length"]
    caps = {"heldout-domain": 1000, "heldout-generic": 1000}
    caps |= {"pilot-domain": 2000, "pilot-generic": 2000}
    for name, cap in caps.items():
        assert int(PackedRows(run.path / "pack" / name).fill.sum()) <= cap, name


@pytest.mark.parametrize("key", ["max_tokens", "eval_tokens"])
def test_a_cap_that_leaves_nothing_is_said(tiny_model: Path, tmp_path: Path, key: str) -> None:
    """A tokenizer with BOS and a cap of one token: not a row, and no crash in the middle."""
    files = tiny.write_corpora(tmp_path / "c")
    model = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    end = "<|endoftext|>"
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": end, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {end: {"id": end, "ids": [0], "tokens": [end]}},
    }
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    text = recipe(model, files).replace("eval_tokens = 1000\n", "")
    run = create_run("cap", text.replace("[launch]", f"{key} = 1\n[launch]"))
    end_event = walk(run)
    assert end_event.code == 1
    assert key in end_event.message


def test_a_stop_while_packing_is_heard(
    tiny_model: Path, tiny_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "WINDOW", 8)
    run = create_run("stop", recipe(tiny_model, tiny_files))

    def watch(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "pack":
            run.request("stop")

    assert walk(run, watch=watch).code == 6
    assert [e for e in events(run, StageDone) if e.stage == "pack"] == []
    assert walk(run).code == 3


def trained(run: Run) -> tuple[str, list[float | None]]:
    return weights(run), [e.loss for e in steps(run)]


def test_the_order_of_the_data_is_its_own(tiny_model: Path, tiny_files: Files) -> None:
    """Recipes that differ only in the gate train alike, stopped and edited on the way or not."""
    text = recipe(tiny_model, tiny_files)
    other = text + "[gate]\nplausible_gain = 50\nseeds = [1, 2, 3, 4, 5, 6]\n"
    one, two = create_run("one", text), create_run("two", other)
    walk(one)
    walk(two)
    assert trained(one) == trained(two)
    edited = create_run("edited", text)
    assert walk_until(edited, 5).code == 6
    edited.recipe_path.write_text(other)
    assert walk(edited).code == 3
    assert trained(edited) == trained(one)
