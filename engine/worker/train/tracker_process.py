"""``python -m engine.worker.tracker RUN NAME OFFSET``: one tracker, fed from the run's log.

A process of its own, so that nothing a tracker does (raise, hang, wait for a network) is done
to training. The log is its queue; memory holds one bounded read of it. Numbers only leave: no
text of the run does. It ends when its standard input does, which its worker's death does too.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Protocol

from engine.redaction import masked
from engine.runs.events import EvalPoint, Event, Tail, TrainStep
from engine.runs.run import Run

POLL_SECONDS = 0.5
END_SECONDS = 30.0
"""To hand over what is left when training is over; then it ends, whatever the tracker does."""
READ_BYTES = 1 << 20
PROJECT = "cpt"


class Tracker(Protocol):
    """What a tracker's library is used for."""

    def log(self, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the run's own folder; show them with ``tensorboard --logdir RUN``."""

    def __init__(self, run: Run) -> None:
        from tensorboard.summary import Writer

        self.writer = Writer(str(folder_of(run) / "tensorboard"))

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Trackio:
    """Local unless ``TRACKIO_SPACE_ID`` is set; show it with ``trackio show``."""

    def __init__(self, run: Run) -> None:
        import trackio

        self.module = trackio
        trackio.init(project=PROJECT, name=run.id, resume="allow")

    def log(self, step: int, values: dict[str, float]) -> None:
        self.module.log(values, step=step)

    def close(self) -> None:
        self.module.finish()


class Wandb:
    """To the account of ``WANDB_API_KEY`` or of ``wandb login``."""

    def __init__(self, run: Run) -> None:
        import wandb

        settings = wandb.Settings(console="off", disable_git=True, disable_code=True)
        self.run = wandb.init(
            project=PROJECT,
            id=run.id,
            name=run.id,
            dir=str(folder_of(run)),
            resume="allow",
            settings=settings,
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        self.run.log(values, step=step)

    def close(self) -> None:
        self.run.finish()


TRACKERS: dict[str, type[TensorBoard] | type[Trackio] | type[Wandb]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": Wandb,
}


def folder_of(run: Run) -> Path:
    """Where trackers and what they print go."""
    return run.path / "trackers"


def values_of(event: Event) -> dict[str, float]:
    """The numbers of CPT's own steps and evaluations; what was not finite is left out."""
    found: dict[str, float | None] = {}
    if isinstance(event, TrainStep) and event.series == "train":
        names = ("loss", "lr", "grad_norm", "tokens", "tokens_per_s", "memory_gb")
        found = {f"train/{name}": getattr(event, name) for name in names}
    elif isinstance(event, EvalPoint) and event.series == "train":
        found = {"heldout/domain": event.domain, "heldout/generic": event.generic}
    return {name: float(value) for name, value in found.items() if value is not None}


def forward(run: Run, name: str, offset: int, over: threading.Event) -> None:
    """Hand over events until training is over and none is left; touches its own log to say so."""
    tracker: Tracker = TRACKERS[name](run)
    tail, beat = Tail(run.events_path, offset), folder_of(run) / f"{name}.log"
    while True:
        last = over.is_set()
        events = tail.read(READ_BYTES)
        for event in events:
            if isinstance(event, (TrainStep, EvalPoint)) and (values := values_of(event)):
                tracker.log(event.step, values)
                os.utime(beat)
        os.utime(beat)
        if not events and last:
            return tracker.close()
        if not events:
            over.wait(POLL_SECONDS)


def until_closed(over: threading.Event) -> None:
    """Wait for the end of standard input; what is then still at work is ended in a while."""
    sys.stdin.buffer.read()
    over.set()
    timer = threading.Timer(END_SECONDS, os._exit, [1])
    timer.daemon = True
    timer.start()


def main() -> None:
    path, name, offset = sys.argv[1:]
    os.nice(10)
    over = threading.Event()
    threading.Thread(target=until_closed, args=[over], daemon=True).start()
    code = 0
    try:
        forward(Run(Path(path)), name, int(offset), over)
    except BaseException as error:
        print(masked(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"), flush=True)
        code = 1
    os._exit(code)  # a library's own threads must not keep it


if __name__ == "__main__":
    main()
