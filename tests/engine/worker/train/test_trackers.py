"""Trackers: the curves reach a real one; one that fails, hangs or is missing costs an alarm."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, EvalPoint, TrainStep
from engine.runs.run import Run, create_run
from engine.worker.train import trackers
from engine.worker.train.trackers import Trackers
from tests.faults.driving import alarms, events, recipe, steps, walk

Files = dict[str, Path]
WANDB = """
import time
class Settings:
    def __init__(self, **options): pass
class Log:
    def log(self, values, step): {log}
    def finish(self): pass
def init(**options):
    {init}
    return Log()
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of the path of the processes that a test starts."""
    folder = tmp_path / "modules"
    folder.mkdir()
    root = str(Path(__file__).parents[4])
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{root}")
    return folder


def wandb(folder: Path, log: str = "pass", init: str = "pass") -> None:
    (folder / "wandb.py").write_text(WANDB.format(log=log, init=init))


def point(step: int) -> TrainStep:
    rates = {"lr": 1e-3, "grad_norm": 1.5, "tokens_per_s": 10.0}
    return TrainStep(step=step, total=9, tokens=step, loss=2.0 / step, **rates)


def logged(run: Run) -> EventLog:
    log = EventLog(run.events_path)
    log.append(point(1))
    return log


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [p for p in found if "engine.worker.train.tracker_process" in " ".join(p.cmdline())]


def test_the_curves_reach_tensorboard(tmp_path: Path, modules: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the tracker's own package is not installed",
    )
    run, said = create_run("t", ""), list[str]()
    log, all_ = logged(run), Trackers(run, said.append)
    all_.start(["tensorboard"])
    for step in range(2, 40):
        log.append(point(step))
        log.append(EvalPoint(step=step, domain=1.0 + step, generic=None))
        log.append(Alarm(level="note", stage="train", message="no number"))
    log.append(TrainStep(**{**vars(point(40)), "series": "pilot 1e-3", "loss": 9.0}))
    all_.close()
    assert said == []
    reader = accumulator.EventAccumulator(
        str(run.path / "trackers" / "tensorboard"), size_guidance={"tensors": 0}
    )
    reader.Reload()
    found = {
        name: [(e.step, round(e.tensor_proto.float_val[0], 4)) for e in reader.Tensors(name)]
        for name in reader.Tags()["tensors"]
    }
    # From where training began: the step before it was another process's.
    assert found["train/loss"] == [(step, round(2.0 / step, 4)) for step in range(2, 40)]
    assert found["heldout/domain"] == [(step, 1.0 + step) for step in range(2, 40)]
    assert "heldout/generic" not in found
    assert children() == []


@pytest.mark.parametrize(
    ("log", "init", "sentence"),
    [
        ("raise OSError('no network')", "pass", "OSError: no network"),
        ("pass", "raise RuntimeError('log in first')", "RuntimeError: log in first"),
        ("pass", "import no_such_module", "pip install 'cpt-tui[trackers]'"),
        ("pass", "import os; os.abort()", "ended with code -6"),
    ],
)
def test_a_tracker_that_fails_is_one_alarm(
    tmp_path: Path, modules: Path, log: str, init: str, sentence: str
) -> None:
    wandb(modules, log, init)
    run, said = create_run("t", ""), list[str]()
    events_, all_ = logged(run), Trackers(run, said.append)
    all_.start(["wandb"])
    events_.append(point(2))
    end = time.monotonic() + 60
    while not said and time.monotonic() < end:
        all_.looked = 0.0
        all_.look()
        time.sleep(0.05)
    for _ in range(3):
        all_.looked = 0.0
        all_.look()
    all_.close()
    (alarm,) = said
    assert "the tracker wandb is off" in alarm
    assert sentence in alarm
    assert children() == []


def test_a_tracker_that_hangs_is_ended(tmp_path: Path, modules: Path) -> None:
    wandb(modules, log="time.sleep(1e6)")
    run, said = create_run("t", ""), list[str]()
    events_, all_ = logged(run), Trackers(run, said.append, hang=2.0)
    all_.start(["wandb"])
    events_.append(point(2))
    slowest, end = 0.0, time.monotonic() + 60
    while not said and time.monotonic() < end:
        all_.looked, began = 0.0, time.process_time()
        all_.look()
        slowest = max(slowest, time.process_time() - began)
        time.sleep(0.05)
    assert "silent for" in said[0]
    assert slowest < 0.05
    assert children() == []


def test_training_goes_on_past_a_hanging_tracker(
    tiny_model: Path, tiny_files: Files, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes no loss, is told once, and nothing of it is left behind."""
    wandb(modules, log="time.sleep(1e6)")
    monkeypatch.setattr(trackers, "GRACE_SECONDS", 1.0)
    plain = create_run("plain", recipe(tiny_model, tiny_files))
    run = create_run("t", recipe(tiny_model, tiny_files, "trackers = ['wandb']\n"))
    assert [walk(one).code for one in (plain, run)] == [3, 3]
    assert [e.loss for e in steps(run)] == [e.loss for e in steps(plain)]
    (told,) = [a for a in alarms(run) if "tracker" in a]
    assert "wandb is off: its last points were not taken within 1 s" in told
    assert {e.level for e in events(run, Alarm) if "tracker" in e.message} == {"amber"}
    assert children() == []


def test_a_tracker_ends_with_its_worker(tmp_path: Path, modules: Path) -> None:
    """A killed worker closes the pipe; what hangs then is ended by its own timer."""
    wandb(modules)
    run = create_run("t", "")
    logged(run)
    all_ = Trackers(run, lambda why: None)
    all_.start(["wandb"])
    process = all_.working[0].process
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
