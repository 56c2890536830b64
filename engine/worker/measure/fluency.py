"""The fluency probe: is the domain text surprising to this base?

Both sides are scored until the interval of their bits-per-byte ratio leaves the threshold or
the budgets end. ``scoring`` has the losses, ``pilot`` what training can reduce.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.artifacts.probe import Fluency, SideLoss, TokenClass
from engine.artifacts.record import Interval
from engine.stats.bootstrap import LEVEL, ratio_of_ratios
from engine.thresholds import effective
from engine.worker.job.context import Context
from engine.worker.model.base import Base
from engine.worker.scoring.documents import Scorer, Scores, bits

ROUND_TOKENS = 6_000
"""Tokens read per side before the interval is looked at again."""
MIN_SCORED = 4_000
"""Scored tokens per side before an early stop is allowed."""
STOP_LEVEL = 0.99
"""Level of the interval that may end the sampling: looking again and again at a 95% interval
would leave fewer than 95% of the final ones right (``tests/benchmarks/coverage.py``)."""
CLASSES = ("words", "numbers", "punctuation", "whitespace")


def bits_ratio(
    domain: Scores, generic: Scores, resamples: int, seed: int, level: float = LEVEL
) -> Interval:
    """Bits per byte, domain over generic, with its document-bootstrap interval."""
    return ratio_of_ratios(bits(domain), bits(generic), resamples, seed, level)


@dataclass
class FluencyProbe:
    """Adaptive scoring of both sides until the interval leaves the threshold or budgets end."""

    context: Context
    scorer: Scorer
    domain: Scores
    generic: Scores
    ended_by: str = ""
    """What ended the scoring before its interval decided, as in ``Fluency``."""

    def run(self) -> Fluency:
        """Score, and sum up; surprising documents and terms are added by the caller."""
        probe = self.context.recipe.probe
        started, clock = time.monotonic(), self.context.clock()
        limit = effective(probe.thresholds)["fluent_ratio"]
        while not self._finished(clock, limit):
            for scores in (self.domain, self.generic):
                if scores.tokens < probe.max_tokens:
                    self.scorer.extend(scores, ROUND_TOKENS)
            done = min(self.domain.tokens, self.generic.tokens)
            self.context.progress(
                "scoring both sides",
                min(done, probe.max_tokens),
                probe.max_tokens,
                "tokens",
            )
        ratio = bits_ratio(self.domain, self.generic, probe.bootstrap, probe.seed)
        domain, generic = side_loss(self.domain), side_loss(self.generic)
        return Fluency(
            domain=domain,
            generic=generic,
            ratio=ratio,
            nats_ratio=domain.nats_per_token / max(1e-9, generic.nats_per_token),
            seconds=round(time.monotonic() - started, 2),
            classes=token_classes(self.domain, self.generic, self.scorer.base),
            budget_ended=bool(self.ended_by),
            ended_by=self.ended_by,
        )

    def _finished(self, started: float, limit: float) -> bool:
        probe = self.context.recipe.probe
        sides = (self.domain, self.generic)
        enough = all(
            s.exhausted or (len(s.documents) >= probe.min_documents and s.tokens >= MIN_SCORED)
            for s in sides
        )
        if enough and all(s.tokens for s in sides):
            ratio = bits_ratio(self.domain, self.generic, 1000, probe.seed, STOP_LEVEL)
            if ratio.low > limit or ratio.high < limit:
                return True
        if all(s.exhausted or s.tokens >= probe.max_tokens for s in sides):
            self.ended_by = "text" if all(s.exhausted for s in sides) else "tokens"
        elif enough and self.context.clock() - started > probe.budget_seconds:
            self.ended_by = "time"
        return bool(self.ended_by)


def side_loss(scores: Scores) -> SideLoss:
    """Mean, median, 5%-trimmed and percentile losses of a scored side."""
    from scipy.stats import trim_mean  # here: it takes a second to import

    nats_bits, size = bits(scores)
    per_document = nats_bits / np.maximum(size, 1)
    return SideLoss(
        nats_per_token=float(scores.sums.sum() / scores.counts.sum()),
        bits_per_byte=float(nats_bits.sum() / size.sum()),
        median=float(np.median(per_document)),
        trimmed=float(trim_mean(per_document, 0.05)),
        documents=len(scores.documents),
        tokens=scores.tokens,
        bytes=int(size.sum()),
        spread=np.percentile(per_document, np.arange(0, 101, 5)).round(4).tolist(),
    )


def token_classes(domain: Scores, generic: Scores, base: Base) -> list[TokenClass]:
    """Loss of each class of tokens on both sides: a surprise that sits in newlines or numbers
    is another thing than one in words (Oencel 2024 found forgetting in such tokens)."""
    table = class_table(base)
    sides = [_by_class(scores, table) for scores in (domain, generic)]
    found = []
    for number, name in enumerate(CLASSES):
        shares = [counts[number] / max(1.0, counts.sum()) for _, counts in sides]
        means = [
            nats[number] / counts[number] if counts[number] else None for nats, counts in sides
        ]
        found.append(
            TokenClass(
                name=name,
                domain_share=float(shares[0]),
                generic_share=float(shares[1]),
                domain_nats=means[0],
                generic_nats=means[1],
            )
        )
    return found


def _mean(total: float, count: int) -> float | None:
    """None of nothing: a class that is absent costs no 0 nats."""
    return float(total / count) if count else None


def class_table(base: Base) -> npt.NDArray[np.int64]:
    """Index into ``CLASSES`` for every token id [vocabulary]."""
    texts = base.tokenizer.batch_decode([[i] for i in range(len(base.tokenizer))])
    return np.array([CLASSES.index(_class_of(text)) for text in texts], dtype=np.int64)


def _class_of(text: str) -> str:
    if not text.strip():
        return "whitespace"
    if any(c.isalpha() or c == "\ufffd" for c in text):  # a part of a letter decodes to U+FFFD
        return "words"
    return "numbers" if any(c.isnumeric() for c in text) else "punctuation"


def _by_class(
    scores: Scores, table: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(summed nats, tokens) of each class."""
    nll = np.concatenate(scores.nll)
    ids = np.concatenate([np.asarray(ids) for ids in scores.ids])
    scored = ~np.isnan(nll) & (ids < len(table))
    classes = table[ids[scored]]
    size = len(CLASSES)
    return np.bincount(classes, nll[scored], size), np.bincount(classes, minlength=size)
