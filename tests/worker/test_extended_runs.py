"""A second run with new tokens, from its first run to the judged model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.events import Facts, VocabPoint
from engine.run import STAGES, Run, create_run
from tests import tiny
from tests.faults.driving import events, recipe, walk

UNGATED = tuple(stage for stage in STAGES if stage != "gate")
LORA = (
    ('method = "full"\nwhy_full = "tiny"\ntrain_embeddings = true\n', ""),
    ("lr = 1e-3\n", "lr = 3e-3\n"),
)


def second(model: Path, files: dict[str, Path], first: str, vocab: str = "", **options: Any) -> str:
    """The tiny recipe with new tokens; few occurrences have to do for its few words."""
    text = recipe(model, files, **options)
    text = text.replace(
        "[pack]", "[probe.thresholds]\nvocab_occurrences = 20\nfertility_problem = 1.5\n[pack]", 1
    )
    return text + f'\n[vocab]\nextend = true\nfirst_run = "{first}"\n{vocab}'


def first_run(model: Path, files: dict[str, Path], **options: Any) -> Run:
    run = create_run("first", recipe(model, files, **options))
    walk(run)
    assert run.artifact_path("report").is_file()
    return run


def artifact(run: Run, stage: str) -> Any:
    return json.loads(run.artifact_path(stage).read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("world")
    return {
        "files": tiny.write_corpora(folder / "corpora"),
        True: tiny.write_model(folder / "tied"),
        False: tiny.write_model(folder / "untied", tied=False),
    }


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_second_run_trains_new_tokens_and_ships_them(
    world: dict[str, Any], tied: bool, method: str
) -> None:
    model, files = world[tied], world["files"]
    gate = tied and method == "full"
    first = first_run(model, files, gate=gate)
    text = second(model, files, first.id, gate=gate)
    for old, new in LORA if method == "lora" else ():
        text = text.replace(old, new)
    run = create_run("second", text)
    ended = walk(run)
    outcomes = ("EARNED", "TIE", "HURT") if gate else ("NOT YET",)
    assert ended.outcome in outcomes, ended.message

    made, trained = artifact(run, "extend"), artifact(run, "train")
    assert made["tokens"] > 4
    before, after = made["tokens_per_document"]["domain"]
    assert after < 0.9 * before
    assert (
        artifact(run, "pack")["ledger"]["text tokens"]
        < (artifact(first, "pack")["ledger"]["text tokens"])
    )
    points = [e.point for e in events(run, VocabPoint)]
    assert points == ["before", "init", "rows", "end"]
    bits = trained["vocab"]["bits_per_byte"]
    assert bits["init"]["domain"] > bits["rows"]["domain"] > bits["end"]["domain"]

    model_folder = run.path / "model"
    shipped = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    base = AutoTokenizer.from_pretrained(model)
    said = " zorvik plimo, trasket"
    assert tokenizer.decode(tokenizer(said)["input_ids"]) == said
    assert len(tokenizer(said)["input_ids"]) < len(base(said)["input_ids"])
    assert len(tokenizer) == len(base) + made["tokens"] == shipped.config.vocab_size
    same = shipped.get_input_embeddings().weight is shipped.get_output_embeddings().weight
    assert same == tied
    if gate:
        assert any("new tokens" in e.facts.get("tokens", "") for e in events(run, Facts))
    if method == "lora":  # only new rows of the embeddings moved, and they did
        old = AutoModelForCausalLM.from_pretrained(run.path / "extended", dtype=torch.float32)
        for getter in ("get_input_embeddings", "get_output_embeddings"):
            now, then = (getattr(m, getter)().weight for m in (shipped, old))
            assert torch.equal(now[: made["first"]], then[: made["first"]])
            moved = (now != then)[made["first"] :].any(dim=1).sum()
            assert moved >= made["tokens"] - made["on_the_way"]  # the others stand nowhere
