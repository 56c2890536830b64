"""Reading: a corpus as batches of documents that were not met before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.corpus.corpus import Corpus, Document
from engine.corpus.text import content_hash
from engine.quality.text_edits import TextEdits

BATCH_CHARACTERS = 1 << 19
"""Text in a batch: about a quarter of a second of tokenising, so that a stop is heeded soon."""
BATCH_DOCUMENTS = 4096
EXAMPLES = 5

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Batch:
    """Documents that are new, with the hash of their content and their size in UTF-8 bytes."""

    texts: list[str]
    origins: list[str]
    hashes: Hashes
    sizes: npt.NDArray[np.int64]
    sources: npt.NDArray[np.uint8]
    """Which of the side's sources each is of."""


class Seen:
    """Content hashes met so far: 8 bytes a document, in sorted runs of falling length."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def fresh(self, keys: Hashes) -> npt.NDArray[np.bool_]:
        """Mask of the keys not met before, neither here nor earlier in ``keys``; adds them."""
        mask = np.zeros(len(keys), dtype=bool)
        mask[np.unique(keys, return_index=True)[1]] = True
        for run in self._runs:
            place = np.searchsorted(run, keys).clip(max=len(run) - 1)
            mask &= run[place] != keys
        run = np.sort(keys[mask])
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)
        return mask


@dataclass
class Reading:
    """One pass over a corpus; the counts grow while ``batches`` is read."""

    corpus: Corpus
    edits: TextEdits | None = None
    """What is changed in every text, before copies are looked for."""
    duplicates: int = 0
    duplicate_bytes: int = 0
    copies_kept: int = 0
    repeats: list[tuple[str, int]] = field(default_factory=list)
    """Origins of the first exact duplicates, with the hash that they repeat."""

    def batches(self) -> Iterator[Batch]:
        """Documents in order, without exact duplicates unless the recipe keeps them.

        Batches without any document come too.
        """
        seen, keep = Seen(), self.corpus.source.keep_exact_copies
        for documents in _gathered(self.corpus):
            if self.edits:
                documents = _edited(documents, self.edits)
            keys = np.array([_key(one.text) for one in documents], dtype=np.uint64)
            sizes = np.array([len(one.text.encode()) for one in documents], dtype=np.int64)
            fresh = seen.fresh(keys)
            self._note([documents[i].origin for i in np.flatnonzero(~fresh)], keys[~fresh])
            if keep:
                self.copies_kept += int((~fresh).sum())
                fresh[:] = True
            self.duplicates += int((~fresh).sum())
            self.duplicate_bytes += int(sizes[~fresh].sum())
            kept = [documents[i] for i in np.flatnonzero(fresh)]
            texts, origins = [one.text for one in kept], [one.origin for one in kept]
            sources = np.array([one.source for one in kept], dtype=np.uint8)
            yield Batch(texts, origins, keys[fresh], sizes[fresh], sources)

    def _note(self, origins: list[str], keys: Hashes) -> None:
        wanted = EXAMPLES - len(self.repeats)
        self.repeats += list(zip(origins, keys.tolist(), strict=True))[:wanted]


def _key(text: str) -> int:
    return int.from_bytes(content_hash(text)[:8], "big")


def _edited(documents: list[Document], edits: TextEdits) -> list[Document]:
    """The documents of which something is left, as it is."""
    texts = [(edits.apply(one.text), one.origin) for one in documents]
    return [Document(text, origin) for text, origin in texts if text]


def _gathered(corpus: Corpus) -> Iterator[list[Document]]:
    """The corpus's documents in lists of about ``BATCH_CHARACTERS``."""
    batch: list[Document] = []
    size = 0
    for document in corpus.documents():
        batch.append(document)
        size += len(document.text)
        if size >= BATCH_CHARACTERS or len(batch) == BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
