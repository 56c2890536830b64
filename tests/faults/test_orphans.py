"""Which worker outlives the command that started it: that of a run, not that of a check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cpt_tui.commands.starting import stages_to_go
from engine.runs import launch
from engine.runs.events import RunEnded
from engine.runs.run import list_runs
from engine.stages import CHECK_STAGES
from tests.faults.driving import ended, events, recipe, wait_for


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_worker_of_a_killed_check_ends_and_that_of_a_run_does_not(
    command: str, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    """SIGKILL leaves the command no word to say; the worker is then stopped and can be resumed."""
    asked = [str(tiny_files["domain"]), "--model", str(tiny_model), "--no-pilot"]
    asked += ["--generic", str(tiny_files["generic"])]
    if command == "run":
        path = tmp_path / "recipe.toml"
        path.write_text(recipe(tiny_model, tiny_files))
        asked = [str(path), "--plain"]
    arguments = [sys.executable, "-c", "from cpt_tui.cli import main; main()", command, *asked]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    wait_for(lambda: list_runs() and launch.read_status(list_runs()[0]).alive)
    run = list_runs()[0]
    worker = psutil.Process(launch.read_status(run).pid)
    run.request("pause")  # it holds where it is, so that it cannot have ended by itself
    wait_for(lambda: launch.read_status(run).paused)
    process.kill()
    process.wait()
    if command == "run":
        run.request("resume")
        assert ended(run).outcome == "NOT YET"
        return
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    end = events(run, RunEnded)[-1]
    assert (end.outcome, end.code) == ("STOPPED", 6)
    assert f"cpt resume {run.id}" in end.message
    assert stages_to_go(run) == CHECK_STAGES  # a resume of a check measures, and does not train
    launch.start(run, CHECK_STAGES)
    assert ended(run, before=1).outcome == "NO-GO"
