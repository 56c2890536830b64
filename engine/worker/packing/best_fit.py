"""Best-fit packing: which open row a document goes into."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.worker.tokens.store import Ints


@dataclass
class BestFit:
    """Open rows by the room they have left; gives each segment the tightest row."""

    length: int
    rooms: list[int] = field(default_factory=list)
    """Distinct rooms of open rows, ascending."""
    rows: dict[int, list[list[Ints]]] = field(default_factory=dict)
    open: int = 0

    def place(self, segment: Ints) -> list[Ints] | None:
        """Put a segment into a row; returns the row if it is now full."""
        size = len(segment)
        at = bisect.bisect_left(self.rooms, size)
        if at == len(self.rooms):
            row, room = [segment], self.length - size
        else:
            room = self.rooms[at]
            row = self._take(room)
            row.append(segment)
            room -= size
        if room == 0:
            return row
        self._put(row, room)
        return None

    def fullest(self, keep: int) -> Iterator[list[Ints]]:
        """Close the fullest open rows until ``keep`` are left."""
        while self.open > keep:
            yield self._take(self.rooms[0])

    def _put(self, row: list[Ints], room: int) -> None:
        if room not in self.rows:
            self.rows[room] = []
            bisect.insort(self.rooms, room)
        self.rows[room].append(row)
        self.open += 1

    def _take(self, room: int) -> list[Ints]:
        stack = self.rows[room]
        row = stack.pop()
        if not stack:
            del self.rows[room]
            self.rooms.remove(room)
        self.open -= 1
        return row
