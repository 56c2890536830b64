"""One of several processes is killed: the job ends at once, says so, and goes on elsewhere."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from engine.runs import launch
from engine.runs.events import Facts, RunEnded
from engine.runs.run import Run, create_run
from tests.faults.driving import (
    alarms,
    edit,
    ended,
    events,
    finish,
    recipe,
    start_until,
    steps,
    wait_for,
    walk,
)

Files = dict[str, Path]
LONG = "epochs = 6\nwhy_epochs = 'a long enough run to be killed in'\n"
CLOSE = 1e-4
"""Nats: sums in another order, over the whole run. Measured differences are below 1e-5."""
SECONDS = 60
"""Until all have ended; torchrun gives them ten, the rest is a busy machine."""


def job(name: str, model: Path, files: Files, processes: int, strategy: str) -> Run:
    text = recipe(model, files, LONG)
    launched = f"[launch]\nprocesses = {processes}\nstrategy = '{strategy}'"
    return create_run(name, text.replace("[launch]", launched))


def family(pid: int) -> dict[str, psutil.Process]:
    """The processes of a job: torchrun, and the ranks by number."""
    found = {}
    for process in psutil.Process(pid).children(recursive=True):
        found[process.environ().get("RANK", "torchrun")] = process
    return found


def kill_rank(run: Run, pid: int, rank: int) -> RunEnded:
    """SIGKILL one rank; every process of the job is gone soon, and the run's end was said."""
    members = family(pid)
    assert sorted(members) == ["0", "1", "torchrun"]
    before, killed = len(events(run, RunEnded)), time.monotonic()
    members[str(rank)].kill()
    last = ended(run, before, SECONDS)
    wait_for(lambda: not any(m.is_running() for m in members.values()), SECONDS)
    print(f"rank {rank} killed: all gone after {time.monotonic() - killed:.1f} s: {last.message}")
    assert last.code == 6
    assert alarms(run)[-1] == last.message
    assert f"cpt resume {run.id}" in last.message
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    return last


def same_losses(run: Run, whole: Run) -> None:
    """Every step, also those made twice, as in the unbroken run of one process."""
    expected = {e.step: e.loss for e in steps(whole)}
    worst = max(abs((e.loss or 9) - (expected[e.step] or 0)) for e in steps(run))
    print(f"largest difference over {len(steps(run))} steps: {worst:.2e} nats")
    assert {e.step for e in steps(run)} == set(expected)
    assert worst < CLOSE


@pytest.mark.slow
def test_a_killed_rank_ends_the_job_and_another_number_goes_on(
    tiny_model: Path, tiny_files: Files
) -> None:
    """DDP on 2 loses rank 1; FSDP2 on 2 goes on and is stopped by SIGTERM; 1 process ends it."""
    whole = create_run("whole", recipe(tiny_model, tiny_files, LONG))
    assert walk(whole).code == 3
    run = job("ranks", tiny_model, tiny_files, 2, "ddp")
    pid = start_until(run, 6)
    for member in (psutil.Process(pid), *family(pid).values()):
        member.send_signal(signal.SIGHUP)
    held = steps(run)[-1].step
    wait_for(lambda: steps(run)[-1].step > held + 2)
    assert "rank 1" in kill_rank(run, pid, 1).message

    edit(run, "strategy = 'ddp'", "strategy = 'fsdp2'")
    pid = start_until(run, steps(run)[-1].step + 3)
    before = len(events(run, RunEnded))
    os.kill(pid, signal.SIGTERM)
    assert ended(run, before).code == 6
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    saved = max(int(p.name.removeprefix("step-")) for p in run.checkpoints.glob("step-*"))
    assert saved == steps(run)[-1].step

    edit(run, "processes = 2", "processes = 1")
    assert finish(run).code == 3
    same_losses(run, whole)
    header = [e.facts["processes"] for e in events(run, Facts) if "processes" in e.facts]
    assert header[0].startswith("DistributedDataParallel, 2 processes")
    assert header[1].startswith("FSDP2 (fully_shard)")
    assert header[2] == "1 process"


@pytest.mark.slow
def test_rank_0_killed_under_fsdp2(tiny_model: Path, tiny_files: Files) -> None:
    """Rank 0 cannot speak any more: the process that started it does. FSDP2 then ends it."""
    whole = create_run("whole", recipe(tiny_model, tiny_files, LONG))
    walk(whole)
    run = job("first", tiny_model, tiny_files, 2, "fsdp2")
    pid = start_until(run, 6)
    assert "rank 0" in kill_rank(run, pid, 0).message
    assert not launch.read_status(run).alive
    assert finish(run, seconds=300).code == 3
    same_losses(run, whole)
    assert (run.path / "model" / "model.safetensors").is_file()
