"""What every stage is handed: the run, its recipe, the event log, and requests to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import psutil

from engine.errors import Interrupted
from engine.files import private_dir, read_sealed_json, write_sealed_json
from engine.recipe.sections import Recipe
from engine.runs.event_log import EventLog
from engine.runs.events import Control, Event, Progress
from engine.runs.launch import TIED, write_status
from engine.runs.run import Run
from engine.worker.job.ranks import Ranks, is_dead
from engine.worker.job.rate import RecentRate
from engine.worker.job.supervisor import SUPERVISOR

HEARTBEAT_SECONDS = 2.0
ORPHAN_SECONDS = 30.0
"""For a worker without its command to come to a safe point."""
PROGRESS_SECONDS = 0.5
"""Progress events are written no more often than this; viewers redraw once a second."""


@dataclass(eq=False)
class Context:
    """One worker's view of its run. Rank 0 owns the log, the status file and the lock."""

    run: Run
    recipe: Recipe
    log: EventLog
    stage: str = ""
    state: str = "running"
    guard: str = ""
    """Forgetting so far, for those who read only the heartbeat."""
    ranks: Ranks = field(default_factory=Ranks)
    _signals: int = 0
    _stopping: bool = False
    _last_progress: tuple[str, float] = ("", 0.0)
    _rate: RecentRate | None = None
    _rated: tuple[str, str, float] = ("", "", 0.0)
    """Which work the rate is of: stage, unit and total. Labels may change on the way."""
    _done: threading.Event = field(default_factory=threading.Event)
    _heart: threading.Thread | None = None
    _held: float = 0.0
    _parent: int = 0
    """The process that this worker ends with; 0 for none."""
    _orphaned: float = 0.0
    """When that process was found gone; 0 while it lives."""
    _beating: threading.Lock = field(default_factory=threading.Lock)

    @property
    def outer(self) -> Context:
        """The context of the run itself: an arm's own context names the one around it."""
        return self

    def emit(self, event: Event) -> None:
        self.log.append(event)

    def progress(
        self,
        label: str,
        done: float,
        total: float = 0,
        unit: str = "",
        check: bool = True,
    ) -> None:
        """Report progress (throttled) with the time left at the recent rate; honour a stop.

        Raises Interrupted unless ``check`` is false.
        """
        if check:
            self.raise_if_stopped()
        work = (self.stage, unit, total)
        if self._rate is None or self._rated != work:
            self._rate, self._rated = RecentRate(self.clock), work
        self._rate.add(done)
        left = self._rate.seconds_left(total)
        self.tell(label, done, total, unit, left if left is None else round(left, 1))

    def tell(
        self, label: str, done: float, total: float, unit: str, eta: float | None = None
    ) -> None:
        """Emit progress, no more often than a viewer looks."""
        now = time.monotonic()
        last_label, last_time = self._last_progress
        if label == last_label and now - last_time < PROGRESS_SECONDS and done < total:
            return
        self._last_progress = (label, now)
        self.emit(
            Progress(stage=self.stage, label=label, done=done, total=total, unit=unit, eta_s=eta)
        )

    @property
    def go_on(self) -> str:
        """The command that goes on with the run."""
        return f"cpt resume {self.run.id}"

    def stop_requested(self) -> bool:
        """True once a SIGTERM, SIGINT or a stop request has arrived; stays true."""
        return "stop" in self.asked()

    def asked(self, *actions: str) -> set[str]:
        """Which of these requests are pending, each told once; ``stop`` too, and that for good.

        The ranks in training agree with one message: rank 0 alone takes requests, and a stop,
        which may be another's, outweighs them.
        """
        bits = sum(1 << n for n, action in enumerate(actions) if self._asked(action))
        here = self._stopping or self._signals > 0 or self._asked("stop")
        bits = self.ranks.most(bits | (int(here) << len(actions)))
        self._stopping = bool(bits >> len(actions))
        found = {action for n, action in enumerate(actions) if bits >> n & 1}
        return found | ({"stop"} if self._stopping else set())

    def _asked(self, action: str) -> bool:
        return self.ranks.first and self.run.take_request(action)

    def raise_if_stopped(self) -> None:
        """A safe point of a stage: a pause holds here, a stop leaves; finished parts are kept.

        Ranks in training hold at their steps instead.
        """
        if not self.ranks.joined and "pause" in self.asked("pause"):
            self.hold()
        if self.stop_requested():
            self.emit(Control(action="stopping"))
            raise Interrupted(f"{self._why()}; go on with: {self.go_on}")

    def _why(self) -> str:
        """A job's own signals come as requests: one that comes otherwise is torchrun's."""
        if self._orphaned:
            return "Stopped because the command that it belongs to ended"
        if self._signals and SUPERVISOR in os.environ:
            return "Stopped because a process of this job was killed or lost"
        return "Stopped on request"

    def hold(self, step: int | None = None, checkpoint: Callable[[], None] = lambda: None) -> None:
        """A pause: returns on ``resume`` or ``stop``; a checkpoint asked for is made meanwhile."""
        began = time.monotonic()
        self.say_state("paused")
        self.emit(Control(action="paused", step=step))
        while not (asked := self.asked("checkpoint", "resume")) & {"resume", "stop"}:
            if "checkpoint" in asked:
                checkpoint()
            time.sleep(0.2)
        self._held += time.monotonic() - began
        self.say_state("running")
        self.emit(Control(action="resumed", step=step))

    def clock(self) -> float:
        """Seconds that pass while the run is not paused: what budgets and ETAs count."""
        return time.monotonic() - self._held

    def say_state(self, state: str) -> None:
        """Tell viewers at once: ``starting``, ``running`` or ``paused``."""
        self.state = state
        if self._heart is not None:
            self._beat()

    def install_signals(self) -> None:
        """First SIGTERM or SIGINT stops at a boundary; a second quits at once with code 6.

        SIGHUP is ignored: a lost terminal changes nothing.
        """
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(int(Interrupted.code))

    def start_heartbeat(self) -> None:
        """Write ``status.json`` every two seconds from a thread, until ``end``.

        It names the process that signals go to: of several, the one that started them.
        """
        self._pid = int(os.environ.get(SUPERVISOR, os.getpid()))
        self._started = psutil.Process(self._pid).create_time()
        self._parent = int(os.environ.pop(TIED, "0"))  # not for the processes that we start
        self._beat()
        self._heart = threading.Thread(target=self._beat_forever, daemon=True)
        self._heart.start()

    def _beat_forever(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            self._beat()
            if is_dead(socket.gethostname(), self._pid):
                self._signals = self._signals or 1  # nobody could stop us any more
            self._follow_parent()

    def _follow_parent(self) -> None:
        """Stop once the command that this worker is tied to is gone; at once if that takes long."""
        if not self._parent or os.getppid() == self._parent:
            return
        self._orphaned = self._orphaned or time.monotonic()
        self._signals = self._signals or 1
        if time.monotonic() - self._orphaned > ORPHAN_SECONDS:
            os._exit(int(Interrupted.code))

    def _beat(self) -> None:
        status = {
            "pid": self._pid,
            "started": self._started,
            "state": self.state,
            "stage": self.stage,
            "guard": self.guard,
        }
        try:
            with self._beating:
                write_status(self.run, status)
        except OSError:
            return  # A full disk must not end the training; the viewer shows the age.

    def end(self) -> None:
        """Mark the worker as ended in ``status.json``: its last word, after the heart stopped."""
        self._done.set()
        if self._heart is not None:
            self._heart.join()
        self.state = "ended"
        self._beat()

    def scratch(self, name: str) -> dict[str, Any] | None:
        """A partial result of an unfinished stage; None without one, or with a damaged one."""
        return read_sealed_json(self.run.path / "artifacts" / name)

    def keep_scratch(self, name: str, values: Mapping[str, object]) -> None:
        """Keep a partial result of an unfinished stage, with a hash of its own."""
        path = self.run.path / "artifacts" / name
        private_dir(path.parent)
        write_sealed_json(path, values)
