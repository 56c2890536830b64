"""What a command says of a fault, and of runs, in words and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cpt_tui.commands.follow import listed, row
from cpt_tui.commands.process import home_first
from engine.runs import events as ev
from tests.cpt_tui import worlds


def cpt(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from cpt_tui.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_fault_is_json_where_json_was_asked_for(tmp_path: Path) -> None:
    """It was a line on stderr and nothing on stdout; and ``--home`` was no option there."""
    worlds.finished(tmp_path)
    worlds.World(tmp_path, "clinic-20260101-000001-beef").start()
    done = cpt(tmp_path, "watch", "clinic", "--once", "--json")
    fault = json.loads(done.stdout)
    assert (done.returncode, fault["code"]) == (1, 1)
    assert "matches 2 runs: clinic-2026" in fault["error"]
    assert fault["error"] in done.stderr
    plain = cpt(tmp_path, "watch", "clinic", "--once")
    assert (plain.stdout, "matches 2 runs" in plain.stderr) == ("", True)


def test_a_usage_fault_is_json_too(tmp_path: Path) -> None:
    done = cpt(tmp_path, "runs", "--bogus", "--json")
    assert json.loads(done.stdout) == {"error": "No such option: --bogus", "code": 2}
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["runs", "--home", "/h", "--json"], ["--home", "/h", "runs", "--json"]),
        (["runs", "--home=/h"], ["--home=/h", "runs"]),
        (["--home", "/h", "runs"], ["--home", "/h", "runs"]),
        (["report", "--", "--home"], ["report", "--", "--home"]),
        (["runs"], ["runs"]),
    ],
)
def test_home_may_follow_the_command(given: list[str], understood: list[str]) -> None:
    assert home_first(given) == understood


def test_the_list_of_runs_has_a_header_ages_and_what_became_of_them(tmp_path: Path) -> None:
    stopped = worlds.mid_training(tmp_path, upto=5, alive=False)
    stopped.emit(ev.RunEnded(outcome="STOPPED", code=6, message="Stopped on request"))
    done = worlds.finished(tmp_path / "b").run
    head, first, second = listed([stopped.run, done])
    assert head.split() == ["run", "state", "stage", "age", "what"]
    assert first.split()[1:3] == ["stopped", "train"]
    assert "smol-135m on letters" in first
    assert second.split()[1:3] == ["EARNED", "report"]
    assert "forgetting amber" in second
    assert row(stopped.run)["state"] == "stopped"
    assert listed([]) == []
