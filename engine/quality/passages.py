"""Repeated passages: how much of the text says what an earlier passage said, word for word.

Near-duplicates miss what repeats inside documents or moves from one to another: a chapter that
also stands in the whole book, a contract's library code. Of the corpus's runs of 13 words the
share that came before counts all of it. It is taken from the sampled runs that ``Leaks`` keeps:
which ones are kept depends on their words alone, so a passage is kept every time or never, and
the share among them is that of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy import bool_
    from numpy.typing import NDArray

    from engine.quality.shingles import Hashes, Numbers

MOST = 2_000_000
"""Runs compared at most, 16 MB; of a larger corpus a part of the runs is taken, again by hash."""


@dataclass(frozen=True)
class Repeated:
    """Shares of the 13-word passages that came before, in [0, 1]."""

    everywhere: float
    """Among all documents."""
    kept: float
    """Among the documents that are no near-duplicates of another: what is counted off beside
    them."""


def repeated(
    blocks: Iterable[tuple[Hashes, Numbers]], runs: int, dropped: NDArray[bool_]
) -> Repeated:
    """Shares over sampled runs (hashes and their documents); ``runs`` is how many there are.

    ``dropped`` marks the near-duplicates [documents].
    """
    import numpy as np

    step = np.uint64(-(-runs // MOST) or 1)
    chosen = [np.zeros(0, dtype=np.uint64)]
    stay = [np.zeros(0, dtype=bool)]
    for grams, owners in blocks:
        taken = (grams >> np.uint64(20)) % step == 0 if step > 1 else slice(None)
        chosen.append(grams[taken])
        stay.append(~dropped[owners[taken]])
    grams, mask = np.concatenate(chosen), np.concatenate(stay)
    return Repeated(_again(grams), _again(grams[mask]))


def _again(grams: Hashes) -> float:
    import numpy as np

    return 1 - len(np.unique(grams)) / len(grams) if len(grams) else 0.0
