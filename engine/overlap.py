"""Contamination: which gold items share a 13-gram of words with the corpus.

Memory is flat: the grams of the *gold set* are kept, the corpus streams past them. n = 13
after Brown 2020 (GPT-3). A gram is a 64-bit polynomial hash over word hashes, the same on
every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

    Hashes = NDArray[uint64]

GRAM = 13
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_IDEOGRAPHS}]|[^\\W{_IDEOGRAPHS}]+")
"""A word, or one character of a script that writes no blanks."""
_BASE = 0x9E3779B97F4A7C15
_CHUNK = 1 << 16
"""Words gathered before they are searched: fast for short texts, flat for huge ones."""
_BORDER = "\0"
"""Stands between texts, so that no gram runs across; never a word."""


class Prompted(Protocol):
    """Anything with a prompt."""

    @property
    def prompt(self) -> str: ...


def ngrams(text: str, n: int = GRAM) -> Iterator[int]:
    """Hashes of every run of ``n`` lowercased words; the whole text where it is shorter."""
    hashes = _hashes([match.group() for match in _WORD.finditer(text.lower())])
    if len(hashes):
        yield from (int(gram) for gram in _windows(hashes, min(n, len(hashes))))


def _hashes(words: list[str]) -> Hashes:
    import numpy as np

    return np.fromiter((_word(word) for word in words), dtype=np.uint64, count=len(words))


@lru_cache(maxsize=1 << 16)
def _word(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _windows(hashes: Hashes, n: int) -> Hashes:
    """Polynomial hash modulo 2^64 of every window of ``n`` words; ``len - n + 1`` of them."""
    import numpy as np

    base = np.array([_BASE], dtype=np.uint64)
    grams: Hashes = np.zeros(max(len(hashes) - n + 1, 0), dtype=np.uint64)
    for start in range(n):
        grams = grams * base + hashes[start : start + len(grams)]
    return grams


class Overlap:
    """The gold items' grams, and which of them a stream of corpus text held.

    Build it from the gold set, ``feed`` it every corpus text, then read ``contaminated`` (item
    numbers) or hand it to ``gold.gate_files`` as its ``shingles``.
    """

    def __init__(self, examples: Iterable[Prompted]) -> None:
        self._items: dict[int, set[int]] = {}
        self._seen: set[int] = set()
        self._waiting: list[str] = []
        self._searched = True
        by_length: dict[int, set[int]] = {}
        for number, example in enumerate(examples):
            words = sum(1 for _ in _WORD.finditer(example.prompt.lower()))
            for gram in ngrams(example.prompt):
                self._items.setdefault(gram, set()).add(number)
                by_length.setdefault(min(words, GRAM), set()).add(gram)
        self._wanted = {length: _sorted(grams) for length, grams in by_length.items()}

    def feed(self, text: str) -> None:
        """Look through one corpus text (texts are gathered, then searched together)."""
        for match in _WORD.finditer(text.lower()):
            self._waiting.append(match.group())
            if len(self._waiting) >= _CHUNK:
                self._waiting = self._look(self._waiting)
        self._waiting.append(_BORDER)
        self._searched = False

    def _look(self, words: list[str]) -> list[str]:
        """Search these words; returns the tail that the next ones may continue."""
        import numpy as np

        hashes = _hashes(words)
        for length, wanted in self._wanted.items():
            grams = _windows(hashes, length)
            places = np.searchsorted(wanted, grams).clip(max=len(wanted) - 1)
            self._seen.update(int(gram) for gram in np.unique(grams[wanted[places] == grams]))
        return words[1 - GRAM :]

    def _found(self) -> set[int]:
        """The grams seen so far, the words still waiting included."""
        if not self._searched:
            self._waiting = self._look(self._waiting)
            self._searched = True
        return self._seen

    def __contains__(self, gram: object) -> bool:
        return gram in self._found()

    @property
    def contaminated(self) -> set[int]:
        """Numbers of the items that share a gram with what was fed."""
        return {item for gram in self._found() for item in self._items[gram]}


def _sorted(grams: set[int]) -> Hashes:
    import numpy as np

    return np.array(sorted(grams), dtype=np.uint64)
