"""Shingles: the words of a batch of texts as numbers, and hashes of every run of them.

Near-duplicates, contamination and term counts all start from the same pass over the words.
A word is a run of letters and digits, or one character of a script that writes no blanks;
case, punctuation and ways to encode a letter are gone. Hashes are the same on every machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from engine.normal_form import normal_words

if TYPE_CHECKING:
    from numpy import int64, uint64
    from numpy.typing import NDArray

    Hashes = NDArray[uint64]
    Numbers = NDArray[int64]

NEAR = 5
"""Words in a shingle of the near-duplicate search: FineWeb (Penedo 2024) used 5."""
LONG = 13
"""Words in a gram of the contamination search: n of Brown 2020 (GPT-3)."""
SHORT = 8
"""A text of fewer words is too short to be looked for: least n of Brown 2020, appendix C."""

_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_BLANKS = bytes(byte if byte > 127 or chr(byte).isalnum() else 32 for byte in range(256))
_BASE = 0x9E3779B97F4A7C15
_LENGTHS = (NEAR, *range(SHORT, LONG + 1))


@dataclass(frozen=True)
class Words:
    """Words of several texts, back to back."""

    distinct: list[str]
    codes: Numbers
    """Place in ``distinct`` of every word [words]."""
    starts: Numbers
    """Where each text starts, and the end of the last one [texts + 1]."""

    @property
    def lengths(self) -> Numbers:
        """Words of each text."""
        lengths: Numbers = self.starts[1:] - self.starts[:-1]
        return lengths

    @cached_property
    def hashes(self) -> Hashes:
        """A hash of every word."""
        import numpy as np

        known = np.fromiter(map(_hash, self.distinct), dtype=np.uint64, count=len(self.distinct))
        return known[self.codes]

    @cached_property
    def _runs(self) -> dict[int, Hashes]:
        return runs(self.hashes, _LENGTHS)

    @cached_property
    def owners(self) -> Numbers:
        """The text each word belongs to."""
        import numpy as np

        return np.repeat(np.arange(len(self.starts) - 1), self.lengths)

    def grams(self, length: int) -> tuple[Hashes, Numbers]:
        """Hashes of every run of ``length`` words inside one text, and the place it starts at."""
        import numpy as np

        found = self._runs[length]
        room = self.starts[1:][self.owners[: len(found)]] - np.arange(len(found))
        inside = np.flatnonzero(room >= length)
        return found[inside], inside


def words_of(texts: Sequence[str]) -> Words:
    """The words of the texts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = [_plain(text) for text in texts]
    full = [place for place, text in enumerate(plain) if text]
    lists: Any = pc.ascii_split_whitespace(pa.array([plain[p] for p in full], type=pa.string()))
    coded = lists.flatten().dictionary_encode()
    counts = np.zeros(len(texts), dtype=np.int64)
    counts[full] = np.diff(lists.offsets.to_numpy())
    return Words(
        distinct=coded.dictionary.to_pylist(),
        codes=coded.indices.to_numpy().astype(np.int64),
        starts=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]),
    )


def _plain(text: str) -> bytes:
    """Lowercase words with blanks between them, as UTF-8."""
    text = normal_words(text)
    if not text.isascii():
        text = _IDEOGRAPH.sub(r" \g<0> ", _marks().sub(" ", text))
    return text.encode("utf-8", "replace").translate(_BLANKS).strip()


@cache
def _marks() -> re.Pattern[str]:
    """Punctuation, symbols and separators beyond ASCII; in the first plane only, which makes
    the search 18 times faster."""
    marks = [c for c in map(chr, range(128, 1 << 16)) if unicodedata.category(c)[0] in "PSZ"]
    return re.compile(f"[{_ranges(marks)}]+")


def _ranges(characters: list[str]) -> str:
    """The characters as the inside of a regular expression's class."""
    spans: list[list[str]] = []
    for character in characters:
        if spans and ord(character) == ord(spans[-1][1]) + 1:
            spans[-1][1] = character
        else:
            spans.append([character, character])
    return "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in spans)


@lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def runs(hashes: Hashes, lengths: Collection[int]) -> dict[int, Hashes]:
    """Polynomial hash modulo 2^64 of every run of so many words; ``n - length + 1`` of each."""
    import numpy as np

    base = np.array([_BASE], dtype=np.uint64)
    found: dict[int, Hashes] = {}
    total: Hashes = np.zeros(len(hashes) + 1, dtype=np.uint64)
    for start in range(max(lengths)):
        total = total[:-1] * base + hashes[start:] if len(total) else total
        if start + 1 in lengths:
            found[start + 1] = total
    return found
