"""Mixture: several sources read as one corpus, each document with the number of its source."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.corpus.corpus import Corpus, Document, Sample
from engine.corpus.ledger import Ledger
from engine.corpus.remote.fetched import Tick
from engine.recipe.sources import Source


def open_corpus(source: Source) -> Corpus:
    """The corpus of a side, of one source or of several."""
    return Mixture(source) if source.also else Corpus(source)


class Mixture(Corpus):
    """Sources one after the other. Copies are found across them; the shares are packing's."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.parts = [Corpus(part) for part in source.parts]
        self.is_hub = all(part.is_hub for part in self.parts)
        self.is_remote = any(part.is_remote for part in self.parts)
        self.is_embedded = False
        self.label = " + ".join(part.label for part in self.parts)

    def check(self) -> None:
        for part in self.parts:
            part.check()

    def fetch_all(self, tick: Tick = lambda done: None) -> None:
        for part in self.parts:
            part.fetch_all(tick)

    def files(self) -> list[Path]:
        return [path for part in self.parts for path in part.files()]

    def kinds(self) -> dict[str, int]:
        return dict(sum((Counter(part.kinds()) for part in self.parts), Counter[str]()))

    def documents(self) -> Iterator[Document]:
        """All documents, source by source; starts the ledger anew."""
        self.ledger = Ledger()
        return self._one_by_one()

    def _one_by_one(self) -> Iterator[Document]:
        known = self.ledger
        for number, part in enumerate(self.parts):
            for document in part.documents():
                self.ledger = known.joined(part.ledger)
                yield replace(document, source=number)
            known = known.joined(part.ledger)
            self.ledger = known

    def samples(self, n: int) -> list[Sample]:
        each = -(-n // len(self.parts))
        return [sample for part in self.parts for sample in part.samples(each)]

    def fingerprint(self) -> str:
        """sha256 over the sources' own, in order; the shares do not change what is read."""
        total = hashlib.sha256(f"mixture of {len(self.parts)}".encode())
        for part in self.parts:
            total.update(part.fingerprint().encode())
        return total.hexdigest()
