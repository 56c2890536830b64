"""A worker killed at random moments is resumed unaided, to bitwise the same weights.

What is killed is a process of its own; the whole run and what goes on are walked in this one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.files import private_dir
from engine.runs import launch
from engine.runs.run import Run, create_run
from engine.worker.train.checkpoint import verify
from tests import tiny
from tests.conftest import Command
from tests.faults.driving import (
    alarms,
    ended,
    recipe,
    start_until,
    steps,
    wait_for,
    walk,
    weights,
)

LONG = "epochs = 4\nwhy_epochs = 'a long enough run to be killed in'\n"


def make_run(name: str, unbroken: dict[str, Any]) -> Run:
    return create_run(name, recipe(unbroken["model"], unbroken["files"], LONG))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unbroken")
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    os.environ["CPT_HOME"] = str(folder / "home")
    run = create_run("whole", recipe(model, files, LONG))
    walk(run)
    losses = {e.step: e.loss for e in steps(run)}
    return {"model": model, "files": files, "weights": weights(run), "losses": losses}


def kill_at(run: Run, step: int, rng: random.Random) -> None:
    """SIGKILL the worker at a random moment after a step, perhaps in the middle of a save."""
    pid = start_until(run, step)
    time.sleep(rng.random() * 0.3)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not launch.read_status(run).alive)


def killed_and_resumed(unbroken: dict[str, Any], kills: int, seed: int) -> None:
    run = make_run("killed", unbroken)
    total = max(unbroken["losses"])
    rng = random.Random(seed)
    for step in sorted(rng.randrange(1, int(0.9 * total)) for _ in range(kills)):
        kill_at(run, step, rng)
    walk(run)
    assert weights(run) == unbroken["weights"]
    assert {e.step: e.loss for e in steps(run)} == unbroken["losses"]


def test_resumed_after_sigkill_is_bitwise_equal(unbroken: dict[str, Any]) -> None:
    killed_and_resumed(unbroken, kills=2, seed=0)


@pytest.mark.slow
def test_five_sigkills_at_random_moments(unbroken: dict[str, Any]) -> None:
    killed_and_resumed(unbroken, kills=5, seed=1)


def test_a_broken_checkpoint_is_set_aside(unbroken: dict[str, Any]) -> None:
    run = make_run("bitrot", unbroken)
    pid = start_until(run, 14)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not launch.read_status(run).alive)
    newest = sorted(run.checkpoints.glob("step-*"))[-1]
    data = bytearray((newest / "trainable.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "trainable.safetensors").write_bytes(data)
    assert not verify(newest)
    walk(run)
    assert weights(run) == unbroken["weights"]
    assert any("set aside" in m for m in alarms(run))
    assert list(run.checkpoints.glob("broken-*"))


def test_sigterm_saves_and_exits_6(unbroken: dict[str, Any], cpt: Command) -> None:
    run = make_run("term", unbroken)
    pid = start_until(run, 6)
    os.kill(pid, signal.SIGHUP)
    time.sleep(0.2)
    assert launch.read_status(run).alive
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6
    saved = max(int(p.name.removeprefix("step-")) for p in run.checkpoints.glob("step-*"))
    assert saved == steps(run)[-1].step
    walk(run)
    assert weights(run) == unbroken["weights"]


def test_pause_resume_and_stop(unbroken: dict[str, Any]) -> None:
    run = make_run("pause", unbroken)
    start_until(run, 4)
    run.request("pause")
    wait_for(lambda: launch.read_status(run).state == "paused")
    held = steps(run)[-1].step
    time.sleep(0.5)
    assert steps(run)[-1].step == held
    run.request("resume")
    wait_for(lambda: steps(run)[-1].step > held)
    launch.stop(run)
    wait_for(lambda: not launch.read_status(run).alive)
    walk(run)
    assert weights(run) == unbroken["weights"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 512 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_during_a_save(unbroken: dict[str, Any], small_disk: Path) -> None:
    """The checkpoint before it stays whole, nothing half-written is left, and it goes on."""
    run = make_run("full", unbroken)
    private_dir(run.checkpoints).rmdir()
    run.checkpoints.symlink_to(private_dir(small_disk / "checkpoints"))
    start_until(run, 6)
    wait_for(lambda: list(run.checkpoints.glob("step-*")))
    with suppress(OSError), (small_disk / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(1 << 20))
            filler.flush()
    last = ended(run)
    assert last.code == 1
    assert "No space left on the disk" in last.message
    kept = sorted(run.checkpoints.glob("step-*"))
    assert kept
    assert all(map(verify, kept))
    assert not list(run.checkpoints.glob(".tmp-*"))
    (small_disk / "filler").unlink()
    walk(run)
    assert weights(run) == unbroken["weights"]
