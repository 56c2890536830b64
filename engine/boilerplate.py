"""Boilerplate: lines that many documents share, counted in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.evidence import Line

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
    documents: int = 0
    bytes: int = 0


class Boilerplate:
    """Counts the lines of a stream of documents."""

    def __init__(self) -> None:
        self._lines: dict[int, _Count] = {}
        self._documents = 0
        self._bytes = 0

    def feed(self, texts: Sequence[str]) -> None:
        """Add a batch of documents."""
        for text in texts:
            self._bytes += len(text.encode())
            found: dict[str, int] = {}
            for line in text.split("\n"):
                if len(line) >= SHORTEST and len(line := line.strip()) >= SHORTEST:
                    found[line] = found.get(line, 0) + 1
            for line, times in found.items():
                count = self._lines.setdefault(hash(line), _Count(line[:_TEXT]))
                count.documents += 1
                count.bytes += times * len(line.encode())
        self._documents += len(texts)
        if len(self._lines) > CAPACITY:
            self._prune()

    def _prune(self) -> None:
        again = [(key, one) for key, one in self._lines.items() if one.documents > 1]
        if len(again) > CAPACITY // 2:
            again = sorted(again, key=lambda item: -item[1].documents)[: CAPACITY // 2]
        self._lines = dict(again)

    def _shared(self) -> list[_Count]:
        many = max(MANY, MANY_SHARE * self._documents)
        return [one for one in self._lines.values() if one.documents >= many]

    @property
    def share(self) -> float:
        """Share of all bytes in lines that many documents share."""
        return sum(one.bytes for one in self._shared()) / max(1, self._bytes)

    def lines(self) -> list[Line]:
        """The lines with the most bytes."""
        worst = sorted(self._shared(), key=lambda one: -one.bytes)[:SHOWN]
        return [Line(text=one.text, documents=one.documents) for one in worst]
