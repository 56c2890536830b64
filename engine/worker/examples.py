"""Examples to token ids and to packed rows: what the SFT probe and the demo's base train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.gold import Example
from engine.worker import model as models
from engine.worker.loop import IGNORE, Rows
from engine.worker.pack import BestFit

PAIR: Any = np.dtype([("id", np.int64), ("label", np.int64)])
"""One token of a training example and its label."""
Pairs = Any


@dataclass(frozen=True)
class Encoder:
    """Examples to token ids: prompt and completion apart, EOS at the end of training text."""

    base: models.Base

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.base.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return found

    def prompt(self, text: str, room: int) -> list[int]:
        """Prompt ids with BOS where the model had one; the left end is cut to fit ``room``.

        Never empty: EOS stands in where nothing fits, since a completion follows something.
        """
        head = [] if self.base.bos is None else [self.base.bos]
        ids = self.ids(text)
        kept = max(0, room - len(head))
        return [*head, *ids[max(0, len(ids) - kept) :]] or [self.base.eos]

    def completion(self, text: str) -> list[int]:
        """Completion ids and EOS; half of the context at most, cut at the right end."""
        return [*self.ids(text), self.base.eos][: self.longest]

    @property
    def longest(self) -> int:
        """Tokens of a completion at most: the prompt keeps the other half of the context."""
        return self.base.context // 2

    def training(self, example: Example) -> Pairs:
        """One SFT example as (id, label) pairs; loss on the completion and EOS only."""
        completion = self.completion(example.completion)
        prompt = self.prompt(example.prompt, self.base.context - len(completion))
        pairs: Pairs = np.zeros(len(prompt) + len(completion), dtype=PAIR)
        pairs["id"] = prompt + completion
        pairs["label"] = [IGNORE] * len(prompt) + completion
        return pairs


def pack_examples(pairs: Sequence[Pairs], length: int, pad: int) -> Rows:
    """SFT examples packed into rows; positions restart at each example (document masking)."""
    fit = BestFit(length)
    full = [row for p in sorted(pairs, key=len, reverse=True) if (row := fit.place(p))]
    rows: Any = [*full, *fit.fullest(0)]
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    labels = np.full((len(rows), length), IGNORE, dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    for at, row in enumerate(rows):
        filled = 0
        for piece in row:
            end = filled + len(piece)
            ids[at, filled:end] = piece["id"]
            labels[at, filled:end] = piece["label"]
            positions[at, filled:end] = np.arange(len(piece))
            filled = end
        positions[at, filled:] = np.arange(length - filled)
    labels[positions == 0] = IGNORE
    return Rows(ids, positions, labels)
