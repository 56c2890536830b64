"""Word order: is the order of the words worth anything? Measured without a model.

Running text says again what other documents say: many of its word pairs stand in another
document too. With the words of each document shuffled, fewer pairs do. The ratio of the two
shares is 1.0 for text whose order is worth nothing (shuffled words, tables of random numbers) and
1.5 to 1.8 for running text and code in any language (``tests/benchmarks/word_order.py``). A base
that cannot read the text yet is not asked, so a new language does not look like noise.

A word is what stands between blanks, its punctuation included: shuffling moves it as a whole. A
script without blanks is read by characters, and so is text without words that come again (SMILES,
hashes, rows of one code): there the order of the characters is what can be learnt. Where pairs are
so few that most of them stand everywhere (a small vocabulary, an alphabet), longer runs are taken
instead, see ``SATURATED``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.artifacts.record import Interval
from engine.artifacts.scan import WordOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.quality.shingles import Numbers

WORDS = 300_000
"""Words looked at, at most: the interval is then about 0.02 wide, in half a second."""
CHARACTERS = 8 * WORDS
"""Characters looked at, at most."""
RUNS = range(2, 9)
"""Lengths of the runs that may be compared, shortest first."""
SATURATED = 0.5
"""A length of which so large a share stands in other documents even when shuffled says little:
the next one is taken. English words pass at pairs, Chinese characters at pairs, Thai letters at
four to five."""
CLEAR = 1.25
"""A lower bound beyond which no longer run is looked at. A log of a few set phrases between random
fields has pairs as common in any order, and runs of four that are not; the length with the greatest
lower bound stands, and for shuffled words none exceeds 1."""
GROUPS = 20
"""Groups of documents for the jackknife."""
LEAST_DOCUMENTS = 10
LEAST_SEEN = 200
"""Shuffled runs that must stand in other documents, so that their share is known to about 10%."""
LONGEST_WORDS = 20.0
"""Characters a word on average; beyond, the text has no words that could be shuffled."""
T_95 = 2.093
"""97.5% point of Student's t with 19 degrees of freedom, one less than ``GROUPS``."""
SEED = 0
_NO_BLANKS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese, with their punctuation."""


def word_order(texts: Sequence[str]) -> WordOrder:
    """What the order of the words of these documents is worth; else that of their characters.

    ``ratio`` is None where that cannot be said, and ``why`` then says why not. Its interval is a
    delete-a-group jackknife over documents: the share of a pair depends on every other document,
    so documents are left out together with what they lend to the others. A bootstrap would draw
    documents twice, and each copy would look like another document that says the same.
    """
    chosen = _first(texts)
    words = _words(chosen)
    if sum(map(len, chosen)) > LONGEST_WORDS * len(words.codes) > 0:
        why = "the text has no words: one takes 20 characters or more"
        by_words = WordOrder(words=len(words.codes), why=why)
    else:
        by_words = _measure(words, "words")
    if by_words.ratio is not None:
        return by_words
    by_characters = _measure(_characters(chosen), "characters")
    return by_words if by_characters.ratio is None else by_characters


def _measure(sample: _Sample, unit: Literal["words", "characters"]) -> WordOrder:
    """The length of runs whose order is worth most, by its lower bound."""
    total = len(sample.codes)
    if len(sample.lengths) < LEAST_DOCUMENTS:
        return WordOrder(words=total, why=f"it takes {LEAST_DOCUMENTS} documents of two words each")
    shuffled, best, why = _shuffled(sample), None, "its words are so few that every run is common"
    for length in RUNS:
        mixed = _Runs.of(sample, shuffled, length)
        if mixed.share() >= SATURATED:
            continue
        if mixed.seen() < LEAST_SEEN:
            why = "too few words come again in another document"
            break
        true = _Runs.of(sample, sample.codes, length)
        found = WordOrder(
            words=total,
            unit=unit,
            run=length,
            share=true.share(),
            shuffled_share=mixed.share(),
            ratio=_jackknife(true, mixed),
        )
        best = max(best or found, found, key=_low)
        if _low(best) > CLEAR:
            break
    return best or WordOrder(words=total, why=why)


def _low(found: WordOrder) -> float:
    return found.ratio.low if found.ratio else 0.0


def _first(texts: Sequence[str]) -> list[str]:
    """The first texts that hold about ``WORDS`` words, the last one cut there."""
    chosen, left = [], CHARACTERS
    for text in texts:
        chosen.append(text[:left])
        left -= len(chosen[-1])
        if left <= 0:
            break
    return chosen


@dataclass(frozen=True)
class _Sample:
    """Words of the documents with two words and more, back to back."""

    codes: Numbers
    """Number of the distinct word, or of the character [words]."""
    lengths: Numbers
    """Words of each document [documents]."""

    @property
    def owners(self) -> Numbers:
        """The document of each word [words]."""
        import numpy as np

        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def _words(texts: Sequence[str]) -> _Sample:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    spaced = [text if text.isascii() else _NO_BLANKS.sub(r" \g<0> ", text) for text in texts]
    # Leading and trailing blanks would make empty words.
    split: Any = pc.utf8_split_whitespace(pa.array([t.strip() for t in spaced], pa.string()))
    coded = split.flatten().dictionary_encode().indices.to_numpy().astype(np.int64)
    lengths = np.diff(split.offsets.to_numpy()).astype(np.int64)
    kept = lengths > 1
    return _Sample(coded[np.repeat(kept, lengths)][:WORDS], _cut(lengths[kept]))


def _characters(texts: Sequence[str]) -> _Sample:
    """The characters but blanks, each like a word."""
    import numpy as np

    joined = ["".join(text.split()) for text in texts]
    kept = [text for text in joined if len(text) > 1]
    codes = np.frombuffer("".join(kept).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.array([len(text) for text in kept], dtype=np.int64)
    return _Sample(codes[:WORDS].astype(np.int64), _cut(lengths))


def _cut(lengths: Numbers) -> Numbers:
    """The documents' lengths where only the first ``WORDS`` words are kept."""
    import numpy as np

    ends = np.minimum(np.cumsum(lengths), WORDS)
    short = np.diff(ends, prepend=0)
    return short[short > 0]


