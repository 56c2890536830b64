"""Start a detached worker, see whether it lives, and ask things of it.

The worker is a session of its own (``start_new_session``): closing the terminal, losing
SSH or killing the app never reaches it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from engine.errors import InputError
from engine.files import PRIVATE, open_regular, read_sealed_json, write_sealed_json
from engine.recipe.seal import find_change
from engine.runs.events import Control, Tail
from engine.runs.run import Run
from engine.runs.typed_fields import LATEST
from engine.stages import STAGES

STALE_AFTER = 15.0
"""Seconds without a heartbeat after which a living worker is shown as silent."""


PIDS = 2**31
"""Process ids are below it on every system."""
LARGEST_FILE = 2**63
"""Bytes of a file are below it."""
UNKNOWN = "unknown"
"""The state of a run whose heartbeat cannot be read."""
LOGGED = "logged"
"""Bytes of log at a heartbeat: a log only grows, so one that is shorter was cut."""


@dataclass(frozen=True)
class Status:
    """The worker's heartbeat as read from ``status.json``."""

    alive: bool
    """A process with the recorded pid and start time exists."""
    state: str
    """``starting``, ``running``, ``paused``, ``ended``, ``none`` (never started) or ``unknown``."""
    stage: str
    pid: int | None
    age_s: float | None
    """Seconds since the last heartbeat."""
    guard: str = ""
    """The forgetting guard of training so far; empty before its second evaluation."""
    begun_s: float | None = None
    """Seconds since the worker was launched."""
    fault: str = ""
    """What is wrong with the heartbeat or with the end of the log; empty where nothing is."""

    @property
    def paused(self) -> bool:
        """Whether a living worker waits to be resumed."""
        return self.alive and self.state == "paused"

    @property
    def words(self) -> str:
        """Liveness in words, for every screen and for ``--plain``, and what is wrong."""
        return f"{self._state_words}; {self.fault}" if self.fault else self._state_words

    @property
    def _state_words(self) -> str:
        if self.state == UNKNOWN:
            return "not known"
        if self.state == "none":
            return "not started"
        if self.alive and self.state == "starting" and self.begun_s is not None:
            return f"starting, {self.begun_s:.0f} s (it loads its libraries)"
        if self.alive:
            silent = self.age_s is not None and self.age_s > STALE_AFTER
            return f"{self.state}, silent for {self.age_s:.0f} s" if silent else self.state
        return "ended" if self.state == "ended" else "interrupted (resume with: cpt resume)"


def read_status(run: Run) -> Status:
    """The worker's state now; never raises, whatever another hand made of the file."""
    if not run.status_path.exists():
        return Status(False, "none", "", None, None, fault=_find_fault(run, 0))
    raw = read_sealed_json(run.status_path) or {}
    try:
        pid, started = _whole(raw["pid"], PIDS), _stamp(raw["started"])
        state, stage, guard = (_word(raw.get(name)) for name in ("state", "stage", "guard"))
        alive = _same_process(pid, started) and state != "ended"
        age = max(0.0, time.time() - _stamp(raw["beat"]))
        begun = max(0.0, time.time() - started)
        fault = "" if alive else _find_fault(run, _whole(raw.get(LOGGED, 0), LARGEST_FILE))
        return Status(alive, state, stage, pid, age, guard, begun, fault)
    except (ValueError, KeyError, TypeError):
        return Status(False, UNKNOWN, "", None, None, fault="its status.json is damaged")


def _whole(value: object, end: int) -> int:
    """A whole number from 0 to below ``end``. Raises TypeError or ValueError for anything else."""
    if type(value) is not int:
        raise TypeError("not a whole number")
    if not 0 <= value < end:
        raise ValueError("out of range")
    return value


def _stamp(value: object) -> float:
    """A time in Unix seconds. Raises TypeError or ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("no time")
    if not 0 <= value <= LATEST:
        raise ValueError("no time")
    return float(value)


def _word(value: object) -> str:
    """A word of a heartbeat, '' where it is left out. Raises TypeError where it is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def log_bytes(run: Run) -> int:
    """Bytes of the run's log now; 0 where there is none."""
    try:
        return run.events_path.stat().st_size
    except OSError:
        return 0


def _find_fault(run: Run, expected: int) -> str:
    """What is wrong with the log and the recipe of a run that nobody works on."""
    try:
        stamp = run.recipe_path.stat()
        change = _recipe_change(run.recipe_path, stamp.st_mtime_ns, stamp.st_size)
    except OSError:
        change = "its recipe cannot be read"
    return "; ".join(fault for fault in (_log_fault(run, expected), change) if fault)


