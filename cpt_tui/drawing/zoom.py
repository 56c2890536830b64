"""Zoom: which part of a curve is looked at, in steps. Arithmetic only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.runs.series import Point, Series

LEAST = 8.0
"""Fewest steps across a chart."""
FACTOR = 2.0
PAN = 0.5
"""Part of its width that a window moves by."""


@dataclass
class Zoom:
    """A window of ``width`` steps; one that ends at the newest step stays with it."""

    width: float | None = None
    """None shows all."""
    right: float | None = None
    """None is the newest step."""

    @property
    def whole(self) -> bool:
        return self.width is None

    def window(self, first: float, last: float) -> tuple[float, float]:
        """The steps looked at, of those from ``first`` to ``last``."""
        whole = max(last - first, LEAST)
        if self.width is None or self.width >= whole:
            return first, max(last, first + LEAST)
        right = last if self.right is None else min(max(self.right, first + self.width), last)
        return right - self.width, right

    def scale(self, closer: bool, first: float, last: float) -> None:
        """Half or twice as much: around the middle, or up to the newest step where it ends."""
        left, right = self.window(first, last)
        width = (right - left) / FACTOR if closer else (right - left) * FACTOR
        width = max(LEAST, width)
        if width >= last - first:
            self.reset()
            return
        if self.right is not None:
            self._place((left + right) / 2 + width / 2, first, last, width)
        self.width = width

    def pan(self, forward: bool, first: float, last: float) -> None:
        """Along the axis by half a window."""
        if self.width is None:
            return
        _, right = self.window(first, last)
        self._place(right + (PAN if forward else -PAN) * self.width, first, last, self.width)

    def _place(self, right: float, first: float, last: float, width: float) -> None:
        """Put the right end somewhere; at the newest step it goes on with it."""
        self.right = None if right >= last else max(right, first + width)

    def reset(self) -> None:
        """All of it again."""
        self.width = self.right = None


def steps_of(series: Sequence[Series]) -> tuple[float, float]:
    """First and newest step of several curves; 0 and 0 where they are empty."""
    firsts = [s.first[0] for s in series if s.first]
    lasts = [s.last[0] for s in series if s.last]
    return (min(firsts), max(lasts)) if firsts else (0.0, 0.0)


def closer(
    overview: Sequence[Point], detail: Sequence[Point], ends: tuple[float, float]
) -> list[Point]:
    """The detail's points between its ends, the overview's elsewhere."""
    left, right = ends
    return [
        *(p for p in overview if p[0] < left),
        *(p for p in detail if left <= p[0] <= right),
        *(p for p in overview if p[0] > right),
    ]


def scaled(points: Sequence[Point], axis: Sequence[Point]) -> list[Point]:
    """Points by step moved to another axis that begins at (0, 0), given as (step, value) pairs.

    Linear between the pairs and beyond the last, never below 0; unchanged without any pair.
    """
    if not axis:
        return list(points)
    axis = axis if axis[0][0] <= 0 else [(0.0, 0.0), *axis]
    if len(axis) < 2:
        return list(points)
    found, at = [], 0
    for x, y in points:
        while at < len(axis) - 2 and axis[at + 1][0] < x:
            at += 1
        (x1, v1), (x2, v2) = axis[at], axis[at + 1]
        found.append((max(0.0, v1 + (v2 - v1) * (x - x1) / ((x2 - x1) or 1.0)), y))
    return found
