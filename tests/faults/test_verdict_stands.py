"""A verdict is replaced by a whole new one, and not by one that could not be made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.files import sha256_file
from engine.runs.events import Event, RunEnded, StageStarted
from engine.runs.run import Run, create_run
from tests import tiny
from tests.conftest import Command
from tests.faults.driving import edit, events, recipe, walk

VERDICTS = (0, 4, 5)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("judged")
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = create_run("judged", recipe(model, files, gate=True))
        assert walk(run).code in VERDICTS
    return run


@pytest.fixture
def run(judged: Run, private_home: Path, tmp_path: Path) -> Run:
    """A copy of the judged run, on a corpus that the test may change."""
    copy = Run(Path(shutil.copytree(judged.path, private_home / "runs" / judged.id)))
    source = judged.path.parents[2] / "c" / "domain.jsonl"
    moved = Path(shutil.copy(source, tmp_path / "domain.jsonl"))
    edit(copy, str(source), str(moved))
    return copy


def corpus(run: Run) -> Path:
    text = run.recipe_path.read_text()
    return Path(text.split('[corpus]\npath = "')[1].split('"')[0])


def remove(path: Path) -> None:
    path.unlink()


def rewrite(path: Path) -> None:
    """Another text of the same size."""
    path.write_bytes(path.read_bytes().replace(b"river", b"rivet"))


def kept(run: Run) -> dict[str, str]:
    """What a verdict is: artifacts, manifests, report, and the tables of the recipe."""
    files = [*(run.path / "artifacts").glob("*.json"), run.recipe_path, *run.path.glob("report.*")]
    return {file.name: sha256_file(file) for file in files}


@pytest.mark.parametrize("harm", [remove, rewrite])
@pytest.mark.parametrize("command", [("gate",), ("finish",), ("arms", "--cpt-seeds")])
def test_a_command_whose_corpus_is_gone_or_changed_leaves_all_as_it_was(
    run: Run, cpt: Command, harm: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    before, log = kept(run), run.events_path.read_bytes()
    harm(corpus(run))
    name, *options = command
    done = cpt(name, run.id, *options)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(corpus(run)) in done.stderr
    assert kept(run) == before
    assert run.events_path.read_bytes() == log
    assert run.read_artifact("gate") is not None
    assert cpt("report", run.id).returncode == 0


@pytest.mark.parametrize("harm", [remove, rewrite])
def test_a_worker_that_cannot_judge_again_leaves_all_as_it_was(
    run: Run, harm: Callable[[Path], None]
) -> None:
    """The same where the text goes after the command has looked."""
    before = kept(run)
    harm(corpus(run))
    run.request("judge")
    assert walk(run).code == 1
    assert kept(run) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('hurts = "unreadable"', 'hurts = "format"'),
        ("lr = 1e-3\nbatch_tokens", "lr = 2e-3\nbatch_tokens"),
    ],
)
def test_a_recipe_that_changed_after_the_verdict_does_not_take_its_place(
    run: Run, old: str, new: str
) -> None:
    """The override goes too, so that another answer would stop the run before training."""
    edit(run, old, new)
    if "hurts" in old:
        edit(run, 'override = "a test of the machinery"\n', "")
    before = kept(run)
    end = walk(run)
    assert end.code == 1
    assert "verdict and report stand" in end.message
    assert {name: kept(run)[name] for name in before if "report" in name or "gate" in name} == {
        name: value for name, value in before.items() if "report" in name or "gate" in name
    }
    assert kept(run)["recipe.toml"] == before["recipe.toml"]
    assert kept(run)["train.json"] == before["train.json"]


def test_the_old_verdict_stands_until_the_new_one_is_whole(run: Run) -> None:
    before = kept(run)
    gate = run.read_artifact("gate")
    shutil.rmtree(run.path / "artifacts" / "arms")

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "gate":
            run.request("stop")

    run.request("judge")
    assert walk(run, watch=stop).code == 6
    assert kept(run)["gate.json"] == before["gate.json"]
    assert run.read_artifact("gate") == gate
    assert kept(run)["report.md"] == before["report.md"]
    run.request("judge")
    assert walk(run).code in VERDICTS
    assert run.read_artifact("gate") == gate
    assert len(events(run, RunEnded)) == 3
