"""Driving real workers: start, wait for a moment, stop, go on, and read what they said."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TypeVar

import pytest

from engine.files import sha256_file
from engine.runs import launch
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, Event, Facts, RunEnded, TrainStep, read_all
from engine.runs.run import Run
from engine.stages import STAGES
from engine.worker.__main__ import work
from tests import tiny

Kind = TypeVar("Kind", bound=Event)


def recipe(model: Path, files: dict[str, Path], extra: str = "", gate: bool = False) -> str:
    """The tiny recipe without its pilot; ``extra`` goes into ``[train]``."""
    text = tiny.recipe_text(model, files, extra, gate)
    return text.replace("[probe]", "[probe]\npilot = false")


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def events(run: Run, kind: type[Kind]) -> list[Kind]:
    return [e for e in read_all(run.events_path) if isinstance(e, kind)]


def steps(run: Run) -> list[TrainStep]:
    return [e for e in events(run, TrainStep) if e.series == "train"]


def header(run: Run) -> dict[str, str]:
    """What training says is on, later facts over earlier ones, as viewers show it."""
    told: dict[str, str] = {}
    for event in events(run, Facts):
        told.update(event.facts if event.stage == "train" else {})
    return told


def alarms(run: Run) -> list[str]:
    return [e.message for e in events(run, Alarm)]


def finish(run: Run, stages: tuple[str, ...] = STAGES, seconds: float = 120) -> RunEnded:
    """Start (or go on with) a run and wait for its end."""
    before = len(events(run, RunEnded))
    launch.start(run, stages)
    return ended(run, before, seconds)


def walk(
    run: Run, stages: tuple[str, ...] = STAGES, watch: Callable[[Event], None] = lambda event: None
) -> RunEnded:
    """The worker's whole walk in this process: seconds less, where no process is at issue.

    ``watch`` sees each event as soon as it is written, and may then ask for a stop.
    """
    append = EventLog.append

    def watched(log: EventLog, event: Event) -> None:
        append(log, event)
        watch(event)

    signals = {number: signal.getsignal(number) for number in (SIGTERM, SIGINT, SIGHUP)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventLog, "append", watched)
        code = work(run, stages)
    for number, handler in signals.items():
        signal.signal(number, handler)
    last = events(run, RunEnded)[-1]
    assert last.code == code
    return last


def walk_until(run: Run, step: int) -> RunEnded:
    """The same, stopped on request once a step is through."""

    def watch(event: Event) -> None:
        if isinstance(event, TrainStep) and event.series == "train" and event.step >= step:
            run.request("stop")

    return walk(run, watch=watch)


def ended(run: Run, before: int = 0, seconds: float = 120) -> RunEnded:
    """Wait until the run has ended more than ``before`` times and its worker is gone."""
    wait_for(lambda: len(events(run, RunEnded)) > before, seconds)
    wait_for(lambda: not launch.read_status(run).alive)
    return events(run, RunEnded)[-1]


def start_until(run: Run, step: int) -> int:
    """Start the worker and return its pid once it has passed a step."""
    before = len(steps(run))
    pid = launch.start(run)
    wait_for(lambda: len(steps(run)) > before and steps(run)[-1].step >= step)
    return pid


def weights(run: Run) -> str:
    return sha256_file(run.path / "model" / "model.safetensors")


def edit(run: Run, old: str, new: str) -> None:
    """Change the run's own recipe, as a user with an editor would."""
    text = run.recipe_path.read_text()
    assert old in text
    run.recipe_path.write_text(text.replace(old, new, 1))
