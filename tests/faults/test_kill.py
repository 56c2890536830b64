"""A worker killed at random moments is resumed unaided, to bitwise the same weights."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from engine import launch
from engine.events import Alarm, TrainStep, read_all
from engine.run import Run, create_run, sha256_file
from engine.worker.checkpoint import verify
from tests import tiny
from tests.conftest import Command

STAGES = ("scan", "probe", "decide", "pack", "train", "report")


def recipe(model: Path, files: dict[str, Path], extra: str = "") -> str:
    extra = "epochs = 8\nwhy_epochs = 'a long enough run to be killed in'\n" + extra
    return tiny.recipe_text(model, files, extra).replace("[probe]", "[probe]\npilot = false")


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def steps(run: Run) -> list[TrainStep]:
    return [
        e for e in read_all(run.events_path) if isinstance(e, TrainStep) and e.series == "train"
    ]


def finish(run: Run) -> None:
    """Start (or go on with) a run and wait for its end."""
    launch.start(run)
    wait_for(lambda: run.report_path.exists() and not launch.read_status(run).alive, 120)


def weights(run: Run) -> str:
    return sha256_file(run.path / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("unbroken")
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    os.environ["CPT_HOME"] = str(folder / "home")
    run = create_run("whole", recipe(model, files))
    finish(run)
    losses = {e.step: e.loss for e in steps(run)}
    return {"model": model, "files": files, "weights": weights(run), "losses": losses}


def start_until(run: Run, step: int) -> int:
    """Start the worker and return its pid once it has passed a step."""
    before = len(steps(run))
    pid = launch.start(run)
    wait_for(lambda: len(steps(run)) > before and steps(run)[-1].step >= step)
    return pid


def kill_at(run: Run, step: int, rng: random.Random) -> None:
    """SIGKILL the worker at a random moment after a step, perhaps in the middle of a save."""
    pid = start_until(run, step)
    time.sleep(rng.random() * 0.3)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not launch.read_status(run).alive)


def killed_and_resumed(unbroken: dict[str, object], kills: int, seed: int) -> None:
    run = create_run("killed", recipe(unbroken["model"], unbroken["files"]))  # type: ignore[arg-type]
    total = max(unbroken["losses"])  # type: ignore[call-overload]
    rng = random.Random(seed)
    for step in sorted(rng.randrange(1, int(0.9 * total)) for _ in range(kills)):
        kill_at(run, step, rng)
    finish(run)
    assert weights(run) == unbroken["weights"]
    assert {e.step: e.loss for e in steps(run)} == unbroken["losses"]


def test_resumed_after_sigkill_is_bitwise_equal(unbroken: dict[str, object]) -> None:
    killed_and_resumed(unbroken, kills=2, seed=0)


@pytest.mark.slow
def test_five_sigkills_at_random_moments(unbroken: dict[str, object]) -> None:
    killed_and_resumed(unbroken, kills=5, seed=1)


def test_a_broken_checkpoint_is_set_aside(unbroken: dict[str, object]) -> None:
    run = create_run("bitrot", recipe(unbroken["model"], unbroken["files"]))  # type: ignore[arg-type]
    pid = start_until(run, 14)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not launch.read_status(run).alive)
    newest = sorted(run.checkpoints.glob("step-*"))[-1]
    data = bytearray((newest / "trainable.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "trainable.safetensors").write_bytes(data)
    assert not verify(newest)
    finish(run)
    assert weights(run) == unbroken["weights"]
    messages = [e.message for e in read_all(run.events_path) if isinstance(e, Alarm)]
    assert any("set aside" in m for m in messages)
    assert list(run.checkpoints.glob("broken-*"))


def test_sigterm_saves_and_exits_6(unbroken: dict[str, object], cpt: Command) -> None:
    run = create_run("term", recipe(unbroken["model"], unbroken["files"]))  # type: ignore[arg-type]
    pid = start_until(run, 6)
    os.kill(pid, signal.SIGHUP)
    time.sleep(0.2)
    assert launch.read_status(run).alive
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6
    saved = max(int(p.name.removeprefix("step-")) for p in run.checkpoints.glob("step-*"))
    assert saved == steps(run)[-1].step
    finish(run)
    assert weights(run) == unbroken["weights"]


def test_pause_resume_and_stop(unbroken: dict[str, object]) -> None:
    run = create_run("pause", recipe(unbroken["model"], unbroken["files"]))  # type: ignore[arg-type]
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
    finish(run)
    assert weights(run) == unbroken["weights"]
