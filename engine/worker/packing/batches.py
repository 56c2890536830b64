"""The packed rows of both sides as one stream: which rows batch ``k`` is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.files import digest
from engine.recipe import sections as recipes
from engine.worker.packing.packs import PackedRows, batch_order
from engine.worker.step.rows import Rows
from engine.worker.tokens.store import Ints


@dataclass(frozen=True)
class Mix:
    """Training rows of both sides as one pool, and the order in which they come."""

    domain: PackedRows
    generic: PackedRows | None
    generic_rows: int
    batch_rows: int
    epochs: float
    seed: int
    fingerprint: str

    @property
    def rows(self) -> int:
        """Rows of one epoch."""
        return len(self.domain) + self.generic_rows

    @property
    def steps(self) -> int:
        return max(1, -(-round(self.rows * self.epochs) // self.batch_rows))

    def batch(self, step: int) -> Rows:
        """Rows of global batch ``step`` (0-based): a function of (data, seed, step)."""
        stream = np.arange(step * self.batch_rows, (step + 1) * self.batch_rows)
        stream = stream[stream < max(round(self.rows * self.epochs), 1)]
        index = np.array([_order(self, int(j) // self.rows)[int(j) % self.rows] for j in stream])
        split = len(self.domain)
        parts = [self.domain.rows(index[index < split])]
        if self.generic is not None and (index >= split).any():
            parts.append(self.generic.rows(index[index >= split] - split))
        return Rows(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("ids", "positions", "labels")
            )
        )

    def tokens(self) -> int:
        """Tokens of one epoch without padding."""
        total = int(self.domain.fill.sum())
        if self.generic is not None:
            total += int(self.generic.fill[: self.generic_rows].sum())
        return total

    def achieved_share(self) -> float:
        """Generic tokens over all tokens, padding left out."""
        if self.generic is None:
            return 0.0
        return float(self.generic.fill[: self.generic_rows].sum()) / max(1, self.tokens())


@lru_cache(maxsize=4)
def _order(mix: Mix, epoch: int) -> Ints:
    return batch_order(mix.rows, mix.seed, mix.fingerprint, epoch)


def open_mix(
    folder: Path, recipe: recipes.Recipe, hashes: dict[str, str], generic_rows: int
) -> Mix:
    """The training pool of a finished pack stage.

    The order of its rows depends on their content (``hashes``) and the seed, and on nothing
    else of the recipe.
    """
    domain = PackedRows(folder / "domain")
    generic = PackedRows(folder / "generic") if generic_rows else None
    trained = {name: value for name, value in hashes.items() if not name.startswith("heldout")}
    return Mix(
        domain,
        generic,
        generic_rows,
        max(1, recipe.train.batch_tokens // domain.length),
        recipe.train.epochs,
        recipe.train.seed,
        digest(trained),
    )


def heldout_rows(folder: Path) -> Rows:
    """All rows of a held-out pack, in memory (``eval_tokens`` bounds them)."""
    pack = PackedRows(folder)
    index: Ints = np.arange(len(pack))
    return pack.rows(index)
