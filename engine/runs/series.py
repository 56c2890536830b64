"""A curve that stays small: minimum and maximum per bucket, whatever the number of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Point = tuple[float, float]
Bucket = tuple[float, float, float, float]
"""First point (x, y) and second point (x, y) in order of x: the extremes of the bucket."""


class Series:
    """Points in order of x, bounded to ``limit``; spikes survive because extremes are kept.

    A step at or below the latest one means that a run was resumed: the points from there
    on are dropped, so that the curve is the one of the weights that exist.
    """

    __slots__ = ("_buckets", "_cap", "_fill", "_open", "_span", "first", "last", "lost", "version")

    def __init__(self, limit: int = 4096) -> None:
        self._cap = max(limit // 2 - 1, 2)
        self._buckets: list[Bucket] = []
        self._open: Bucket | None = None
        self._fill = 0
        self._span = 1
        self.first: Point | None = None
        self.last: Point | None = None
        self.lost: list[float] = []
        """x of the newest points that were not finite (at most 1024)."""
        self.version = 0

    def add(self, x: float, y: float | None) -> None:
        """Append a point; one that is not finite is counted in ``lost`` instead."""
        if (self.last and x <= self.last[0]) or (self.lost and x <= self.lost[-1]):
            self.drop_from(x)
        self.version += 1
        if y is None or not math.isfinite(y):
            self.lost = [*self.lost[-1023:], x]
            return
        self.last = (x, y)
        self.first = self.first or self.last
        self._open = _widen(self._open, x, y)
        self._fill += 1
        if self._fill >= self._span:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._buckets.append(self._open)
        self._open, self._fill = None, 0
        if len(self._buckets) >= self._cap:
            pairs = self._buckets
            self._buckets = [
                _join(pairs[i], pairs[i + 1]) if i + 1 < len(pairs) else pairs[i]
                for i in range(0, len(pairs), 2)
            ]
            self._span *= 2

    def drop_from(self, x: float) -> None:
        """Forget every point at ``x`` and beyond."""
        self._close()
        kept: list[Bucket] = []
        for x1, y1, x2, y2 in self._buckets:
            if x2 < x:
                kept.append((x1, y1, x2, y2))
            elif x1 < x:
                kept.append((x1, y1, x1, y1))
        self._buckets = kept
        self.lost = [at for at in self.lost if at < x]
        self.last = (kept[-1][2], kept[-1][3]) if kept else None
        self.first = self.first if kept else None
        self.version += 1

    def points(self) -> list[Point]:
        """The kept points in order of x, with the newest one."""
        found: list[Point] = []
        for x1, y1, x2, y2 in [*self._buckets, *([self._open] if self._open else [])]:
            found.append((x1, y1))
            if x2 > x1:
                found.append((x2, y2))
        if self.last and (not found or found[-1][0] < self.last[0]):
            found.append(self.last)
        return found

    def state(self) -> list[Any]:
        """All of it as plain JSON values, for an index; ``restored`` is the way back."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def restored(cls, state: Sequence[Any]) -> Series:
        """A series that goes on as the one whose ``state`` this is.

        Raises ValueError or TypeError where it is not the state of a series.
        """
        held = dict(zip(cls.__slots__, state, strict=True))
        for name in ("first", "last", "_open"):
            held[name] = held[name] and tuple(held[name])
        held["_buckets"] = [tuple(bucket) for bucket in held["_buckets"]]
        series = cls()
        for name, value in held.items():
            setattr(series, name, value)
        return series

    def __len__(self) -> int:
        return len(self.points())


def _widen(bucket: Bucket | None, x: float, y: float) -> Bucket:
    """The bucket with a later point taken in, kept only if it is an extreme."""
    if bucket is None:
        return (x, y, x, y)
    x1, y1, x2, y2 = bucket
    low, high = (y1, y2) if y1 <= y2 else (y2, y1)
    if low <= y <= high:
        return bucket
    keep_first = (y > high) == (y1 <= y2)
    return (x1, y1, x, y) if keep_first else (x2, y2, x, y)


def _join(left: Bucket, right: Bucket) -> Bucket:
    """The extremes of two neighbours, in order of x."""
    points = [left[:2], left[2:], right[:2], right[2:]]
    low = min(points, key=lambda p: p[1])
    high = max(points, key=lambda p: p[1])
    first, second = (low, high) if low[0] <= high[0] else (high, low)
    return (first[0], first[1], second[0], second[1])
