"""Tries against one gold set, counted by real runs: another training counts, a replay does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.runs.run import Run, create_run, list_runs
from tests import tiny
from tests.faults.driving import alarms, recipe, walk

VERDICTS = (0, 4, 5)


@pytest.fixture(scope="module")
def text(tiny_model: Path, tiny_files: dict[str, Path]) -> str:
    return recipe(tiny_model, tiny_files, gate=True)


@pytest.fixture(scope="module")
def first_home(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one judged run and its count; tests work on copies."""
    home = tmp_path_factory.mktemp("tries") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(home))
        judged(text)
    return home


@pytest.fixture
def run(first_home: Path, private_home: Path) -> Run:
    """The judged run in this test's own home."""
    shutil.copytree(first_home, private_home)
    (found,) = list_runs()
    return found


def judged(text: str) -> tuple[Run, dict[str, Any]]:
    run = create_run("try", text)
    assert walk(run).code in VERDICTS
    return run, made(run, "gate")


def made(run: Run, stage: str) -> dict[str, Any]:
    found = run.read_artifact(stage)
    assert found is not None
    return dict(found)


def test_another_training_is_another_try_and_a_replay_is_not(run: Run, text: str) -> None:
    assert made(run, "gate")["tries"] == 1
    assert judged(text)[1]["tries"] == 1
    seed = text.replace("[train]", "[train]\nseed = 7")
    assert seed != text
    other = judged(seed)[1]
    assert other["tries"] == 2
    assert other["p_adjusted"] >= other["p_value"]
    declared = judged(text.replace("[gate]", "[gate]\nearlier_tries = 3"))[1]
    assert declared["tries"] == 6  # another registration of the first training, and three more


def test_a_broken_count_is_one_alarm_and_no_crash(run: Run, text: str, private_home: Path) -> None:
    assert not [said for said in alarms(run) if "tries" in said]
    (file,) = (private_home / "tries").iterdir()
    file.write_bytes(b"\x00 not a line\n" + file.read_bytes())
    again, verdict = judged(text)
    (said,) = [said for said in alarms(again) if "tries" in said]
    assert "unreadable" in said
    assert "earlier_tries" in said
    assert verdict["tries"] == 2


def test_a_count_that_was_removed_is_said_on_resume(run: Run, private_home: Path) -> None:
    (file,) = (private_home / "tries").iterdir()
    file.unlink()
    run.request("judge")
    assert walk(run).code in VERDICTS
    (said,) = [said for said in alarms(run) if "tries" in said]
    assert "does not have this run" in said


def test_what_was_forgotten_has_an_interval(run: Run) -> None:
    verdict = made(run, "gate")
    assert verdict["generic_low"] < verdict["generic_rise"] < verdict["generic_high"]
    trained = made(run, "train")["generic_rise"]
    assert verdict["generic_rise"] == pytest.approx(trained, abs=0.01)


def test_tags_of_the_gold_file_are_judged(
    tmp_path: Path, tiny_model: Path, tiny_files: dict[str, Path]
) -> None:
    rows = [json.loads(line) for line in tiny_files["gold"].read_text().splitlines()]
    tagged = [{**row, "tags": ["even" if n % 2 else "odd"]} for n, row in enumerate(rows)]
    files = {**tiny_files, "gold": tiny.write_jsonl(tmp_path / "gold.jsonl", tagged)}
    _, verdict = judged(recipe(tiny_model, files, gate=True))
    assert [row["tag"] for row in verdict["by_tag"]] == ["even", "odd"]
    assert sum(row["items"] for row in verdict["by_tag"]) == len(rows)