def _shuffled(words: _Sample) -> Numbers:
    """The codes with the words of each document in random order."""
    import numpy as np

    chance = np.random.default_rng(SEED).random(len(words.codes))
    return words.codes[np.argsort(words.owners + chance)]


@dataclass(frozen=True)
class _Runs:
    """Every run of some words, once for each document that holds it."""

    kinds: Numbers
    """Number of the run [pairs of run and document]."""
    groups: Numbers
    """Jackknife group of the document [pairs]."""
    times: Numbers
    """How often the document holds the run [pairs]."""
    documents: Numbers
    """Documents that hold each run [kinds]."""

    @classmethod
    def of(cls, words: _Sample, codes: Numbers, length: int) -> _Runs:
        import numpy as np

        owners, room = words.owners, max(0, len(codes) - length + 1)
        runs = codes[:room].astype(np.uint64)
        for step in range(1, length):
            # Two codes fit 64 bits beside each other; of more, a collision is one in 2^64.
            runs = runs * np.uint64(_FACTOR) + codes[step : step + room].astype(np.uint64)
        inside = owners[:room] == owners[len(codes) - room :]
        _, kinds = np.unique(runs[inside], return_inverse=True)
        many = len(words.lengths) + 1
        pairs, times = np.unique(kinds * many + owners[:room][inside], return_counts=True)
        kinds, documents = pairs // many, pairs % many
        count = np.bincount(kinds) if len(kinds) else np.zeros(0, dtype=np.int64)
        return cls(kinds, documents % GROUPS, times, count)

    def seen(self) -> int:
        """Runs that another document holds too."""
        return int(self.times[self.documents[self.kinds] > 1].sum())

    def share(self) -> float:
        return self.seen() / max(1, int(self.times.sum()))

    def without(self, group: int) -> float:
        """The share where the documents of one group are left out, also as the others' echo."""
        import numpy as np

        out = self.groups == group
        fewer = self.documents - np.bincount(self.kinds[out], minlength=len(self.documents))
        left = ~out
        times = self.times[left]
        return float(times[fewer[self.kinds[left]] > 1].sum() / max(1, times.sum()))


_FACTOR = 0x9E3779B97F4A7C15
"""Odd, so that different pairs of codes below 2^32 rarely meet modulo 2^64."""


def _jackknife(true: _Runs, mixed: _Runs) -> Interval:
    """The ratio of the shares with its 95% interval, on a log scale."""
    import numpy as np

    value = true.share() / mixed.share()
    logs: NDArray[np.float64] = np.log(
        [max(1e-9, true.without(g)) / max(1e-9, mixed.without(g)) for g in range(GROUPS)]
    )
    error = float(np.sqrt((GROUPS - 1) / GROUPS * np.square(logs - logs.mean()).sum()))
    factor = float(np.exp(T_95 * error))
    return Interval(value=value, low=value / factor, high=value * factor)
