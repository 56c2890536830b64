"""The worker's context: the last heartbeat says that it ended."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from engine.recipe.toml import validate
from engine.runs.event_log import EventLog
from engine.runs.run import Run
from engine.worker.job import context as contexts
from engine.worker.job.context import Context


def make_context(folder: Path, extra: str = "") -> Context:
    run = Run(folder)
    values = {"model": {"id": "m"}, "corpus": {"path": "c"}}
    return Context(run, validate(values, extra, "test"), EventLog(run.events_path))


class SlowDisk(Run):
    """A run whose heartbeat is held up between reading the state and writing it."""

    @property
    def status_path(self) -> Path:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
        return super().status_path


def test_the_last_heartbeat_says_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that had begun must not be written after the end was."""
    monkeypatch.setattr(contexts, "HEARTBEAT_SECONDS", 0.005)
    context = make_context(tmp_path)
    context.run = SlowDisk(tmp_path)
    context.start_heartbeat()
    time.sleep(0.03)
    context.end()
    time.sleep(0.15)
    assert json.loads(context.run.status_path.read_text())["state"] == "ended"
