"""Leaks: held-out documents whose text also stands in the training documents.

Which documents are held out is known only when all have been read, so one 13-gram in eight
(by its hash, hence the same ones everywhere) is kept on disk while they stream past, about
1.5 bytes a word. Memory is that of the held-out side's grams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.quality.contamination import COMMON
from engine.quality.passages import Repeated, repeated
from engine.quality.shingles import LONG, Words

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

    from engine.quality.shingles import Hashes, Numbers

LEAST = 4
"""Kept grams of a document that is judged: about 45 words."""
MOST = 0.5
"""Share of a held-out document's grams in training documents that makes it a leak."""
_BLOCK = 1 << 19


class Leaks:
    """Sampled 13-grams of a stream of documents, in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._grams = self._open("grams")
        self._owners = self._open("owners")
        self._documents = 0
        self._kept = 0
        self._long_words = 0

    def _open(self, name: str) -> BinaryIO:
        return self._stack.enter_context((self._folder / f"leak-{name}.bin").open("wb+"))

    def feed(self, batch: Words) -> None:
        """Add a batch of documents."""
        import numpy as np

        grams, places = batch.grams(LONG)
        kept = is_sampled(grams)
        self._grams.write(grams[kept].tobytes())
        owners = batch.owners[places[kept]] + self._documents
        self._owners.write(owners.astype(np.uint32).tobytes())
        self._documents += len(batch.starts) - 1
        self._kept += len(owners)
        self._long_words += int(batch.lengths[batch.lengths >= LONG].sum())

    @property
    def long_words(self) -> int:
        """Words in documents of 13 words and more, which alone can repeat a passage."""
        return self._long_words

    def repeated(self, dropped: NDArray[bool_]) -> Repeated:
        """How much of what was fed had come before; ``dropped`` marks the near-duplicates."""
        return repeated(self._blocks(), self._kept, dropped)

    def leaked(
        self,
        heldout: NDArray[bool_],
        trained: NDArray[bool_],
        tick: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[Numbers, Hashes]:
        """Held-out documents that leak, and the sampled grams that both sides hold.

        ``heldout`` and ``trained`` mark the documents of the two sides [documents].

        Grams that more than ten training documents hold are the domain's wording, and not
        counted. ``tick(done, total)`` is called for every part that was looked through.
        """
        import numpy as np

        parts = [
            np.stack([grams, owners.astype(np.uint64)])[:, heldout[owners]]
            for grams, owners in self._blocks()
        ]
        held = np.unique(np.hstack([np.zeros((2, 0), np.uint64), *parts]), axis=1)
        grams, number = np.unique(held[0], return_inverse=True)
        documents = self._trained(grams, trained, tick)
        own = documents[number] <= COMMON
        owners = held[1].astype(np.int64)[own]
        total = np.bincount(owners, minlength=len(heldout))
        seen = (documents > 0)[number[own]]
        shared = np.bincount(owners, weights=seen, minlength=len(heldout))
        leaks = np.flatnonzero((total >= LEAST) & (shared >= MOST * total))
        return leaks, grams[(documents > 0) & (documents <= COMMON)]

    def _trained(
        self, wanted: Hashes, trained: NDArray[bool_], tick: Callable[[int, int], None]
    ) -> Numbers:
        """How many training documents hold each of the wanted grams (sorted)."""
        import numpy as np

        documents = np.zeros(len(wanted), dtype=np.int64)
        for done, (grams, owners) in enumerate(self._blocks()):
            tick(done, -(-self._kept // _BLOCK))
            grams, owners = grams[trained[owners]], owners[trained[owners]]
            place = np.searchsorted(wanted, grams).clip(max=max(0, len(wanted) - 1))
            hit = wanted[place] == grams if len(wanted) else np.zeros(len(grams), dtype=bool)
            pairs = np.unique(np.stack([place[hit], owners[hit]]), axis=1)
            documents += np.bincount(pairs[0], minlength=len(wanted))
        return documents

    def _blocks(self) -> Iterator[tuple[Hashes, Numbers]]:
        """What was kept, in parts: grams and their documents."""
        import numpy as np

        self._grams.seek(0)
        self._owners.seek(0)
        while grams := self._grams.read(8 * _BLOCK):
            owners = np.frombuffer(self._owners.read(4 * _BLOCK), dtype=np.uint32)
            yield np.frombuffer(grams, dtype=np.uint64), owners.astype(np.int64)

    def close(self) -> None:
        """Close and remove the files."""
        self._stack.close()
        for path in self._folder.glob("leak-*.bin"):
            path.unlink()


def is_sampled(grams: Hashes) -> NDArray[bool_]:
    """Mask of the grams that are kept: by their high bits, which every word moves."""
    import numpy as np

    mask: NDArray[bool_] = grams >> np.uint64(61) == 0
    return mask
