"""What surprises the base most: held-out documents and terms, by bits per byte."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from engine.artifacts.probe import Surprise
from engine.normal_form import normal_words
from engine.worker.model.base import Base
from engine.worker.scoring.documents import Floats, Scores, bits


def surprising_documents(scores: Scores, base: Base, wanted: int = 5) -> list[Surprise]:
    """The held-out documents with the most bits per byte, as excerpts."""
    nats_bits, size = bits(scores)
    per_document = nats_bits / np.maximum(size, 1)
    found = []
    for at in np.argsort(-per_document)[:wanted]:
        ids = scores.store.document(scores.documents[at])[:80].tolist()
        text = " ".join(base.tokenizer.decode(ids).split())[:240]
        found.append(Surprise(text=text, bits_per_byte=round(float(per_document[at]), 4)))
    return found


def surprising_terms(
    domain: Scores, generic: Scores, base: Base, wanted: int = 12
) -> list[Surprise]:
    """Words of the domain with the most bits per byte among those seen three times or more."""
    common = set(generic.store.meta["terms"])
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for ids, nll in zip(domain.ids, domain.nll, strict=True):
        for word, nats in _words(base, ids, nll):
            totals[word][0] += nats
            totals[word][1] += 1
    ranked = sorted(
        (
            Surprise(
                text=word,
                bits_per_byte=round(nats / n / math.log(2) / len(word.encode()), 3),
                count=int(n),
            )
            for word, (nats, n) in totals.items()
            if n >= 3 and normal_words(word) not in common
        ),
        key=lambda s: -s.bits_per_byte * math.log1p(s.count),
    )
    return ranked[:wanted]


def _words(base: Base, ids: list[int], nll: Floats) -> list[tuple[str, float]]:
    """(word, nats) of whole, fully scored words: pieces joined from one space to the next."""
    pieces = base.tokenizer.convert_ids_to_tokens(ids)
    starts = [at for at, piece in enumerate(pieces) if piece.startswith(("Ġ", "▁"))]
    spans = list(zip(starts, [*starts[1:], len(ids)], strict=False))  # no start: no span
    words = [
        (base.tokenizer.decode(ids[start:end]).strip().lower(), float(nll[start:end].sum()))
        for start, end in spans
    ]
    return [
        (word, nats)
        for word, nats in words
        if len(word) >= 4 and word.isalpha() and not math.isnan(nats)
    ]
