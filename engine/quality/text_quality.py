"""Quality: what the text of one side is like, gathered while its token store is built.

One pass, flat memory: near-duplicates and shared lines are counted over all documents; the
rest is measured on a random sample of documents, kept by content hash.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Sequence

from engine.artifacts.scan import Quality
from engine.quality.boilerplate import Boilerplate
from engine.quality.languages import languages
from engine.quality.near_duplicates import MOST
from engine.quality.odd_words import odd_characters_share, odd_words_share

SAMPLE = 1000
"""Documents in the sample."""
LONGEST = 4000
"""Characters of each that are kept."""


class TextQuality:
    """Gathers quality over a stream of documents: ``feed`` batches, then ``measure``."""

    def __init__(self) -> None:
        self._boilerplate = Boilerplate()
        self._sample: list[tuple[int, str, int]] = []
        self._documents = 0

    def feed(self, texts: Sequence[str], hashes: Sequence[int]) -> None:
        """Add documents with their content hashes: those with the highest are the sample."""
        self._boilerplate.feed(texts)
        self._documents += len(texts)
        for text, key in zip(texts, hashes, strict=True):
            if len(self._sample) < SAMPLE:
                heapq.heappush(self._sample, (key, text[:LONGEST], len(text)))
            elif key > self._sample[0][0]:
                heapq.heapreplace(self._sample, (key, text[:LONGEST], len(text)))

    def measure(self) -> Quality:
        """All but the duplicates, which their search knows."""
        texts = [text for _, text, _ in sorted(self._sample)]
        return Quality(
            documents=min(self._documents, MOST),
            near_duplicate_documents=0,
            near_duplicate_tokens=0,
            boilerplate_share=self._boilerplate.share,
            boilerplate=self._boilerplate.lines(),
            gzip_ratio=gzip_ratio(texts),
            odd_words_share=odd_words_share(texts),
            odd_characters_share=odd_characters_share(texts),
            languages=languages((text, length) for _, text, length in self._sample),
            notes=self._notes(),
        )

    def _notes(self) -> list[str]:
        notes = []
        if self._documents > SAMPLE or any(length > LONGEST for _, _, length in self._sample):
            notes.append(
                f"languages, odd words and gzip ratio: from the first {LONGEST:,} characters of "
                f"{len(self._sample):,} documents"
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
