"""One run as lists tell it, read cheaply from its files; and the ready recipes."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

import engine
from cpt_tui.log_end import LogEnd, read_log_end
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
MOST_RECIPE = 4 << 20
"""Bytes of a recipe that are read: what a run adds to it stays far below."""
RESUMABLE = ("interrupted", "stopped", "failed", "paused")
"""States of a run that a worker can go on with."""
_ID = re.compile(r"(.+)-\d{8}-\d{6}-([0-9a-f]{4})")
"""A run's id: its recipe's name, when it began, and four digits by chance."""
DRAFT = "draft"
"""The name in the recipe of an interview that nobody named."""


@dataclass(frozen=True)
class RunRow:
    """One run in words."""

    run: Run
    state: str = ""
    """``starting``, ``running``, ``paused``, ``draft``, ``ended``, or one of ``RESUMABLE``.

    Empty for a run that was not read yet."""
    stage: str = ""
    outcome: str = ""
    changed_at: float = 0.0
    """Unix seconds of its newest event."""
    alive: bool = False
    guard: str = ""
    """The forgetting guard; empty where nothing is known of it."""
    changed: bool = False
    """An answer is newer than the run's decision."""
    model: str = ""
    corpus: str = ""
    fault: str = ""
    """What is wrong with its heartbeat or its log."""
    label: str = ""
    """The name that the user gave it."""
    unnamed: bool = False
    """Nobody gave its interview a name."""
    share: float | None = None
    seconds_left: float | None = None
    effect: float | None = None
    """Points, CPT minus base, of its verdict."""
    message: str = ""
    """Its last word, as a stranger may have written it."""

    @property
    def name(self) -> str:
        """What lists call it: the user's name for it, a draft by what it is about, else its id.

        Of an id the time is left out: a list tells the age, and its end tells runs apart.
        """
        if self.label:
            return self.label
        parts = _ID.fullmatch(self.run.id)
        if parts is None:
            return self.run.id
        return f"{self.about if self.unnamed and self.about else parts[1]} {parts[2]}"

    @property
    def about(self) -> str:
        """The model, and the text it reads."""
        if self.model and self.corpus:
            return f"{self.model} on {self.corpus}"
        return self.model or self.corpus

    @property
    def age(self) -> str:
        """Time since its newest event."""
        if not self.changed_at:
            return ""
        return format_short_duration(max(0.0, now() - self.changed_at))

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
        return self.guard if self.guard in ("amber", "red") else ""


@dataclass(frozen=True)
class _Intent:
    """What a recipe says, as far as a list tells it."""

    model: str = ""
    corpus: str = ""
    unnamed: bool = False


Stamp = tuple[int, int]
_CACHE: dict[Path, tuple[Stamp, LogEnd]] = {}
_INTENTS: dict[Path, tuple[Stamp, _Intent]] = {}
_ANSWERS: dict[Path, tuple[Stamp, str]] = {}
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
        return RunRow(run, "unreadable", model=type(error).__name__)


def _read_row(run: Run) -> RunRow:
    """The row of a run, from its heartbeat, the end of its log, and its recipe."""
    status, end = read_status(run), log_end(run)
    intent = kept(_INTENTS, run.recipe_path, _read_intent) or _Intent()
    state, stage, outcome = _state(status, end)
    early = not stage or stage in ("interview", *CHECK_STAGES)
    decided = kept(_DECIDED, run.artifact_path("decide"), _read_decided) if early else ""
    broken = ev.Unreadable.of(end.broken).message if end.broken else ""
    here = not status.alive or stage == end.stage
    return RunRow(
        run,
        state,
        stage,
        outcome,
        end.t or run.recipe_path.stat().st_mtime,
        status.alive,
        status.guard or end.guard,
        bool(decided) and decided != kept(_ANSWERS, run.recipe_path, _read_answers),
        intent.model,
        intent.corpus,
        status.fault or broken,
        run.label,
        intent.unnamed,
        end.share if here and state != "ended" else None,
        end.seconds_left if here and state == "running" else None,
        end.effect,
        end.message if end.ended else "",
    )


def _state(status: Status, end: LogEnd) -> tuple[str, str, str]:
    """(state, stage, outcome) in words."""
    if status.alive:
        return status.state, status.stage or end.stage, ""
    if not end.t and status.state == "none":
        return DRAFT, "interview", ""
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


_ADDED = re.compile(r"^\s*\[+\s*(evidence|verdict|provenance)\b", re.MULTILINE)
"""Where what a run adds to its recipe begins: most of it, and none of its intent."""


def _read_text(path: Path) -> str:
    with open_regular(path) as handle:
        return handle.read(MOST_RECIPE).decode("utf-8-sig", errors="replace")


def _read_intent(path: Path) -> _Intent:
    """What a recipe is about; nothing of one that is not TOML."""
    text = _read_text(path)
    added = _ADDED.search(text)
    try:
        try:
            tables = tomllib.loads(text[: added.start()] if added else text)
        except tomllib.TOMLDecodeError:  # a text that only looks like such a table
            tables = tomllib.loads(text)
    except (ValueError, RecursionError):
        return _Intent()
    names = [_value(tables, *key) for key in (("model", "id"), ("corpus", "path"))]
    model, corpus = (PurePath(name).name for name in names)
    return _Intent(model, corpus, _value(tables, "recipe", "name") in ("", DRAFT))


def _value(tables: dict[str, object], table: str, key: str) -> str:
    found = tables.get(table)
    found = found[0] if isinstance(found, list) and found else found  # [[corpus]]: the first source
    return str(found.get(key, "")) if isinstance(found, dict) else ""


def _read_answers(path: Path) -> str:
    """The digest of a recipe's answers; empty for one that cannot be read."""
    try:
        return answers_digest(_read_text(path))
    except (ValueError, RecursionError):
        return ""


def _read_decided(path: Path) -> str:
    """The digest of the answers that a decision was made on."""
    try:
        with open_regular(path) as handle:
            found = json.loads(handle.read())
    except (ValueError, RecursionError):
        return ""
    return str(found.get("answers", "")) if isinstance(found, dict) else ""


def log_end(run: Run) -> LogEnd:
    """The newest stage and outcome, from the last block of the log."""
    return kept(_CACHE, run.events_path, read_log_end) or LogEnd()


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
