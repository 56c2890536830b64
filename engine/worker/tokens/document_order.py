"""Which documents are taken, and in which order, from a seed alone."""

from __future__ import annotations

import numpy as np

from engine.worker.tokens.store import Ints, TokenStore


def take(store: TokenStore, order: Ints, tokens: int, extra: int) -> Ints:
    """The first documents of ``order`` holding at least ``tokens`` (with separators)."""
    sizes = np.cumsum(store.lengths[order] + extra)
    return order[: int(np.searchsorted(sizes, tokens)) + 1]


def shuffled(store: TokenStore, heldout: bool, seed: int) -> Ints:
    """Documents of one side of the split in a seeded order."""
    return np.random.default_rng([seed, int(heldout)]).permutation(store.side(heldout))
