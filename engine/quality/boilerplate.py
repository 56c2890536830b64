"""Boilerplate: lines that many documents share, counted in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.artifacts.scan import SharedLine
from engine.normal_form import normal_text

SHORTEST = 20
"""Characters of a line that counts; shorter ones repeat in any text (braces, "Chapter I")."""
MANY, MANY_SHARE = 3, 0.001
"""Documents with the line, at least: three, and one in a thousand; engineering choice."""
CAPACITY = 200_000
"""Distinct lines held. When full, those seen once go, then the rarest: lossy counting (Manku
2002). A line in one of a thousand documents comes again long before that."""
SHOWN = 5
_TEXT = 120


@dataclass(slots=True)
class _Count:
    text: str
    documents: int
    bytes: int


class Boilerplate:
    """Counts the lines of a stream of documents."""

    def __init__(self) -> None:
        self._once: dict[int, int] = {}
        """Lines seen in one document, by hash: their bytes."""
        self._again: dict[int, _Count] = {}
        self._documents = 0
        self._bytes = 0

    def feed(self, texts: Sequence[str]) -> None:
        """Add a batch of documents."""
        for text in texts:
            self._bytes += _size(text)
            found: dict[str, int] = {}
            for line in normal_text(text).split("\n"):
                if len(line) >= SHORTEST and len(line := line.strip()) >= SHORTEST:
                    found[line] = found.get(line, 0) + 1
            for line, times in found.items():
                self._add(line, times * _size(line))
        self._documents += len(texts)
        if len(self._once) > CAPACITY:
            self._once.clear()
        if len(self._again) > CAPACITY:
            most = sorted(self._again.items(), key=lambda item: -item[1].documents)
            self._again = dict(most[: CAPACITY // 2])

    def _add(self, line: str, size: int) -> None:
        key = hash(line)
        count = self._again.get(key)
        if count is None:
            before = self._once.pop(key, None)
            if before is None:
                self._once[key] = size
                return
            count = self._again[key] = _Count(line[:_TEXT], 1, before)
        count.documents += 1
        count.bytes += size

    def _shared(self) -> list[_Count]:
        return [one for one in self._again.values() if one.documents >= self._many]

    @property
    def _many(self) -> float:
        return max(MANY, MANY_SHARE * self._documents)

    def shared_keys(self) -> frozenset[int]:
        """``line_key`` of every line that many documents share, in this process."""
        many = self._many
        return frozenset(key for key, one in self._again.items() if one.documents >= many)

    @property
    def share(self) -> float:
        """Share of all bytes in lines that many documents share."""
        return sum(one.bytes for one in self._shared()) / max(1, self._bytes)

    def lines(self) -> list[SharedLine]:
        """The lines with the most bytes."""
        worst = sorted(self._shared(), key=lambda one: -one.bytes)[:SHOWN]
        return [SharedLine(text=one.text, documents=one.documents) for one in worst]


def line_key(line: str) -> int | None:
    """What a line is known by in this process, however it is written; None for a short one."""
    line = normal_text(line).strip()
    return hash(line) if len(line) >= SHORTEST else None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
