"""A second run with new tokens, from its first run to the judged model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.runs.events import Facts, VocabPoint
from engine.runs.run import Run, create_run
from tests import tiny
from tests.faults.driving import edit, events, finish, recipe, steps, walk, walk_until, weights

LORA = (
    ('method = "full"\nwhy_full = "tiny"\ntrain_embeddings = true\n', ""),
    ("lr = 1e-3\n", "lr = 3e-3\n"),
)


def artifact(run: Run, stage: str) -> Any:
    return json.loads(run.artifact_path(stage).read_text())


@dataclass(frozen=True)
class World:
    """Corpora, tied and untied models, and a finished first run of each."""

    files: dict[str, Path]
    models: dict[bool, Path]
    first: dict[bool, Run]

    def second(self, tied: bool, vocab: str = "", **options: Any) -> str:
        """The tiny recipe with new tokens; few occurrences have to do for its few words."""
        text = recipe(self.models[tied], self.files, **options)
        limits = "[probe.thresholds]\nvocab_occurrences = 20\nfertility_problem = 1.5\n"
        text = text.replace("[pack]", f"{limits}[pack]", 1)
        return f'{text}\n[vocab]\nextend = true\nfirst_run = "{self.first[tied].path}"\n{vocab}'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    files = tiny.write_corpora(folder / "corpora")
    models = {tied: tiny.write_model(folder / str(tied), tied=tied) for tied in (True, False)}
    first = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        for tied, model in models.items():
            first[tied] = create_run("first", recipe(model, files))
            walk(first[tied])
            assert first[tied].artifact_path("report").is_file()
    return World(files, models, first)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_second_run_trains_new_tokens_and_ships_them(
    world: World, tied: bool, method: str
) -> None:
    """From the choice of tokens to a model that plain transformers loads; one of them is judged."""
    gate = tied and method == "full"
    text = world.second(tied, gate=gate)
    for old, new in LORA if method == "lora" else ():
        text = text.replace(old, new)
    run, first, model = create_run("second", text), world.first[tied], world.models[tied]
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
    report = run.report_path.read_text()
    assert "held-out bits/byte, same text" in report
    assert "new rows trained alone" in report


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_stopped_run_goes_on_bit_for_bit(world: World, method: str) -> None:
    """Stopped among the steps that train new rows alone, and again behind them."""
    text = world.second(True, "rows_share = 0.3\n")
    for old, new in LORA if method == "lora" else ():
        text = text.replace(old, new)
    whole, cut = create_run("whole", text), create_run("cut", text)
    walk(whole)
    alone = artifact(whole, "train")["vocab"]["rows_steps"]
    total = artifact(whole, "train")["steps"]
    assert 2 <= alone < total - 3
    assert walk_until(cut, alone - 1).outcome == "STOPPED"
    assert walk_until(cut, alone + 1).outcome == "STOPPED"
    assert walk(cut).outcome == "NOT YET"
    assert weights(cut) == weights(whole)
    measured = [artifact(run, "train")["vocab"] for run in (whole, cut)]
    assert measured[0] == measured[1]
    losses = [{s.step: s.loss for s in steps(run)} for run in (whole, cut)]
    assert losses[0] == losses[1]


def test_a_changed_vocabulary_is_not_resumed(world: World) -> None:
    run = create_run("second", world.second(True))
    assert walk_until(run, 3).outcome == "STOPPED"
    edit(run, "[vocab]\n", "[vocab]\nsize = 5\n")
    ended = walk(run)
    assert ended.outcome == "FAILED"
    assert "was made with another" in ended.message


REFUSED = {
    "another base": "trained another base",
    "another corpus": "read another corpus",
    "unfinished": "has not finished its training",
    "unknown": "matches no run",
    "cheap tokens": "below 2, so its tokens are not the bottleneck",
    "too few": "too few to train its row",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_without_a_case_for_it_the_vocabulary_stays(
    world: World, tmp_path: Path, fault: str
) -> None:
    """Each with one sentence, and before anything is trained."""
    text = world.second(True)
    first = str(world.first[True].path)
    if fault == "another base":
        text = text.replace(first, str(world.first[False].path))
    elif fault == "another corpus":
        other = tiny.write_jsonl(
            tmp_path / "other.jsonl", [{"text": t} for t in tiny.documents(20, 7, domain=True)]
        )
        text = text.replace(str(world.files["domain"]), str(other))
    elif fault == "unfinished":
        unfinished = create_run("unfinished", recipe(world.models[True], world.files))
        text = text.replace(first, unfinished.id)
    elif fault == "unknown":
        text = text.replace(first, "nobody-knows-this-run")
    elif fault == "cheap tokens":
        text = text.replace("fertility_problem = 1.5\n", "")
    else:
        text = text.replace("vocab_occurrences = 20", "vocab_occurrences = 5000")
    run = create_run("second", text)
    ended = walk(run)
    assert (ended.outcome, ended.code) == ("FAILED", 1)
    assert REFUSED[fault] in ended.message
    assert "\n" not in ended.message
    assert not steps(run)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_several_processes_train_new_rows_as_one(world: World, strategy: str) -> None:
    text = world.second(False).replace(*LORA[0]).replace(*LORA[1])
    alone = create_run("alone", text)
    walk(alone)
    several = create_run(
        "several", text.replace("[launch]\n", f'[launch]\nprocesses = 2\nstrategy = "{strategy}"\n')
    )
    assert finish(several, seconds=300).outcome == "NOT YET"
    one, other = ({s.step: s.loss for s in steps(run)} for run in (alone, several))
    assert one.keys() == other.keys()
    assert max(abs((one[n] or 0) - (other[n] or 0)) for n in one) < 1e-5
    points = [artifact(run, "train")["vocab"]["bits_per_byte"] for run in (alone, several)]
    assert points[1]["end"]["domain"] == pytest.approx(points[0]["end"]["domain"], abs=1e-5)
