"""Contamination: which gold items stand in the corpus, by 13-grams of words.

Memory is flat: the grams of the *gold set* are kept, the corpus streams past them. Not every
shared gram is contamination. Three things that are none are left out:

- the frame: what many prompts start or end with ("Classify the following question:");
- templates: grams that more than half of the items hold;
- common wording: grams that more than ten corpus documents hold.

An item is contaminated where 80% of the words in its other grams stand in one document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from engine.quality.shingles import LONG, SHORT, Words, words_of

if TYPE_CHECKING:
    from numpy import bool_, float64
    from numpy.typing import NDArray

    from engine.quality.shingles import Hashes, Numbers

COVERED = 0.8
"""Share of an item's words that makes it contaminated: Llama 2 (Touvron 2023, A.6) calls an
item with 80% of its tokens in such grams "dirty"."""
COMMON = 10
"""A gram in more corpus documents than this is the domain's wording; engineering choice."""
FRAME_SHARE, FRAME_ITEMS, FRAME_WORDS = 0.1, 4, 40
"""A frame is shared by so large a share of the items, by so many, and is at most so long."""
LEAST = 5
"""Grams of its own that an item needs to be judged, unless it has fewer in all."""
EXAMPLES = 5

_SLOTS = 1 << 20


class GoldItem(Protocol):
    """Anything with a prompt and a completion."""

    @property
    def prompt(self) -> str: ...
    @property
    def completion(self) -> str: ...


@dataclass(frozen=True)
class Overlapped:
    """What the corpus holds of the gold set; items by number from 0."""

    contaminated: list[int] = field(default_factory=list)
    common: list[int] = field(default_factory=list)
    """Items whose words stand in the corpus, but only as wording of many documents."""
    short: int = 0
    """Items too short to be looked for."""
    examples: list[tuple[int, int, str]] = field(default_factory=list)
    """Item, corpus document (in the order of feeding) and 13 words that they share."""


class Overlap:
    """The gold items' grams, and which of them a stream of corpus documents held.

    ``feed`` it every corpus document, then read ``found``.
    """

    def __init__(self, items: Sequence[GoldItem]) -> None:
        import numpy as np

        self._texts = _framed(items)
        grams, owners, places = _grams_of(self._texts)
        self._grams, self._number = np.unique(grams, return_inverse=True)
        """Distinct grams, sorted; and the number of the gram at every place of every item."""
        self._owners, self._places = owners, places
        self._lengths = np.array([min(len(text), LONG) for text in self._texts], dtype=np.int64)
        self._documents = np.zeros(len(self._grams), dtype=np.int64)
        """Corpus documents that held each gram."""
        self._hits: list[tuple[Numbers, Numbers]] = []
        """Documents and grams, as long as the gram may be no common wording."""
        self._fed = 0
        self._table = np.zeros(_SLOTS, dtype=bool)
        self._table[self._grams % _SLOTS] = True

    def feed(self, batch: Words) -> None:
        """Look through some corpus documents."""
        import numpy as np

        for length in np.unique(self._lengths[self._lengths >= SHORT]):
            grams, places = batch.grams(int(length))
            likely = self._table[grams % _SLOTS]
            self._note(grams[likely], batch.owners[places[likely]])
        self._fed += len(batch.starts) - 1

    def _note(self, grams: Hashes, owners: Numbers) -> None:
        import numpy as np

        if not len(self._grams) or not len(grams):
            return
        at = np.searchsorted(self._grams, grams).clip(max=len(self._grams) - 1)
        there = self._grams[at] == grams
        pairs = np.unique(np.stack([owners[there], at[there]]), axis=1)
        self._documents += np.bincount(pairs[1], minlength=len(self._grams))
        pairs = pairs[:, self._documents[pairs[1]] <= COMMON]
        if pairs.size:
            self._hits.append((pairs[0] + self._fed, pairs[1]))

    def found(self) -> Overlapped:
        """What was fed holds of the items."""
        shares, spots = self._best()
        seen = self._coverage(self._documents[self._number] > 0)
        contaminated = [i for i, share in enumerate(shares) if share >= COVERED]
        common = [i for i, share in enumerate(seen) if share >= COVERED and shares[i] < COVERED]
        return Overlapped(
            contaminated=contaminated,
            common=common,
            short=sum(len(text) < SHORT for text in self._texts),
            examples=[(i, *spots[i]) for i in contaminated[:EXAMPLES]],
        )

    @cached_property
    def _template(self) -> NDArray[bool_]:
        """Grams that more than half of the items hold."""
        import numpy as np

        pairs = np.unique(np.stack([self._number, self._owners]), axis=1)
        items = np.bincount(pairs[0], minlength=len(self._grams))
        limit: NDArray[bool_] = items > max(FRAME_ITEMS, len(self._texts) / 2)
        return limit

    def _best(self) -> tuple[list[float], dict[int, tuple[int, str]]]:
        """The largest share of each item's own words in one document, and where that is."""
        import numpy as np

        shares = [0.0] * len(self._texts)
        spots: dict[int, tuple[int, str]] = {}
        own = ((self._documents <= COMMON) & ~self._template)[self._number]
        total = np.bincount(self._owners, minlength=len(shares))
        judged = np.bincount(self._owners[own], minlength=len(shares)) >= np.minimum(LEAST, total)
        words = self._covered(self._owners[own], self._places[own], len(shares))
        documents, at = self._places_hit(own)
        order = np.lexsort([self._places[at], self._owners[at], documents])
        documents, at = documents[order], at[order]
        groups = documents * len(shares) + self._owners[at]
        keys, first, group = np.unique(groups, return_index=True, return_inverse=True)
        covered = self._covered(group, self._places[at], len(keys), self._owners[at])
        for key, spot, count in zip(keys.tolist(), first, covered.tolist(), strict=True):
            document, item = divmod(key, len(shares))
            share = count / words[item]
            if judged[item] and share > shares[item]:
                place = int(self._places[at[spot]])
                text = " ".join(self._texts[item][place : place + LONG])
                shares[item], spots[item] = share, (document, text)
        return shares, spots

    def _places_hit(self, own: NDArray[bool_]) -> tuple[Numbers, Numbers]:
        """Every hit as a document and a place of an item that holds the gram."""
        import numpy as np

        empty = np.zeros(0, dtype=np.int64)
        documents = np.concatenate([hit[0] for hit in self._hits] or [empty])
        grams = np.concatenate([hit[1] for hit in self._hits] or [empty])
        order = np.flatnonzero(own)[np.argsort(self._number[own], kind="stable")]
        numbers = self._number[order]
        first = np.searchsorted(numbers, grams)
        count = np.searchsorted(numbers, grams, side="right") - first
        shift = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(documents, count), order[np.repeat(first, count) + shift]

    def _coverage(self, seen: NDArray[bool_]) -> NDArray[float64]:
        """Share of each item's words in the grams seen."""
        import numpy as np

        words = np.array([max(1, len(text)) for text in self._texts])
        covered = self._covered(self._owners[seen], self._places[seen], len(words))
        share: NDArray[float64] = covered / words
        return share

    def _covered(
        self, groups: Numbers, places: Numbers, count: int, items: Numbers | None = None
    ) -> Numbers:
        """Words of each group [count] that its grams cover; a gram covers ``places`` and on."""
        import numpy as np

        length = self._lengths[groups if items is None else items]
        order = np.lexsort([places, groups])
        groups, places, length = groups[order], places[order], length[order]
        step = np.append(np.diff(places), 0)
        last = np.append(np.diff(groups) != 0, True)
        covered = np.where(last, length, np.minimum(step, length))
        return np.bincount(groups, weights=covered, minlength=count).astype(np.int64)


