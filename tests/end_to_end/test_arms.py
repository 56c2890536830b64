"""More arms of a judged run, end to end: made, kept, gone on with, and told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cpt_tui.workspace import orders
from engine.errors import InputError
from engine.recipe.toml import load_recipe
from engine.runs.events import ArmSeed, Event, Facts, Progress, RunEnded, StageStarted
from engine.runs.run import Run, create_run
from tests import tiny
from tests.faults import driving

ARMS = """
[arms]
cpt_seeds = true
checkpoints = [0.5]
[arms.control]
path = "{control}"
"""


def write(folder: Path, documents: int = 160, lora: bool = False, arms: str = ARMS) -> Run:
    """A run with every kind of arm; the control is generic text that no other part reads."""
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    other = [{"text": text} for text in tiny.documents(documents, 9)]
    control = tiny.write_jsonl(folder / "c" / "control.jsonl", list(other))
    text = driving.recipe(model, files, gate=True) + arms.format(control=control)
    if lora:
        text = text.replace('method = "full"\nwhy_full = "tiny"\ntrain_embeddings = true\n', "")
    return create_run("arms", text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with every kind of arm, walked to its end; tests read it."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = write(folder)
        driving.walk(run)
    return run


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run without arms through its gate."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = write(folder, arms="")
        driving.walk(run)
    return run


@pytest.fixture
def run(judged: Run, private_home: Path) -> Run:
    """A copy of the judged run: each test goes on from the verdict."""
    shutil.copytree(judged.path.parents[1], private_home)
    return Run(private_home / "runs" / judged.id)


def control_file(folder: Path, documents: int = 160) -> Path:
    rows = [{"text": text} for text in tiny.documents(documents, 9)]
    return tiny.write_jsonl(folder / "control.jsonl", list(rows))


def made(run: Run) -> dict[str, Any]:
    found = run.read_artifact("arms")
    assert found is not None
    return dict(found)


@pytest.mark.parametrize("lora", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_arm_is_trained_scored_and_told(
    request: pytest.FixtureRequest, tmp_path: Path, lora: bool
) -> None:
    if lora:
        run = write(tmp_path, lora=True)
        driving.walk(run)
    else:
        run = request.getfixturevalue("whole")
    end = driving.events(run, RunEnded)[-1]
    assert end.outcome in ("EARNED", "TIE", "HURT"), end.message
    found = made(run)
    assert [row["name"] for row in found["rows"]] == ["50%", "control", "seed 1"]
    checkpoint, control, seed = found["rows"]
    train = run.read_artifact("train")
    assert train is not None
    assert checkpoint["tokens"] == pytest.approx(train["tokens"] / 2, rel=0.1)
    assert control["tokens"] == pytest.approx(train["tokens"], rel=0.05)
    assert seed["seeds"] == [1]
    assert len(seed["per_item"]) == 1
    assert seed["domain_loss"] == pytest.approx(train["domain_after"], abs=0.3)
    assert found["recipe"]["seeds"] == 2
    assert len(found["sentences"]) == 3
    for words in (found["sentences"][0], "| control |", "speaks for the recipe"):
        assert words in run.report_path.read_text()
    assert not list((run.path / "arms").glob("*/model"))
    assert not list((run.path / "arms").glob("*/checkpoints/*"))
    said = [e for e in driving.events(run, ArmSeed) if e.arm == "control"]
    assert [e.seed for e in said] == [0, 1]
    told = {e.label.split(":")[0] for e in driving.events(run, Progress) if e.stage == "arms"}
    assert {"control", "seed 1"} <= told


def test_asked_for_later_they_cost_only_themselves_and_are_made_once(
    run: Run, tmp_path: Path
) -> None:
    end = driving.events(run, RunEnded)[-1]
    assert run.read_artifact("arms") is None
    before, steps = driving.weights(run), len(driving.steps(run))
    orders.prepare_arms(run, str(control_file(tmp_path)), cpt_seeds=False)
    again = driving.walk(run)
    assert (again.outcome, again.message) == (end.outcome, end.message)
    assert [row["name"] for row in made(run)["rows"]] == ["control"]
    assert driving.weights(run) == before
    assert len(driving.steps(run)) == steps
    orders.prepare_arms(run, "", cpt_seeds=True)
    facts = len([e for e in driving.events(run, Facts) if "control" in e.facts])
    driving.walk(run)
    assert [row["name"] for row in made(run)["rows"]] == ["control", "seed 1"]
    assert len([e for e in driving.events(run, Facts) if "control" in e.facts]) == facts


def test_what_else_the_compute_could_have_bought_is_shown(run: Run) -> None:
    """No CPT is trained for it; both arms' curve, the base's own SFT, merges and their guard."""
    steps = len(driving.steps(run))
    orders.prepare_arms(run, "", cpt_seeds=False, show=["curve", "more-sft", "merges"])
    driving.walk(run)
    found = made(run)
    rows = {row["name"]: row for row in found["rows"]}
    assert found["missing"] == {}
    assert len(rows) == 13
    assert len(driving.steps(run)) == steps
    assert rows["more SFT"]["sft_steps"] > rows["base at 50% of the steps"]["sft_steps"]
    assert 0 < rows["more SFT"]["compute_share"] <= 1
    quarter = rows["cpt at 25% of the examples"]
    assert quarter["sft_examples"] < rows["more SFT"]["sft_examples"]
    merged = [rows[f"merge with {share}% CPT"] for share in (25, 50, 75)]
    assert all(row["generic_rise"] is not None for row in merged)
    assert merged[0]["per_item"] != merged[2]["per_item"] or (
        merged[0]["generic_rise"] != merged[2]["generic_rise"]
    )
    assert found["worth"]["examples"] == quarter["sft_examples"] * 4
    text = run.report_path.read_text()
    for words in ("By SFT steps CPT leads by", "In labelled examples", "of the last checkpoints"):
        assert words in text
    orders.prepare_arms(run, "", cpt_seeds=False)
    facts = len(driving.events(run, Facts))
    driving.walk(run)
    assert made(run)["rows"] == found["rows"]
    assert len(driving.events(run, Facts)) < facts + 10
    with pytest.raises(InputError, match="--show luck"):
        orders.prepare_arms(run, "", cpt_seeds=False, show=["luck"])


def test_arms_that_are_stopped_go_on_and_give_the_same_numbers(whole: Run, tmp_path: Path) -> None:
    cut = write(tmp_path)
    stops = []

    def watch(event: Event) -> None:
        """Stop in the control's training, in its scoring, and in a seed's training."""
        points = (("control: training", 8), ("control: control arm, seed 2", 1), ("seed 1: tr", 4))
        if isinstance(event, Progress) and len(stops) < len(points):
            label, done = points[len(stops)]
            if event.label.startswith(label) and event.done >= done:
                stops.append(event.label)
                cut.request("stop")

    for _ in range(3):
        assert driving.walk(cut, watch=watch).code == 6
    assert driving.walk(cut, watch=watch).outcome != "STOPPED"
    assert len(stops) == 3
    one, two = made(whole), made(cut)
    assert [row["per_item"] for row in one["rows"]] == [row["per_item"] for row in two["rows"]]
    assert one == two


def test_an_arm_that_cannot_be_made_is_said_and_holds_nothing_up(run: Run, tmp_path: Path) -> None:
    """A control too small, and a checkpoint that no training kept; then other text is given."""
    end = driving.events(run, RunEnded)[-1]
    with run.recipe_path.open("a") as recipe:
        recipe.write("\n[arms]\ncheckpoints = [0.3]\n")
    small = control_file(tmp_path, documents=40)
    orders.prepare_arms(run, str(small), cpt_seeds=False)
    again = driving.walk(run)
    assert (again.outcome, again.message) == (end.outcome, end.message)
    missing = made(run)["missing"]
    assert "give a larger text" in missing["control"]
    assert "trained before [arms] checkpoints asked" in missing["30%"]
    assert "was not made" in run.report_path.read_text()
    control_file(tmp_path)
    driving.walk(run)
    assert [row["name"] for row in made(run)["rows"]] == ["control"]


def test_a_control_that_is_gone_takes_nothing_with_it(tmp_path: Path) -> None:
    """Scored, its row stays; not scored, its arm is missing; the verdict stands either way."""
    run = write(tmp_path, arms='\n[arms.control]\npath = "{control}"\n')
    end, control = driving.walk(run), tmp_path / "c" / "control.jsonl"
    (row,) = made(run)["rows"]
    labels = [e for e in driving.events(run, Progress) if e.label.startswith("control: reading")]
    baseline = next(e for e in driving.events(run, StageStarted) if e.stage == "baseline")
    assert labels
    assert all(e.t <= baseline.t for e in labels), "read while the hub's token is at hand"
    away = control.rename(tmp_path / "away.jsonl")
    assert driving.walk(run).message == end.message
    assert made(run)["rows"] == [row]
    orders.prepare_arms(run, str(away), cpt_seeds=False)
    away.unlink()
    assert driving.walk(run).message == end.message
    assert "does not exist" in made(run)["missing"]["control"]


def test_the_corpus_itself_is_no_control(run: Run, tmp_path: Path) -> None:
    corpus = Path(load_recipe(run.recipe_path)[0].corpus.path)
    copy = Path(shutil.copy(corpus, tmp_path / "control.jsonl"))
    orders.prepare_arms(run, str(copy), cpt_seeds=False)
    driving.walk(run)
    assert "stands in the corpus too" in made(run)["missing"]["control"]


@pytest.mark.slow
def test_a_control_whose_text_changed_is_trained_again(tmp_path: Path) -> None:
    run = write(tmp_path, arms='\n[arms.control]\npath = "{control}"\n')
    driving.walk(run)
    (first,) = made(run)["rows"]
    other = [{"text": text} for text in tiny.documents(170, 10)]
    tiny.write_jsonl(tmp_path / "c" / "control.jsonl", list(other))
    driving.walk(run)
    (second,) = made(run)["rows"]
    assert first["corpus_sha256"] != second["corpus_sha256"]
    assert first["domain_loss"] != second["domain_loss"]


@pytest.mark.slow
def test_another_control_while_one_was_in_training(tmp_path: Path) -> None:
    """What the first one left in its folder is not gone on with."""
    run = write(tmp_path, arms='\n[arms.control]\npath = "{control}"\n')

    def watch(event: Event) -> None:
        if isinstance(event, Progress) and event.label == "control: training" and event.done > 8:
            run.request("stop")

    assert driving.walk(run, watch=watch).code == 6
    other = [{"text": text} for text in tiny.documents(170, 10)]
    path = tiny.write_jsonl(tmp_path / "c" / "other.jsonl", list(other))
    orders.prepare_arms(run, str(path), cpt_seeds=False)
    driving.walk(run)
    assert not made(run)["missing"]


@pytest.mark.slow
def test_the_seeds_runs_take_the_rate_that_the_cpt_arm_chose(tmp_path: Path) -> None:
    run = write(tmp_path, arms="\n[arms]\ncpt_seeds = true\n")
    driving.edit(run, "lr = 1e-3\nbatch = 8", "lrs = [1e-5, 1e-3]\nbatch = 8")
    driving.walk(run)
    gate = run.read_artifact("gate")
    assert gate is not None
    assert [row["lr"] for row in made(run)["rows"]] == [gate["probe"]["lr"]]


def test_a_control_on_the_command_line_belongs_to_this_folder_and_replaces_the_old_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_file(tmp_path)
    with run.recipe_path.open("a") as recipe:
        recipe.write('\n[arms.control]\npath = "x.jsonl"\ntext_column = "body"\n')
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    orders.prepare_arms(run, "../cont*.jsonl", cpt_seeds=False)
    recipe_now, _ = load_recipe(run.recipe_path)
    assert recipe_now.arms.control is not None
    assert recipe_now.arms.control.path == str(tmp_path / "cont*.jsonl")
    assert recipe_now.arms.control.text_column is None


def test_arms_are_refused_before_a_verdict_and_where_none_is_asked_for(
    run: Run, tmp_path: Path
) -> None:
    new = create_run("new", run.recipe_path.read_text())
    with pytest.raises(InputError, match="no verdict yet"):
        orders.prepare_arms(new, "", cpt_seeds=True)
    with pytest.raises(InputError, match="--control TEXT"):
        orders.prepare_arms(run, "", cpt_seeds=False)
    with pytest.raises(InputError, match="nowhere"):
        orders.prepare_arms(run, str(tmp_path / "nowhere"), cpt_seeds=False)
    assert "[arms" not in run.recipe_path.read_text()
