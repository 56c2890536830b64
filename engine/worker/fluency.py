"""The fluency probe: is the domain text surprising to this base, and can training reduce it?

Losses are nats per token over tokens with at least ``[probe] context`` tokens before them;
bits per byte = nats / (ln 2 x UTF-8 bytes of the scored text).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import stats

from engine.evidence import Fluency, Interval, SideLoss
from engine.thresholds import effective
from engine.worker.context import Context
from engine.worker.loop import parts
from engine.worker.mix import shuffled
from engine.worker.model import Base, Precision, device
from engine.worker.tokens import TokenStore

ROUND_TOKENS = 6_000
"""Tokens read per side before the interval is looked at again."""
BATCH_TOKENS = 4_096
MIN_SCORED = 4_000
"""Scored tokens per side before an early stop is allowed."""

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
    bytes: list[int] = field(default_factory=list)

    @property
    def exhausted(self) -> bool:
        return self.read >= len(self.order)

    @property
    def tokens(self) -> int:
        return int(self.counts.sum())

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
            size = min(int(scores.store.lengths[index]), 4 * self.window)
            if size > self.context:
                chosen.append(index)
                tokens -= size
        ids = [self._ids(scores.store, index) for index in chosen]
        for index, document, nll in zip(chosen, ids, self.score(ids), strict=True):
            scores.documents.append(index)
            scores.nll.append(nll)
            scores.bytes.append(self._bytes(document, nll))

    def _ids(self, store: TokenStore, index: int) -> list[int]:
        head = [] if self.base.bos is None else [self.base.bos]
        # A very long document is read from its start; one document must not fill the sample.
        document: list[int] = store.document(index)[: 4 * self.window].tolist()
        return head + document

    def _bytes(self, ids: list[int], nll: Floats) -> int:
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
        for job in jobs:
            batch.append(job)
            if len(batch) * self.window >= BATCH_TOKENS:
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


def bootstrap_ratio(top: Floats, bottom: Floats, resamples: int, seed: int) -> Floats:
    """Ratio of sums under document resampling [resamples] (document bootstrap)."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(top), np.full(len(top), 1 / len(top)), size=resamples)
    low = draws @ bottom
    return (draws @ top) / np.maximum(low, 1e-12)


def interval(value: float, draws: Floats) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def bits(scores: Scores) -> tuple[Floats, Floats]:
    return scores.sums / math.log(2), np.array(scores.bytes, dtype=np.float64)


def bits_ratio(domain: Scores, generic: Scores, resamples: int, seed: int) -> Interval:
    """Bits per byte, domain over generic, with its 95% document-bootstrap interval."""
    (d_top, d_low), (g_top, g_low) = bits(domain), bits(generic)
    value = (d_top.sum() / d_low.sum()) / (g_top.sum() / g_low.sum())
    draws = bootstrap_ratio(d_top, d_low, resamples, seed) / bootstrap_ratio(
        g_top, g_low, resamples, seed + 1
    )
    return interval(float(value), draws)


@dataclass
class Probe:
    """Adaptive scoring of both sides until the interval leaves the threshold or budgets end."""

    context: Context
    scorer: Scorer
    domain: Scores
    generic: Scores

    def run(self) -> Fluency:
        probe = self.context.recipe.probe
        started = time.monotonic()
        limit = effective(probe.thresholds)["fluent_ratio"]
        while not self._finished(started, limit):
            for scores in (self.domain, self.generic):
                if scores.tokens < probe.max_tokens:
                    self.scorer.extend(scores, ROUND_TOKENS)
            done = min(self.domain.tokens, self.generic.tokens)
            self.context.progress(
                "scoring both sides",
                min(done, probe.max_tokens),
                probe.max_tokens,
                "tokens",
                started,
            )
        ratio = bits_ratio(self.domain, self.generic, probe.bootstrap, probe.seed)
        domain, generic = side_loss(self.domain), side_loss(self.generic)
        return Fluency(
            domain=domain,
            generic=generic,
            ratio=ratio,
            nats_ratio=domain.nats_per_token / max(1e-9, generic.nats_per_token),
            seconds=round(time.monotonic() - started, 2),
        )

    def _finished(self, started: float, limit: float) -> bool:
        probe = self.context.recipe.probe
        sides = (self.domain, self.generic)
        if all(s.exhausted or s.tokens >= probe.max_tokens for s in sides):
            return True
        enough = all(
            s.exhausted or (len(s.documents) >= probe.min_documents and s.tokens >= MIN_SCORED)
            for s in sides
        )
        if not enough or not all(s.tokens for s in sides):
            return False
        if time.monotonic() - started > probe.budget_seconds:
            return True
        ratio = bits_ratio(self.domain, self.generic, 500, probe.seed)
        return ratio.low > limit or ratio.high < limit


def new_scores(store: TokenStore, seed: int) -> Scores:
    """Held-out documents first, then the others: the base has trained on neither side.

    Only a pilot needs text it was not trained on; it takes the held-out ones.
    """
    sides = [shuffled(store, heldout=heldout, seed=seed) for heldout in (True, False)]
    return Scores(store, np.concatenate(sides))


def side_loss(scores: Scores) -> SideLoss:
    """Mean, median and 5%-trimmed losses of a scored side."""
    nats_bits, size = bits(scores)
    per_document = nats_bits / np.maximum(size, 1)
    return SideLoss(
        nats_per_token=float(scores.sums.sum() / scores.counts.sum()),
        bits_per_byte=float(nats_bits.sum() / size.sum()),
        median=float(np.median(per_document)),
        trimmed=float(stats.trim_mean(per_document, 0.05)),
        documents=len(scores.documents),
        tokens=scores.tokens,
        bytes=int(size.sum()),
    )
