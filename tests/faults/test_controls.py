"""Stop, pause, resume and checkpoint, asked of real workers from the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.errors import InputError
from engine.runs import launch
from engine.runs.events import (
    CheckpointSaved,
    Control,
    Event,
    Progress,
    RunEnded,
    SampleWritten,
    StageDone,
    TrainStep,
)
from engine.runs.run import Run, create_run
from tests.conftest import Command
from tests.faults.driving import (
    edit,
    ended,
    events,
    finish,
    header,
    recipe,
    start_until,
    steps,
    wait_for,
    walk,
    weights,
)

Files = dict[str, Path]
LONG = "epochs = 40\nwhy_epochs = 'a long enough run to be held in'\ncheckpoint_every = 1000\n"


def long_run(model: Path, files: Files) -> Run:
    text = recipe(model, files, LONG).replace("checkpoint_every = 4\n", "", 1)
    return create_run("held", text)


def answer(cpt: Command, *arguments: str) -> dict[str, Any]:
    done = cpt(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_pause_checkpoint_resume_and_stop_from_the_command_line(
    cpt: Command, tiny_model: Path, tiny_files: Files
) -> None:
    run = long_run(tiny_model, tiny_files)
    start_until(run, 3)
    held = answer(cpt, "pause", run.id)
    assert held["done"]
    assert launch.read_status(run).paused
    assert cpt("pause", run.id).stderr.startswith(f"cpt: Run {run.id} is paused already")
    saved = answer(cpt, "checkpoint", run.id)
    assert (saved["done"], saved["step"]) == (True, held["step"])
    assert events(run, CheckpointSaved)[-1].step == held["step"] == steps(run)[-1].step
    on = answer(cpt, "resume", run.id, "--detach")
    assert on["done"]
    wait_for(lambda: steps(run)[-1].step > held["step"])
    assert not launch.read_status(run).paused
    with pytest.raises(InputError, match="is not paused"):
        launch.ask(run, "resume")
    running = cpt("checkpoint", run.id)
    assert "saved a checkpoint at step" in running.stdout
    assert answer(cpt, "stop", run.id)["done"]
    assert ended(run).code == 6
    gone = cpt("pause", run.id)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "is not running; nothing to pause" in gone.stderr


def test_resume_of_a_paused_run_follows_it_to_its_end(
    cpt: Command, tiny_model: Path, tiny_files: Files
) -> None:
    run = create_run("held", recipe(tiny_model, tiny_files))
    launch.start(run)
    starting = launch.read_status(run)  # seconds before the worker can say anything itself
    assert (starting.alive, starting.state) == (True, "starting")
    wait_for(lambda: launch.read_status(run).stage == "train" or events(run, TrainStep))
    assert answer(cpt, "pause", run.id)["done"]
    done = cpt("resume", run.id, "--plain")
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"{run.id} goes on" in done.stdout
    assert "run ended" in done.stdout


def test_other_stages_hold_too_and_have_no_checkpoint(tiny_model: Path, tiny_files: Files) -> None:
    """Scan, probe, packing and the gate's seeds: where they report progress."""
    run = create_run("held", recipe(tiny_model, tiny_files, gate=True))
    seen: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Control) and event.action == "paused":
            run.request("resume")
        if isinstance(event, (Progress, TrainStep)):
            stage = event.stage if isinstance(event, Progress) else "train"
            if stage not in seen:
                seen.append(stage)
                run.request("pause")

    assert walk(run, watch=watch).code in (0, 3, 4, 5)
    paused = [e for e in events(run, Control) if e.action == "paused"]
    assert {"scan", "probe", "baseline", "pack", "train", "gate"} <= set(seen)
    assert len(paused) == len(seen) == sum(e.action == "resumed" for e in events(run, Control))
    assert all(e.seconds < 60 for e in events(run, StageDone))


def test_an_eta_and_a_budget_do_not_count_a_pause(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("held", recipe(tiny_model, tiny_files))

    def watch(event: Event) -> None:
        if isinstance(event, Control) and event.action == "paused":
            time.sleep(5)
            run.request("resume")
        if isinstance(event, TrainStep) and event.series == "train" and event.step == 2:
            run.request("pause")

    walk(run, watch=watch)
    total = steps(run)[-1].total
    after = next(e for e in steps(run) if e.step == 3)
    spent = after.t - steps(run)[0].t
    assert spent > 5
    assert after.eta_s is not None
    assert after.eta_s < 5 / 3 * (total - 3)  # what the pause alone would have made of it


def test_a_second_signal_quits_at_once(tiny_model: Path, tiny_files: Files) -> None:
    """A held worker hears no first one in the middle of a step; the second needs no step."""
    run = long_run(tiny_model, tiny_files)
    pid = start_until(run, 3)
    worker = psutil.Process(pid)
    worker.suspend()  # both are pending by the time it goes on
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    worker.resume()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6
    assert events(run, RunEnded) == []
    assert not launch.read_status(run).alive


@pytest.mark.slow
def test_a_second_signal_ends_a_job_of_several_processes(
    tiny_model: Path, tiny_files: Files
) -> None:
    """Rank 1 is held still, so the job cannot reach its next step: only the second ends it."""
    whole = create_run("whole", recipe(tiny_model, tiny_files))
    assert walk(whole).code == 3
    text = recipe(tiny_model, tiny_files).replace("[launch]", "[launch]\nprocesses = 2")
    run = create_run("job", text)
    pid = start_until(run, 5)
    members = psutil.Process(pid).children(recursive=True)
    assert len(members) == 3
    second = next(p for p in members if p.environ().get("RANK") == "1")
    second.suspend()
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    time.sleep(3)
    assert launch.read_status(run).alive
    assert all(p.is_running() for p in members)
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6
    wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in members), 60)
    assert {e.step for e in events(run, SampleWritten)} == {0}  # rank 0 alone wrote them
    edit(run, "processes = 2", "processes = 2\nstrategy = 'fsdp2'")
    assert finish(run, seconds=300).code == 3
    told = header(run)
    assert told["processes"].startswith("FSDP2")
    assert told["samples"] == "off: fsdp2 shards the model"
    assert {e.step for e in events(run, SampleWritten)} == {0}
    worst = max(
        abs((a.loss or 9) - (b.loss or 0))
        for a, b in zip({e.step: e for e in steps(run)}.values(), steps(whole), strict=True)
    )
    assert worst < 1e-4
    assert weights(run)
