"""Near-duplicates: MinHash signatures by rensa, banded, grouped and verified.

Signatures and band keys go to disk as they come (648 bytes a document); the search then reads
one band at a time, so memory stays at about 60 bytes a document. Documents that share a band
are compared by their signatures, and linked from an estimated Jaccard similarity of 0.8 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.quality.shingles import NEAR, Words, runs

if TYPE_CHECKING:
    from numpy import float64, uint32
    from numpy.typing import NDArray

    from engine.quality.shingles import Hashes, Numbers

SIMILAR = 0.8
"""Jaccard similarity of word shingles from which two documents are near-duplicates; Lee 2022
used an edit similarity of 0.8."""
BANDS, ROWS = 16, 8
"""A pair at 0.8 shares a band with probability 1 - (1 - 0.8^8)^16 = 95%, one at 0.5 with 6%."""
PLACES = BANDS * ROWS
SEED = 1
MOST = 2_000_000
"""Documents searched at most: 1.3 GB of disk."""
_PAIRS = 512
"""Pairs verified at once: each touches two places of a mapped file, 64 KB around either."""


@dataclass(frozen=True)
class Clusters:
    """Documents grouped by near-duplication; every field is an array over the documents."""

    first: Numbers
    """The first document of the group: itself for one without a twin, and for the first."""
    twin: Numbers
    """An earlier document verified to be similar; -1 where there is none."""
    similarity: NDArray[float64]
    """Estimated Jaccard similarity to ``twin``; 0 where there is none."""

    @property
    def dropped(self) -> Numbers:
        """The documents that a dedup would drop."""
        import numpy as np

        return np.flatnonzero(self.first != np.arange(len(self.first)))


class Signatures:
    """MinHash signatures of a stream of documents, in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._signatures = self._open("signatures")
        self._numbers = self._open("numbers")
        self._bands = [self._open(f"band{band}") for band in range(BANDS)]
        self.documents = 0
        """Documents fed; those past ``MOST`` are not searched."""

    def _open(self, name: str) -> BinaryIO:
        return self._stack.enter_context((self._folder / f"minhash-{name}.bin").open("wb+"))

    def feed(self, batch: Words) -> None:
        """Add a batch of documents. One of less than five words has no shingle and no twin."""
        import numpy as np
        from rensa import RMinHash

        grams, places = batch.grams(NEAR)
        count = np.bincount(batch.owners[places], minlength=len(batch.starts) - 1)
        chosen = np.flatnonzero(count[: max(0, MOST - self.documents)])
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(count[chosen])])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            grams[: ends[-1]], ends.astype(np.uint64), PLACES, SEED
        )
        rows = np.array(matrix.to_rows(), dtype=np.uint32).reshape(-1, PLACES)
        self._signatures.write(rows.tobytes())
        self._numbers.write((chosen + self.documents).tobytes())
        for handle, at in zip(self._bands, range(0, PLACES, ROWS), strict=True):
            handle.write(_keys(rows[:, at : at + ROWS]).tobytes())
        self.documents += len(count)

    def clusters(self, tick: Callable[[int, int], None] = lambda done, total: None) -> Clusters:
        """Group what was fed; ``tick(done, total)`` is called before every band."""
        import numpy as np

        n = self.documents
        found = Clusters(np.arange(n), np.full(n, -1, dtype=np.int64), np.zeros(n))
        self._signatures.flush()
        numbers = np.frombuffer(_content(self._numbers), dtype=np.int64)
        for band, handle in enumerate(self._bands):
            tick(band, BANDS)
            links = [np.zeros((2, 0), dtype=np.int64)]
            for pairs in _candidates(np.frombuffer(_content(handle), dtype=np.uint64)):
                links.append(self._verified(pairs, numbers, found))
            one, other = np.hstack(links)
            if len(one):
                found = Clusters(_merged(found.first, one, other), found.twin, found.similarity)
        return found

    def _verified(self, pairs: Numbers, numbers: Numbers, found: Clusters) -> Numbers:
        """The pairs [2, n] of rows that are similar and not yet linked, as document numbers."""
        import numpy as np

        ends = numbers[pairs]
        fresh = found.first[ends[0]] != found.first[ends[1]]
        pairs, ends = pairs[:, fresh], ends[:, fresh]
        rows: NDArray[uint32] = np.memmap(self._signatures.name, np.uint32, "r")
        rows = rows.reshape(-1, PLACES)
        similarity = (rows[pairs[0]] == rows[pairs[1]]).mean(axis=1)
        similar = similarity >= SIMILAR
        ends = ends[:, similar]
        found.twin[ends[1]], found.similarity[ends[1]] = ends[0], similarity[similar]
        return ends

    def close(self) -> None:
        """Close and remove the files."""
        self._stack.close()
        for path in self._folder.glob("minhash-*.bin"):
            path.unlink()


def _content(handle: BinaryIO) -> bytes:
    handle.seek(0)
    return handle.read()


def _keys(rows: NDArray[uint32]) -> Hashes:
    """One hash for every row."""
    import numpy as np

    flat = rows.astype(np.uint64).ravel()
    return runs(flat, [ROWS])[ROWS][::ROWS] if len(rows) else flat


def _candidates(keys: Hashes) -> Iterator[Numbers]:
    """Pairs of rows with one key, in parts: each row with the first one and the one before."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    places = np.flatnonzero(keys[1:] == keys[:-1]) + 1
    for at in range(0, len(places), _PAIRS):
        part = places[at : at + _PAIRS]
        start = np.searchsorted(keys, keys[part])
        yield np.stack([order[start], order[part]])
        apart = part[start != part - 1]
        yield np.stack([order[apart - 1], order[apart]])


def _merged(first: Numbers, one: Numbers, other: Numbers) -> Numbers:
    """``first`` after the groups of each linked pair have become one."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, ends = np.unique(np.stack([first[one], first[other]]), return_inverse=True)
    ends = ends.reshape(2, -1)
    n = len(nodes)
    graph = coo_array((np.ones(len(one), dtype=np.int8), tuple(ends)), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    least = np.full(n, len(first), dtype=np.int64)
    np.minimum.at(least, labels, nodes)
    table = np.arange(len(first))
    table[nodes] = least[labels]
    return table[first]
