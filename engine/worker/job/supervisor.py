"""The parent of a job of several processes on this machine: starts torchrun, and outlives it.

It is the process that ``status.json`` names and that signals reach. It has no torch, and says
how the job ended where rank 0 was killed and cannot.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import TypeVar

import psutil

from engine.errors import CptError, Exit
from engine.recipe.toml import load_recipe
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, Event, RunEnded, RunStarted, read_all
from engine.runs.launch import write_status
from engine.runs.run import Run

Kind = TypeVar("Kind", bound=Event)
SUPERVISOR = "CPT_SUPERVISOR"
"""Environment variable with this process's pid, for the ranks."""
SHUTDOWN_SECONDS = 10
"""What torchrun gives the other ranks to end by themselves when one has died."""


def processes(run: Run, stages: tuple[str, ...]) -> int:
    """Processes that these stages of a run take; 1 too where its recipe is at fault."""
    if "train" not in stages:
        return 1
    try:
        return load_recipe(run.recipe_path)[0].launch.processes
    except CptError:
        return 1


def supervise(run: Run, stages: tuple[str, ...], count: int) -> int:
    """Run the job to its end; returns its exit code."""
    ends, starts = len(_kind(run, RunEnded)), len(_kind(run, RunStarted))
    _starting(run)
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "localhost", "--nproc-per-node", str(count)]
    command += ["-m", "engine.worker", str(run.path), "--stages", ",".join(stages)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings = {
        SUPERVISOR: str(os.getpid()),
        "PYTHONSAFEPATH": "1",
        "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT",  # it would end the job on a SIGHUP too
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_SECONDS),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores)),
    }
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by torchrun
    job = subprocess.Popen(command, env={**os.environ, **settings}, start_new_session=True)
    _pass_on_signals(run, job)
    job.wait()
    ended = _kind(run, RunEnded)
    if len(ended) > ends:
        return ended[-1].code
    # A rank 0 that never took the run has written why into worker.log.
    return _killed(run) if len(_kind(run, RunStarted)) > starts else int(Exit.INPUT)


def _pass_on_signals(run: Run, job: subprocess.Popen[bytes]) -> None:
    """The first SIGTERM or SIGINT asks for a stop at a step; the second ends it all at once."""
    seen: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) == 1:
            run.request("stop", by="signal")
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            torchrun = psutil.Process(job.pid)
            for process in [*torchrun.children(recursive=True), torchrun]:
                process.kill()
        os._exit(int(Exit.INTERRUPTED))

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def _kind(run: Run, kind: type[Kind]) -> list[Kind]:
    if not run.events_path.exists():
        return []
    return [event for event in read_all(run.events_path) if isinstance(event, kind)]


def _starting(run: Run) -> None:
    """A first heartbeat: torchrun needs seconds before rank 0 has one."""
    started = psutil.Process().create_time()
    with contextlib.suppress(OSError):
        write_status(run, {"pid": os.getpid(), "started": started, "state": "starting"})


def _killed(run: Run) -> int:
    """Rank 0 said nothing: it was killed. Say it in its place."""
    message = (
        "The job's first process (rank 0) was killed or lost, and the others ended with it; see "
        f"worker.log, and go on from the last checkpoint, with as many processes as you like: "
        f"cpt resume {run.id}"
    )
    log = EventLog(run.events_path)
    log.append(Alarm(level="red", stage="train", message=message))
    log.append(RunEnded(outcome="STOPPED", code=int(Exit.INTERRUPTED), message=message))
    log.close()
    return int(Exit.INTERRUPTED)
