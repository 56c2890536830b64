"""New tokens for a domain: the merges of old pieces that shorten its token stream the most.

Byte-pair encoding (Gage 1994; Sennrich 2016) gone on with where the base's own merges ended:
each round joins the pair of neighbouring pieces that stands most often inside the words, and
counts anew, so overlaps are accounted for. As later merges rank behind all old ones, a text is
first cut into the base's own pieces and then joined: every new token stands for a fixed row of
old ones.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Word = tuple[int, ...]
"""A word of the text as the ids of its pieces."""

ENOUGH = 0.9
"""Of the saving that all worthwhile merges reach: what the default size takes; an engineering
choice. On MedQuAD the last tenth took 23-47% of the rows (novel3m's and SmolLM2's tokenizers)."""


@dataclass(frozen=True)
class Merge:
    """Two neighbouring pieces as one new token."""

    left: int
    right: int
    id: int
    text: str
    """The token as the tokenizer writes it: both pieces' texts, one behind the other."""
    saved: int
    """Tokens that the text loses by it: how often the pair stood there when it was chosen."""


def merges(
    words: Mapping[Word, int], texts: Sequence[str], size: int, least: int, taken: set[str]
) -> list[Merge]:
    """Up to ``size`` merges over counted words, the largest saving first.

    ``texts`` are the pieces' own by id; new ids start behind them. A pair whose text is
    ``taken`` by another token is left alone, and so is one that stands less than ``least``
    times. A prefix of the result is the result for a smaller size.
    """
    stream, known = _Stream(words), dict(enumerate(texts))
    taken, made = set(taken), list[Merge]()
    while len(made) < size and (best := stream.best(least)) is not None:
        pair, count = best
        text = known[pair[0]] + known[pair[1]]
        if text in taken:
            stream.leave(pair)
            continue
        new = len(known)
        stream.join(pair, new)
        known[new] = text
        taken.add(text)
        made.append(Merge(*pair, new, text, count))
    return made


def enough(found: Sequence[Merge], share: float = ENOUGH) -> int:
    """How many of the first merges reach ``share`` of the tokens that all of them save."""
    left = share * sum(merge.saved for merge in found)
    for number, merge in enumerate(found):
        if left <= 0:
            return number
        left -= merge.saved
    return len(found)


def pieces(found: Sequence[Merge]) -> dict[int, Word]:
    """The old pieces that each new token stands for."""
    made: dict[int, Word] = {}
    for merge in found:
        made[merge.id] = sum((made.get(side, (side,)) for side in (merge.left, merge.right)), ())
    return made


def occurrences(words: Mapping[Word, int], found: Sequence[Merge]) -> dict[int, int]:
    """How often each new token stands in the words once all merges are made.

    A step on the way to a longer token may be left with few.
    """
    ranks = {(merge.left, merge.right): merge.id for merge in found}  # ids ascend by rank
    counts = dict.fromkeys((merge.id for merge in found), 0)
    for word, count in words.items():
        for token in _joined(list(word), ranks):
            if token in counts:
                counts[token] += count
    return counts


def _joined(word: list[int], ranks: Mapping[tuple[int, int], int]) -> list[int]:
    while pairs := [(ranks[pair], pair) for pair in _pairs(word) if pair in ranks]:
        new, pair = min(pairs)
        word = _join(word, pair, new)
    return word


class _Stream:
    """Counted words, and how often each pair of neighbours stands in them."""

    def __init__(self, words: Mapping[Word, int]) -> None:
        self._words = [list(word) for word in words]
        self._times = list(words.values())
        self._left: set[tuple[int, int]] = set()
        self._counts: Counter[tuple[int, int]] = Counter()
        self._places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        for number in range(len(self._words)):
            self._enter(number)
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def _enter(self, number: int) -> set[tuple[int, int]]:
        found = list(_pairs(self._words[number]))
        for pair in found:
            self._counts[pair] += self._times[number]
            self._places[pair].add(number)
        return set(found)

    def best(self, least: int) -> tuple[tuple[int, int], int] | None:
        """The most frequent pair and its count, the lower ids first; None below ``least``."""
        while self._heap:
            count, pair = -self._heap[0][0], self._heap[0][1]
            now = 0 if pair in self._left else self._counts.get(pair, 0)
            if now == count:
                return (pair, count) if count >= least else None
            heapq.heappop(self._heap)
            if now >= least:
                heapq.heappush(self._heap, (-now, pair))
        return None

    def leave(self, pair: tuple[int, int]) -> None:
        """Choose a pair no more."""
        self._left.add(pair)

    def join(self, pair: tuple[int, int], new: int) -> None:
        """Make one token of a pair wherever it stands."""
        fresh = set()
        for number in sorted(self._places.pop(pair)):
            for old in _pairs(self._words[number]):
                self._counts[old] -= self._times[number]
            self._words[number] = _join(self._words[number], pair, new)
            fresh |= {p for p in self._enter(number) if new in p}
        self._counts.pop(pair, None)
        for found in fresh:
            heapq.heappush(self._heap, (-self._counts[found], found))


def _pairs(word: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbours of a word; of three equal pieces in a row only the first two are a pair."""
    before: tuple[int, int] | None = None
    for pair in pairwise(word):
        if pair == before and pair[0] == pair[1]:
            before = None
            continue
        before = pair
        yield pair


def _join(word: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    made: list[int] = []
    at = 0
    while at < len(word):
        if at + 1 < len(word) and (word[at], word[at + 1]) == pair:
            made.append(new)
            at += 2
        else:
            made.append(word[at])
            at += 1
    return made
