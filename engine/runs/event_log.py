"""The writer of a run's log: events as lines, and what happens where the disk is full."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from engine.files import cut_torn_tail
from engine.runs.events import Alarm, Event, encode_line


class EventLog:
    """Appender of one run's events. One writer at a time (the run's lock holder).

    A failing append (a full disk) never raises: the loss is counted and marked by an
    ``Alarm`` as soon as writing works again, so that training goes on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        cut_torn_tail(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, event: Event) -> None:
        """Write one event as one line; sets its time."""
        stamped = dataclasses.replace(event, t=round(time.time(), 3))
        message = f"{self.lost} events could not be written (disk full?)"
        alarm = Alarm(level="amber", stage="log", message=message, t=stamped.t)
        if self.lost and self._write(alarm):
            self.lost = 0
        if not self._write(stamped):
            self.lost += 1

    def _write(self, event: Event) -> bool:
        data = encode_line(event)
        start = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, data)
        except OSError:
            written = 0
        if written == len(data):
            return True
        if written:
            os.ftruncate(self._fd, start)
        return False

    def close(self) -> None:
        os.close(self._fd)
