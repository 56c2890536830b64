"""What surprises the base most: held-out documents and terms, by bits per byte."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from engine.evidence import Surprise
from engine.worker.fluency import Floats, Scores, bits
from engine.worker.model import Base


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
    for index, nll in zip(domain.documents, domain.nll, strict=True):
        ids = domain.store.document(index)[: len(nll)].tolist()
        for word, nats in _words(base, ids, nll[len(nll) - len(ids) :]):
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
            if n >= 3 and word not in common
        ),
        key=lambda s: -s.bits_per_byte * math.log1p(s.count),
    )
    return ranked[:wanted]


def _words(base: Base, ids: list[int], nll: Floats) -> list[tuple[str, float]]:
    """(word, nats) of whole, fully scored words: pieces joined from one space to the next."""
    words: list[tuple[str, float]] = []
    text, nats = "", 0.0
    for piece, value in zip(base.tokenizer.convert_ids_to_tokens(ids), nll.tolist(), strict=True):
        if piece.startswith(("Ġ", "▁")):
            words.append((text, nats))
            text, nats = piece[1:], value
        else:
            text, nats = text + piece, nats + value
    return [
        (text.lower(), nats)
        for text, nats in words
        if len(text) >= 4 and text.isalpha() and text.isascii() and not math.isnan(nats)
    ]
