"""Optional trackers of a training run: started beside it, looked after, never waited for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.files import private_dir
from engine.redaction import masked
from engine.runs.run import Run
from engine.worker.train.tracker_process import folder_of

HANG_SECONDS = 120.0
"""Without a sign of life: longer than wandb's own 90 seconds for a first answer."""
GRACE_SECONDS = 20.0
"""For the last points of all of them, when training is over: wandb and trackio upload then."""
LOOK_SECONDS = 1.0


@dataclass
class Forwarder:
    """One tracker's process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def fault(self, hang: float) -> str:
        """Why it is of no use any more; nothing while it works."""
        if self.process.poll() is not None:
            return "" if self.process.returncode == 0 else self._last_words()
        silent = time.time() - self.log.stat().st_mtime
        return f"silent for {silent:.0f} s" if silent > hang else ""

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        said = masked(lines[-1][:300]) if lines else f"ended with code {self.process.returncode}"
        missing = said.startswith(("ModuleNotFoundError", "ImportError"))
        return said + ("; pip install 'cpt-tui[trackers]'" if missing else "")

    def close(self) -> None:
        """Tell it that no more is coming."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def finish(self, until: float) -> str:
        """Wait (monotonic time) for the rest to be handed over; why it was not, or nothing."""
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return f"its last points were not taken within {GRACE_SECONDS:g} s"
        return self.fault(HANG_SECONDS)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Trackers:
    """All trackers of a run. A fault is told once, in amber, and that tracker is off."""

    run: Run
    alarm: Callable[[str], None]
    hang: float = HANG_SECONDS
    working: list[Forwarder] = field(default_factory=list)
    looked: float = 0.0

    def start(self, names: list[str]) -> None:
        """Start a process for each; they read the log from here on."""
        for name in names:
            try:
                self.working.append(self._started(name))
            except OSError as error:
                self._off(name, str(error))

    def _started(self, name: str) -> Forwarder:
        log = private_dir(folder_of(self.run)) / f"{name}.log"
        command = [
            sys.executable,
            "-P",
            "-m",
            "engine.worker.train.tracker_process",
            str(self.run.path),
        ]
        command += [name, str(self.run.events_path.stat().st_size)]
        log.touch(mode=0o600)
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
            )
        return Forwarder(name, process, log)

    def look(self) -> None:
        """Once a second at most: is each of them alive? Costs a system call or two."""
        if not self.working or time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        for one in list(self.working):
            if fault := one.fault(self.hang):
                self._drop(one, fault)

    def close(self) -> None:
        """Training is over, for now or for good."""
        for one in self.working:
            one.close()
        until = time.monotonic() + GRACE_SECONDS
        for one in list(self.working):
            if fault := one.finish(until):
                self._drop(one, fault)
        self.working.clear()

    def _drop(self, one: Forwarder, fault: str) -> None:
        one.end()
        self.working.remove(one)
        self._off(one.name, fault)

    def _off(self, name: str, fault: str) -> None:
        self.alarm(f"the tracker {name} is off: {fault}; training goes on without it")
