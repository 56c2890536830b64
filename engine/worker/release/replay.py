"""Generic text mixed back during SFT, by the tokens that carry loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.worker.model.base import Base
from engine.worker.packing.packs import PackLedger, segments
from engine.worker.scoring.examples import PAIR, Pairs
from engine.worker.step.rows import IGNORE
from engine.worker.tokens.document_order import shuffled
from engine.worker.tokens.store import TokenStore

SHORTEST, LONGEST = 32, 256
"""Loss tokens of a piece: as many as a step's share, but no scraps without context."""


@dataclass
class Replay:
    """Generic pieces for the steps of one SFT, so that ``share`` of the loss tokens is generic.

    Exact over the run to within one piece; a step's own share differs, as its tokens do.
    """

    store: TokenStore
    base: Base
    share: float
    seed: int
    targets: float
    """Loss tokens of the whole SFT without generic text."""
    steps: float
    sft: int = 0
    generic: int = 0
    passes: int = 0
    """Times the generic training text was begun."""

    def __post_init__(self) -> None:
        due = self.share / (1 - self.share) * self.targets
        piece = max(due / self.steps, min(due, SHORTEST))  # a short SFT owes less than a piece
        self._size = min(LONGEST, self.base.context, max(2, round(piece) + 1))
        self._pieces = self._stream()

    def pieces(self, taught: list[Pairs]) -> list[Pairs]:
        """What a step of these examples still owes."""
        self.sft += sum(targets(pairs) for pairs in taught)
        due = self.share / (1 - self.share) * self.sft
        owed: list[Pairs] = []
        while self.share and due - self.generic >= (self._size - 1) / 2:
            owed.append(next(self._pieces))
            self.generic += targets(owed[-1])
        return owed

    @property
    def achieved(self) -> float:
        """Generic loss tokens over all of them."""
        return self.generic / max(1, self.generic + self.sft)

    def _stream(self) -> Iterator[Pairs]:
        order = shuffled(self.store, heldout=False, seed=self.seed)
        found = True
        while found:
            self.passes += 1
            found = False
            eos, bos = self.base.eos, self.base.bos
            for ids in segments(self.store, order, self._size, eos, bos, PackLedger()):
                if len(ids) == self._size:
                    found = True
                    piece = np.zeros(len(ids), dtype=PAIR)
                    piece["id"], piece["label"] = ids, ids
                    yield piece
        raise InputError(
            f"No generic document has {self._size} tokens to mix back in SFT; give a larger "
            "[generic] path, or set [finish] mix_back = 0 and say why"
        )


def targets(pairs: Pairs) -> int:
    """Tokens of an example that carry loss: its first never does."""
    return int((pairs["label"][1:] != IGNORE).sum())
