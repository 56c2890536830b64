"""The list of runs and ready recipes on the home screen, read cheaply from files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import engine
from cpt_tui.terminal import now
from engine.formatting import format_short_duration
from engine.runs import events as ev
from engine.runs.launch import read_status
from engine.runs.run import Run, list_runs
from engine.stages import STAGES

TAIL_BYTES = 64 << 10


@dataclass(frozen=True)
class RunRow:
    """One run in words."""

    run: Run
    state: str
    stage: str
    outcome: str
    age: str


@dataclass(frozen=True)
class _End:
    """What the end of a log says."""

    outcome: str = ""
    stage: str = ""
    ended: bool = False
    t: float = 0.0


_CACHE: dict[Path, tuple[tuple[int, int], _End]] = {}


def run_rows(home: Path | None, limit: int = 200) -> list[RunRow]:
    """All runs, newest first; unreadable ones are left out."""
    rows = []
    for run in list_runs(home)[:limit]:
        try:
            rows.append(run_row(run))
        except OSError:
            continue
    return rows


def run_row(run: Run) -> RunRow:
    """State, stage, outcome and age of a run, from its heartbeat and the end of its log."""
    status, end = read_status(run), log_end(run)
    changed = end.t or run.recipe_path.stat().st_mtime
    age = format_short_duration(max(0.0, now() - changed))
    if status.alive:
        return RunRow(run, status.state, status.stage or end.stage, "", age)
    if not end.t and status.state == "none":
        return RunRow(run, "draft", "interview", "", age)
    if end.ended:
        state = {"FAILED": "failed", "STOPPED": "stopped"}.get(end.outcome, "ended")
        return RunRow(run, state, end.stage, end.outcome, age)
    return RunRow(run, "interrupted", end.stage or status.stage, "", age)


def log_end(run: Run) -> _End:
    """The newest stage and outcome, from the last block of the log; cached by its size."""
    try:
        info = run.events_path.stat()
    except OSError:
        return _End()
    key = (info.st_mtime_ns, info.st_size)
    held = _CACHE.get(run.path)
    if held is None or held[0] != key:
        held = _CACHE[run.path] = (key, _read_end(run, info.st_size))
    return held[1]


def _read_end(run: Run, size: int) -> _End:
    with run.events_path.open("rb") as handle:
        handle.seek(max(0, size - TAIL_BYTES))
        data = handle.read(TAIL_BYTES)
    outcome, stage, ended, t = "", "", False, 0.0
    for line in data.splitlines():
        event = ev.parse(line)
        if event is None:
            continue
        t = event.t or t
        if isinstance(event, ev.RunStarted):
            outcome, ended = "", False
        elif isinstance(event, ev.RunEnded):
            outcome, ended = event.outcome, True
        elif isinstance(event, (ev.StageStarted, ev.StageDone, ev.Failed)):
            stage = event.stage
        elif isinstance(event, ev.TrainStep) and not stage:
            stage = {"train": "train"}.get(event.series, event.series)
    return _End(outcome, stage, ended, t)


def planned_stages(run: Run) -> tuple[str, ...]:
    """The stages the run's last worker was started for: what a resume goes on with."""
    stages: tuple[str, ...] = ()
    try:
        with run.events_path.open("rb") as handle:
            for line in handle:
                if b'"kind":"run.started"' in line:
                    event = ev.parse(line)
                    if isinstance(event, ev.RunStarted):
                        stages = tuple(s for s in event.stages if isinstance(s, str))
    except OSError:
        pass
    return stages or STAGES


def recipe_files() -> list[Path]:
    """Ready recipes: those of the installed wheel, else those of the checkout."""
    package = Path(os.path.abspath(engine.__file__)).parent  # noqa: PTH100
    installed = package / "_recipes"
    folder = installed if installed.is_dir() else package.parent / "recipes"
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []
