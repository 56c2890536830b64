"""The list of runs and ready recipes on the home screen, read cheaply from files."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

import engine
from cpt_tui.terminal import now
from engine.files import open_regular
from engine.formatting import format_short_duration
from engine.recipe.seal import answers_digest
from engine.runs import events as ev
from engine.runs.launch import Status, read_status
from engine.runs.run import Run, list_runs
from engine.stages import CHECK_STAGES, STAGES

CHANGED = "answers changed: F5"
"""What every view says of a decision that was made on older answers."""
TAIL_BYTES = 64 << 10
MOST_RECIPE = 4 << 20
"""Bytes of a recipe that are read: what a run adds to it stays far below."""
RESUMABLE = ("interrupted", "stopped", "failed", "paused")
"""States of a run that a worker can go on with."""


@dataclass(frozen=True)
class RunRow:
    """One run in words."""

    run: Run
    state: str
    """``starting``, ``running``, ``paused``, ``draft``, ``ended``, or one of ``RESUMABLE``."""
    stage: str
    outcome: str
    age: str
    alive: bool = False
    guard: str = ""
    """The forgetting guard; empty where nothing is known of it."""
    changed: bool = False
    """An answer is newer than the run's decision."""
    about: str = ""
    """The model, and the text it reads."""
    fault: str = ""
    """What is wrong with its heartbeat or its log."""

    @property
    def word(self) -> str:
        """What a list says of the run: its verdict, or its state."""
        return self.outcome if self.state == "ended" and self.outcome else self.state

    @property
    def note(self) -> str:
        """What else must be seen in a list."""
        if self.fault:
            return self.fault
        if self.changed:
            return CHANGED
        return f"forgetting {self.guard}" if self.guard in ("amber", "red") else ""

    @property
    def short_note(self) -> str:
        """The same in eleven cells."""
        if self.fault:
            return "damaged"
        if self.changed:
            return "changed: F5"
        return f"guard {self.guard}" if self.guard in ("amber", "red") else ""


@dataclass(frozen=True)
class _End:
    """What the end of a log says."""

    outcome: str = ""
    stage: str = ""
    ended: bool = False
    t: float = 0.0
    guard: str = ""
    broken: int = 0
    """Lines that are not as they were written."""


@dataclass(frozen=True)
class _Intent:
    """What a recipe says, as far as a list tells it."""

    answers: str = ""
    about: str = ""


Stamp = tuple[int, int]
_CACHE: dict[Path, tuple[Stamp, _End]] = {}
_INTENTS: dict[Path, tuple[Stamp, _Intent]] = {}
_DECIDED: dict[Path, tuple[Stamp, str]] = {}
Kept = TypeVar("Kept")


def run_rows(home: Path | None, limit: int = 200) -> list[RunRow]:
    """All runs, newest first."""
    return [run_row(run) for run in list_runs(home)[:limit]]


def run_row(run: Run) -> RunRow:
    """A run as lists tell it; one whose files tell nothing is named all the same.

    Whatever one run's files hold, a list must show all others.
    """
    try:
        return _read_row(run)
    except Exception as error:
        return RunRow(run, "unreadable", "", "", "", about=type(error).__name__)


def _read_row(run: Run) -> RunRow:
    """The row of a run, from its heartbeat, the end of its log, and its recipe."""
    status, end = read_status(run), log_end(run)
    intent = kept(_INTENTS, run.recipe_path, _read_intent) or _Intent()
    changed_at = end.t or run.recipe_path.stat().st_mtime
    age = format_short_duration(max(0.0, now() - changed_at))
    state, stage, outcome = _state(status, end)
    early = not stage or stage in ("interview", *CHECK_STAGES)
    decided = kept(_DECIDED, run.artifact_path("decide"), _read_decided) if early else ""
    guard = status.guard or end.guard
    changed = bool(decided) and decided != intent.answers
    fault = status.fault or (ev.Unreadable.of(end.broken).message if end.broken else "")
    return RunRow(
        run, state, stage, outcome, age, status.alive, guard, changed, intent.about, fault
    )


def _state(status: Status, end: _End) -> tuple[str, str, str]:
    """(state, stage, outcome) in words."""
    if status.alive:
        return status.state, status.stage or end.stage, ""
    if not end.t and status.state == "none":
        return "draft", "interview", ""
    if end.ended:
        state = {"FAILED": "failed", "STOPPED": "stopped"}.get(end.outcome, "ended")
        return state, end.stage, end.outcome
    return "interrupted", end.stage or status.stage, ""


def is_interview(row: RunRow) -> bool:
    """Whether the run is a draft: nothing but measuring and deciding was ever planned."""
    if row.stage not in ("", "interview", *CHECK_STAGES):
        return False
    return not row.run.events_path.exists() or set(planned_stages(row.run)) <= set(CHECK_STAGES)


def kept(
    cache: dict[Path, tuple[Stamp, Kept]], path: Path, read: Callable[[Path], Kept]
) -> Kept | None:
    """What ``read`` makes of a file, read again only where it changed; None without a file."""
    try:
        info = path.stat()
        stamp = (info.st_mtime_ns, info.st_size)
        if path not in cache or cache[path][0] != stamp:
            cache[path] = (stamp, read(path))
    except OSError:
        return None
    return cache[path][1]


def _read_intent(path: Path) -> _Intent:
    """A recipe's answers and what it is about; nothing of one that is not TOML."""
    try:
        with open_regular(path) as handle:
            text = handle.read(MOST_RECIPE).decode("utf-8-sig")
        tables = tomllib.loads(text)
    except (ValueError, RecursionError):
        return _Intent()
    names = (tables.get("model"), "id"), (tables.get("corpus"), "path")
    model, corpus = (
        PurePath(str(table.get(key, ""))).name if isinstance(table, dict) else ""
        for table, key in names
    )
    about = f"{model} on {corpus}" if model and corpus else model or corpus
    return _Intent(answers_digest(text), about)


def _read_decided(path: Path) -> str:
    """The digest of the answers that a decision was made on."""
    try:
        with open_regular(path) as handle:
            found = json.loads(handle.read())
    except (ValueError, RecursionError):
        return ""
    return str(found.get("answers", "")) if isinstance(found, dict) else ""


def log_end(run: Run) -> _End:
    """The newest stage and outcome, from the last block of the log."""
    return kept(_CACHE, run.events_path, _read_end) or _End()


def _read_end(path: Path) -> _End:
    block = TAIL_BYTES
    while True:  # one event may be larger than a block: what is not in it may stand before it
        found, whole = _read_block(path, block)
        if whole or found.stage:
            return found
        block *= 8


def _read_block(path: Path, size: int) -> tuple[_End, bool]:
    """What the last bytes of a log say, and whether they are all of it."""
    with open_regular(path) as handle:
        start = max(0, handle.seek(0, os.SEEK_END) - size)
        handle.seek(start)
        data = handle.read(size)
    outcome, stage, ended, t, guard = "", "", False, 0.0, ""
    broken = 0
    if start:  # its first line is cut
        data = data[data.find(b"\n") + 1 :]
    for event in ev.parse_lines(data[: data.rfind(b"\n") + 1]):
        if isinstance(event, ev.Unreadable):
            broken += event.count
            continue
        t = event.t or t
        if isinstance(event, ev.RunStarted):
            outcome, ended = "", False
        elif isinstance(event, ev.RunEnded):
            outcome, ended = event.outcome, True
        elif isinstance(event, (ev.StageStarted, ev.StageDone, ev.Failed)):
            stage = event.stage
            if isinstance(event, ev.StageDone):
                guard = str(event.evidence.get("guard", "")) or guard
        elif isinstance(event, ev.TrainStep) and not stage:
            stage = {"train": "train"}.get(event.series, event.series)
    return _End(outcome, stage, ended, t, guard, broken), not start


def planned_stages(run: Run) -> tuple[str, ...]:
    """The stages the run's last worker was started for: what a resume goes on with."""
    stages: tuple[str, ...] = ()
    try:
        with open_regular(run.events_path) as handle:
            for line in handle:
                if b'"kind":"run.started"' in line:
                    event = ev.parse(line)
                    if isinstance(event, ev.RunStarted):
                        stages = tuple(event.stages)
    except OSError:
        pass
    return stages or STAGES


def trained_runs(home: Path | None) -> list[Run]:
    """Runs that have curves of training, newest first."""
    after = STAGES[STAGES.index("train") + 1 :]
    return [
        row.run
        for row in run_rows(home)
        if row.stage == "train" or row.run.artifact_path("train").exists() or row.stage in after
    ]


def recipe_files() -> list[Path]:
    """Ready recipes: those of the installed wheel, else those of the checkout."""
    package = Path(os.path.abspath(engine.__file__)).parent  # noqa: PTH100
    installed = package / "_recipes"
    folder = installed if installed.is_dir() else package.parent / "recipes"
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []
