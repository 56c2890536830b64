"""Held-out loss in bits per byte over fixed texts: comparable under any tokenizer.

Each text is read once, behind BOS (EOS where the model has none), so that every byte of it is
charged for: nats of all its tokens / (ln 2 x UTF-8 bytes).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from engine.recipe.sections import Recipe
from engine.worker.model.base import Base, sequence_length
from engine.worker.model.precision import Precision
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import IGNORE, Rows
from engine.worker.step.step import mean_loss
from engine.worker.tokens.document_order import shuffled
from engine.worker.tokens.store import TokenStore, encode

SPARE = 4
"""Room in a row for the start, and for what re-reading a cut text may add."""


@dataclass(frozen=True)
class HeldoutText:
    """Texts of one side, as the tokens of one tokenizer."""

    rows: Rows
    """A text a row [n, L], padded on the right."""
    bytes: int

    @property
    def tokens(self) -> int:
        return self.rows.targets

    def bits_per_byte(
        self,
        model: torch.nn.Module,
        precision: Precision,
        batch: int,
        check: Callable[[], None] = lambda: None,
        spread: SingleProcess | None = None,
    ) -> float:
        """Loss of a model with this tokenizer; all ranks call."""
        nats = mean_loss(model, self.rows, precision, batch, check, spread)
        return nats * self.tokens / math.log(2) / max(1, self.bytes)


def heldout_texts(store: TokenStore, base: Base, recipe: Recipe) -> list[str]:
    """Held-out documents of a store that ``base`` reads, each cut to a row of its tokens.

    As many as hold ``[train] eval_tokens``, in the order in which they are packed.
    """
    length = min(sequence_length(recipe, base), base.context) - SPARE
    texts, left = list[str](), recipe.train.eval_tokens
    for index in shuffled(store, heldout=True, seed=recipe.train.seed):
        ids = store.document(int(index))[: min(length, left)].tolist()
        text = base.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        texts.append(text.rstrip("\ufffd"))  # a character cut in two
        left -= len(ids)
        if left <= 0:
            break
    return [text for text in texts if text]


def read(texts: list[str], base: Base) -> HeldoutText:
    """The texts in the tokens of ``base``."""
    start = base.eos if base.bos is None else base.bos
    documents = [[start, *ids] for ids in encode(base.tokenizer, texts)]
    shape = (len(documents), max(map(len, documents)))
    ids, labels = np.full(shape, base.eos), np.full(shape, IGNORE)
    for row, document in enumerate(documents):
        ids[row, : len(document)] = document
        labels[row, 1 : len(document)] = document[1:]
    positions = np.broadcast_to(np.arange(shape[1]), shape)
    return HeldoutText(Rows(ids, positions, labels), sum(len(t.encode()) for t in texts))
