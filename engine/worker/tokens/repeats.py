"""Examples of what a corpus repeats: near-duplicates, exact duplicates, leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engine.artifacts.scan import NearPair
from engine.corpus.text import clean
from engine.quality.heldout_leaks import is_sampled
from engine.quality.near_duplicates import Clusters
from engine.quality.shingles import LONG, words_of
from engine.worker.tokens.store import Ints, TokenStore

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


SHOWN = 5
HEAD_TOKENS = 60
"""Tokens decoded to show how a document starts."""
HEAD = 120


def near_pairs(
    store: TokenStore, clusters: Clusters, tokenizer: PreTrainedTokenizerBase
) -> list[NearPair]:
    """One pair out of each of the largest groups."""
    linked = np.flatnonzero(clusters.twin >= 0)
    _, first, sizes = np.unique(clusters.first[linked], return_index=True, return_counts=True)
    largest = linked[first[np.argsort(-sizes, kind="stable")[:SHOWN]]]
    return [
        NearPair(
            kept=store.origin(int(clusters.twin[dropped])),
            dropped=store.origin(int(dropped)),
            similarity=round(float(clusters.similarity[dropped]), 2),
            text=_head(store, int(dropped), tokenizer),
        )
        for dropped in largest
    ]


def _head(store: TokenStore, index: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """How a document starts."""
    text = clean(tokenizer.decode(store.document(index)[:HEAD_TOKENS].tolist()))
    return " ".join(text.split())[:HEAD]


def exact(store: TokenStore, repeated: list[tuple[str, int]]) -> list[str]:
    """``b.txt:9 repeats a.txt:3`` for the first exact duplicates."""
    lines = []
    for origin, key in repeated:
        kept = int(np.flatnonzero(store.hashes == np.uint64(key))[0])
        lines.append(f"{origin} repeats {store.origin(kept)}")
    return lines


def leaks(
    store: TokenStore,
    leaked: Ints,
    shared: npt.NDArray[np.uint64],
    tokenizer: PreTrainedTokenizerBase,
) -> list[str]:
    """Held-out documents with 13 words that training documents hold too."""
    lines = []
    for index in leaked[:SHOWN].tolist():
        words = words_of([tokenizer.decode(store.document(index).tolist())])
        grams, places = words.grams(LONG)
        hits = places[is_sampled(grams) & np.isin(grams, shared)]
        if len(hits):  # decoded text may differ from the text read, so it may find none
            codes = words.codes[hits[0] : hits[0] + LONG]
            said = " ".join(words.distinct[code] for code in codes)
            lines.append(f'held-out {store.origin(index)} also in training text: "{said}"')
    return lines