@lru_cache(maxsize=256)
def _recipe_change(path: Path, changed: int, size: int) -> str:
    """``find_change`` of a recipe as its stamps tell it: a viewer asks twice a second."""
    with open_regular(path) as handle:
        return find_change(handle.read().decode("utf-8-sig", errors="replace"))


def _log_fault(run: Run, expected: int) -> str:
    """What is wrong with the end of a log; ``expected`` bytes it once had."""
    size = log_bytes(run)
    if size < expected:
        return f"its log is {expected - size:,} bytes shorter than its worker left it"
    try:
        with open_regular(run.events_path) as handle:
            handle.seek(max(0, size - 1))
            whole = handle.read(1) in (b"\n", b"")
    except OSError:
        return ""
    return "" if whole else "the last line of its log is not whole"


def _same_process(pid: int, started: float) -> bool:
    """Whether ``pid`` is still the process that began at ``started`` (Unix seconds)."""
    try:
        process = psutil.Process(pid)
        return (
            abs(process.create_time() - started) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def write_status(run: Run, values: Mapping[str, object]) -> None:
    """A heartbeat: ``pid``, ``started`` and ``state`` at least. Raises OSError on a full disk."""
    beat = {**values, "beat": time.time(), LOGGED: log_bytes(run)}
    write_sealed_json(run.status_path, beat)


TIED = "CPT_TIED_TO"
"""Environment variable of a worker that ends with the process of this pid, its parent."""


def start(run: Run, stages: tuple[str, ...] = STAGES, tied: bool = False) -> int:
    """Launch the worker for ``stages`` and return its pid; output goes to ``worker.log``.

    It outlives this process unless it is ``tied`` to it: a check that was killed measures no more.
    Raises InputError if a worker already lives on this run.
    """
    if read_status(run).alive:
        raise InputError(f"Run {run.id} is already running; watch it with: cpt watch {run.id}")
    # -P: a folder named engine in the user's working directory must not be imported.
    command = [sys.executable, "-P", "-m", "engine.worker", str(run.path)]
    command += ["--stages", ",".join(stages)]
    for action in DONE:
        run.take_request(action)
    tie = {TIED: str(os.getpid())} if tied else {}
    with run.log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=PRIVATE,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **tie},
        )
    _say_starting(run, process.pid)
    return process.pid


def _say_starting(run: Run, pid: int) -> None:
    """A first heartbeat in the worker's place, which imports torch before its own."""
    with contextlib.suppress(OSError, psutil.Error):
        started = psutil.Process(pid).create_time()
        write_status(run, {"pid": pid, "started": started, "state": "starting"})


DONE = {"stop": "stopping", "pause": "paused", "resume": "resumed", "checkpoint": "checkpoint"}
"""What the worker's ``Control`` event says once it has done what was asked."""


def ask(run: Run, action: str) -> None:
    """Ask the worker to ``stop``, ``pause``, ``resume`` or ``checkpoint``.

    Training answers before its next step or evaluation batch; the other stages stop and hold
    where they report progress. InputError where it cannot be done.
    """
    status = read_status(run)
    if not status.alive or status.pid is None:
        raise InputError(f"Run {run.id} is not running; nothing to {action}")
    if action == "pause" and status.paused:
        raise InputError(f"Run {run.id} is paused already; go on with: cpt resume {run.id}")
    if action == "resume" and not status.paused:
        raise InputError(f"Run {run.id} is not paused; watch it with: cpt watch {run.id}")
    if action == "checkpoint" and status.stage != "train":
        stage = status.stage or "not in a stage yet"
        raise InputError(
            f"Run {run.id} is not training ({stage}): other stages keep what they finish by "
            "themselves, and stop or pause at any moment"
        )
    run.request(action)


def wait_for_answer(run: Run, action: str, offset: int, seconds: float) -> Control | None:
    """The worker's answer in the log from ``offset`` on; None if none came in that time."""
    tail, end = Tail(run.events_path, offset), time.monotonic() + seconds
    while time.monotonic() < end:
        alive = read_status(run).alive
        for event in tail.read():
            if isinstance(event, Control) and event.action == DONE[action]:
                return event
        if not alive:
            return None
        time.sleep(0.1)
    return None


def stop(run: Run) -> None:
    """Ask for a stop at the next step boundary, with a checkpoint. InputError if none runs."""
    ask(run, "stop")


def process_lives(pid: int) -> bool:
    """Whether a process we started still runs; one that ended and waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
