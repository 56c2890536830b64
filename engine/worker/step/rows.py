"""Packed rows as tensors: ids, positions and labels, and how they split into documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine.worker.model.base import device
from engine.worker.model.fast_paths import paths_of

IGNORE = -100


Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Packed rows [B, L]: ids, position ids that restart at each document, labels."""

    ids: Array
    positions: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Rows:
        return Rows(self.ids[part], self.positions[part], self.labels[part])

    @property
    def targets(self) -> int:
        """Tokens that carry loss (labels are shifted by one inside the model)."""
        return int((self.labels[:, 1:] != IGNORE).sum())

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return (
            torch.from_numpy(self.ids.astype(np.int64)).to(device()),
            torch.from_numpy(self.positions.astype(np.int64)).to(device()),
            torch.from_numpy(self.labels.astype(np.int64)).to(device()),
        )


def micro_batches(model: torch.nn.Module, rows: Rows, size: int) -> Iterator[Rows]:
    """``rows`` in parts of ``size`` rows, or of as many tokens with one document a row.

    The latter where this model was not proven to keep the documents of a row apart; its rows
    are padded on the right, which no earlier token reads.
    """
    if paths_of(model).packed.ok:
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
        return
    pieces = sorted(documents(rows), key=len, reverse=True)
    cells = size * rows.ids.shape[1]
    while pieces:
        count = max(1, cells // len(pieces[0]))
        yield _one_a_row(pieces[:count])
        pieces = pieces[count:]


def documents(rows: Rows) -> Iterator[Array]:
    """Each document that carries loss as (id, label) pairs [n, 2]."""
    for ids, positions, labels in zip(rows.ids, rows.positions, rows.labels, strict=True):
        starts = np.flatnonzero(positions == 0)
        for document in np.split(np.stack([ids, labels], axis=1), starts[starts > 0]):
            if (document[1:, 1] != IGNORE).any():
                yield document


def _one_a_row(pieces: list[Array]) -> Rows:
    shape = (len(pieces), len(pieces[0]))
    ids, labels = np.zeros(shape, dtype=np.int64), np.full(shape, IGNORE, dtype=np.int64)
    for row, document in enumerate(pieces):
        ids[row, : len(document)], labels[row, : len(document)] = document.T
    return Rows(ids, np.broadcast_to(np.arange(shape[1]), shape), labels)
