"""Quality: what the text of one side is like, gathered while its token store is built.

One pass, flat memory: near-duplicates and shared lines are counted over all documents; the
rest is measured on a random sample of documents, kept by content hash.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Sequence

from engine.artifacts.scan import Quality
from engine.normal_form import composed
from engine.quality.boilerplate import Boilerplate
from engine.quality.languages import languages
from engine.quality.near_duplicates import MOST
from engine.quality.odd_words import is_of_words, odd_characters_share, odd_words_share
from engine.quality.word_order import CHARACTERS, word_order

SAMPLE = 1000
"""Documents in the sample, where they are long enough to fill it."""
LONGEST = 4000
"""Characters of each that are kept."""
FEW = 300
"""Documents whose language is told, and that are compressed: a share of 5% is then known to
about 2 points, and gzip looks back no further than 32 KB."""


class TextQuality:
    """Gathers quality over a stream of documents: ``feed`` batches, then ``measure``."""

    def __init__(self) -> None:
        self._boilerplate = Boilerplate()
        self._sample: list[tuple[int, str, int]] = []
        self._documents = 0
        self._characters = 0
        """Characters held in the sample."""

    def feed(self, texts: Sequence[str], hashes: Sequence[int]) -> None:
        """Add documents with their content hashes: those with the highest are the sample.

        It grows past ``SAMPLE`` where the documents are too short for the word order's sample.
        """
        self._boilerplate.feed(texts)
        self._documents += len(texts)
        for text, key in zip(texts, hashes, strict=True):
            if len(self._sample) < SAMPLE or self._characters < CHARACTERS:
                heapq.heappush(self._sample, (key, text[:LONGEST], len(text)))
            elif key > self._sample[0][0]:
                _, out, _ = heapq.heapreplace(self._sample, (key, text[:LONGEST], len(text)))
                self._characters -= len(out)
            else:
                continue
            self._characters += min(LONGEST, len(text))
            while len(self._sample) > SAMPLE and (
                self._characters - len(self._sample[0][1]) >= CHARACTERS
            ):
                self._characters -= len(heapq.heappop(self._sample)[1])

    def measure(self) -> Quality:
        """All but the duplicates, which their search knows."""
        sample = sorted(self._sample, reverse=True)
        sample = [(key, composed(text), size) for key, text, size in sample]
        texts = [text for _, text, _ in sample[:SAMPLE]]
        return Quality(
            documents=min(self._documents, MOST),
            near_duplicate_documents=0,
            near_duplicate_tokens=0,
            boilerplate_share=self._boilerplate.share,
            boilerplate=self._boilerplate.lines(),
            gzip_ratio=gzip_ratio(texts[:FEW]),
            odd_words_share=odd_words_share(filter(is_of_words, texts)),
            odd_characters_share=odd_characters_share(texts),
            languages=languages((text, size) for _, text, size in sample[:FEW]),
            word_order=word_order([text for _, text, _ in sample]),
            notes=self._notes(),
        )

    def _notes(self) -> list[str]:
        notes = []
        if self._documents > SAMPLE or any(size > LONGEST for _, _, size in self._sample):
            documents = min(SAMPLE, len(self._sample))
            notes.append(
                f"languages, odd words and gzip ratio: from the first {LONGEST:,} characters of "
                f"{documents:,} documents (odd words), {min(FEW, documents)} (the others)"
            )
        if self._documents > MOST:
            notes.append(f"near-duplicates: looked for among the first {MOST:,} documents")
        return notes


def gzip_ratio(texts: Sequence[str]) -> float:
    """Compressed over raw size of the texts in one stream; 0 where there is none."""
    packer = zlib.compressobj()
    packed = raw = 0
    for text in texts:
        data = text.encode("utf-8", "replace")
        raw += len(data)
        packed += len(packer.compress(data))
    packed += len(packer.flush())
    return packed / raw if raw else 0.0
