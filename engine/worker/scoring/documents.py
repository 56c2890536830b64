"""Token losses of documents under one model: what the probe and the pilot measure with.

Losses are nats per token over tokens with at least ``[probe] context`` tokens before them;
bits per byte = nats / (ln 2 x UTF-8 bytes of the scored text).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from engine.worker.model.base import Base, device
from engine.worker.model.precision import Precision
from engine.worker.step.loss import parts
from engine.worker.tokens.document_order import shuffled
from engine.worker.tokens.store import TokenStore

BATCH_TOKENS = 4_096
GPU_BATCHES = 16
"""A GPU reads this many batches at once."""
DOCUMENT_WINDOWS = 2
"""Windows of one document that are read at most: one document must not fill the sample."""

Floats = npt.NDArray[np.float64]


@dataclass
class Scores:
    """Scored documents of one side, in the order they were read."""

    store: TokenStore
    order: npt.NDArray[np.integer[Any]]
    read: int = 0
    nll: list[Floats] = field(default_factory=list)
    """Per document: nats of each token, NaN where not scored."""
    documents: list[int] = field(default_factory=list)
    ids: list[list[int]] = field(default_factory=list)
    """Per document: the tokens that were read, BOS included."""
    bytes: list[int] = field(default_factory=list)

    @property
    def exhausted(self) -> bool:
        return self.read >= len(self.order)

    @property
    def tokens(self) -> int:
        return int(self.counts.sum())

    @property
    def read_tokens(self) -> int:
        """Tokens that went through the model, scored or not."""
        return sum(map(len, self.ids))

    @property
    def heldout(self) -> int:
        """How many of the scored documents are held out; they come first."""
        return int(self.store.heldout[self.documents].sum())

    @property
    def sums(self) -> Floats:
        """Nats of each scored document."""
        return np.array([np.nansum(n) for n in self.nll])

    @property
    def counts(self) -> Floats:
        """Scored tokens of each document."""
        return np.array([np.count_nonzero(~np.isnan(n)) for n in self.nll], dtype=np.float64)


@dataclass(frozen=True)
class Scorer:
    """Token losses of documents under one model."""

    model: torch.nn.Module
    base: Base
    precision: Precision
    window: int
    context: int

    def extend(self, scores: Scores, tokens: int) -> None:
        """Read and score about ``tokens`` more tokens of a side."""
        chosen: list[int] = []
        while not scores.exhausted and tokens > 0:
            index = int(scores.order[scores.read])
            scores.read += 1
            size = min(int(scores.store.lengths[index]), DOCUMENT_WINDOWS * self.window)
            if size > self.context:
                chosen.append(index)
                tokens -= size
        ids = [self._ids(scores.store, index) for index in chosen]
        for index, document, nll in zip(chosen, ids, self.score(ids), strict=True):
            scores.documents.append(index)
            scores.ids.append(document)
            scores.nll.append(nll)
            scores.bytes.append(self.text_bytes(document, nll))

    def _ids(self, store: TokenStore, index: int) -> list[int]:
        document: list[int] = store.document(index)[: DOCUMENT_WINDOWS * self.window].tolist()
        return with_bos(self.base, document)

    def text_bytes(self, ids: list[int], nll: Floats) -> int:
        """UTF-8 bytes of the scored tokens' text."""
        scored = [token for token, value in zip(ids, nll, strict=True) if not math.isnan(value)]
        return len(self.base.tokenizer.decode(scored).encode())

    def score(self, documents: list[list[int]]) -> list[Floats]:
        """Nats of every token with enough context; NaN elsewhere. Windows overlap by context."""
        out = [np.full(len(d), np.nan) for d in documents]
        jobs = [
            (number, start)
            for number, document in enumerate(documents)
            for start in range(0, max(1, len(document) - self.context), self.window - self.context)
        ]
        jobs.sort(key=lambda job: min(self.window, len(documents[job[0]]) - job[1]))
        batch: list[tuple[int, int]] = []
        batch_tokens = BATCH_TOKENS * (GPU_BATCHES if device().type == "cuda" else 1)
        for job in jobs:
            batch.append(job)
            if len(batch) * self.window >= batch_tokens:
                self._batch(documents, batch, out)
                batch = []
        if batch:
            self._batch(documents, batch, out)
        return out

    @torch.no_grad()
    def _batch(
        self, documents: list[list[int]], jobs: list[tuple[int, int]], out: list[Floats]
    ) -> None:
        pieces = [documents[n][start : start + self.window] for n, start in jobs]
        longest = max(len(p) for p in pieces)
        ids = torch.tensor([p + [p[-1]] * (longest - len(p)) for p in pieces]).to(device())
        losses = self._losses(ids).double().cpu().numpy()
        first = max(1, self.context)
        for (number, start), piece, row in zip(jobs, pieces, losses, strict=True):
            out[number][start + first : start + len(piece)] = row[first - 1 : len(piece) - 1]

    def _losses(self, ids: torch.Tensor) -> torch.Tensor:
        """Loss of tokens 1.. of each row [B, T-1]; right padding is never read by real tokens."""
        self.model.eval()
        positions = torch.arange(ids.shape[1], device=ids.device)[None].expand_as(ids)
        split = parts(self.model)
        with self.precision.autocast():
            if split is None:
                logits = self.model(input_ids=ids, position_ids=positions, use_cache=False).logits
                return _rows_loss(logits[:, :-1], ids[:, 1:])
            decoder, head = split
            hidden = decoder(
                input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False
            ).last_hidden_state
            rows = [
                _rows_loss(head(h[None, :-1]), i[None, 1:])
                for h, i in zip(hidden, ids, strict=True)
            ]
            return torch.cat(rows)


def _rows_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    flat = logits.float().reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, targets.reshape(-1), reduction="none").reshape(targets.shape)


def with_bos(base: Base, ids: list[int]) -> list[int]:
    """The tokens behind BOS, where the tokenizer's own training used one."""
    return ids if base.bos is None else [base.bos, *ids]


def bits(scores: Scores) -> tuple[Floats, Floats]:
    """(bits, UTF-8 bytes) of each scored document [n]."""
    return scores.sums / math.log(2), np.array(scores.bytes, dtype=np.float64)


def new_scores(store: TokenStore, seed: int) -> Scores:
    """Held-out documents first, then the others: the base has trained on neither side.

    Only a pilot needs text it was not trained on; it takes the held-out ones.
    """
    sides = [shuffled(store, heldout=heldout, seed=seed) for heldout in (True, False)]
    return Scores(store, np.concatenate(sides))