def _framed(items: Sequence[GoldItem]) -> list[list[str]]:
    """The words of each item without its frame; the completion joins a prompt that is short."""
    prompts = _unframed(_word_lists([item.prompt for item in items]))
    answers = _word_lists([item.completion for item in items])
    return [
        prompt if len(prompt) >= LONG else prompt + answer
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _word_lists(texts: list[str]) -> list[list[str]]:
    batch = words_of(texts)
    words = [batch.distinct[code] for code in batch.codes]
    return [words[start:end] for start, end in pairwise(batch.starts.tolist())]


def _unframed(texts: list[list[str]]) -> list[list[str]]:
    """Without the words that many texts start or end with."""
    least = max(FRAME_ITEMS, FRAME_SHARE * len(texts))
    heads = _shared(texts, least)
    tails = _shared([text[head:][::-1] for text, head in zip(texts, heads, strict=True)], least)
    return [
        text[head : len(text) - tail] for text, head, tail in zip(texts, heads, tails, strict=True)
    ]


def _shared(texts: list[list[str]], least: float) -> list[int]:
    """How many of each text's first words at least ``least`` texts share, one after another."""
    shared = [0] * len(texts)
    alive = list(range(len(texts)))
    for length in range(1, FRAME_WORDS + 1):
        heads = {i: tuple(texts[i][:length]) for i in alive if len(texts[i]) >= length}
        count = Counter(heads.values())
        alive = [i for i, head in heads.items() if count[head] >= least]
        for i in alive:
            shared[i] = length
    return shared


def _grams_of(texts: list[list[str]]) -> tuple[Hashes, Numbers, Numbers]:
    """Every gram of every text: its hash, the text's number, and where in it the gram starts."""
    import numpy as np

    batch = words_of([" ".join(text) for text in texts])
    parts = []
    for length in range(SHORT, LONG + 1):
        grams, places = batch.grams(length)
        size = batch.lengths[batch.owners[places]]
        mine = size >= length if length == LONG else size == length
        owners = batch.owners[places[mine]]
        parts.append((grams[mine], owners, places[mine] - batch.starts[owners]))
    grams, owners, starts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return grams, owners, starts
