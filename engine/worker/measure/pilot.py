"""The pilot: reducible surprise, measured by a short run on each side.

A look costs a quarter of the tokens. Where it decides already, the full pilot is not run: a
gain only grows with the tokens read, and a gain too small to reach the threshold even if it
grew in proportion to them (it grows more slowly) is no gain.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import numpy as np
import torch

from engine.artifacts.probe import Pilot
from engine.artifacts.record import Interval
from engine.recipe.defaults import PILOT_WIDTH, TRIAL_RANK, pilot_lr
from engine.recipe.sections import Recipe
from engine.runs.events import Alarm, TrainStep
from engine.stats.bootstrap import interval, ratio_deviations, ratio_of_ratios
from engine.thresholds import effective
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.base import sequence_length, text_config
from engine.worker.model.precision import Precision
from engine.worker.packing.packs import PackLedger, segments, write_pack
from engine.worker.scoring import self_check
from engine.worker.scoring.documents import Floats, Scorer, Scores, with_bos
from engine.worker.step.frozen_base import hold_where_it_pays
from engine.worker.step.optimizer import learning_rate, make_optimizer
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper
from engine.worker.tokens.document_order import shuffled, take
from engine.worker.tokens.store import TokenStore, encode

LOOK = 0.25
"""Share of the pilot's tokens after which it may end."""
STEPS = 30
"""Optimizer steps a pilot aims at; its batch is its tokens over this."""
ROW_TOKENS = 512
"""Longest row: a pilot needs many steps more than it needs long context."""
EVAL_DOCUMENTS = 60
EVAL_TOKENS = 16_000
LONGEST_WORDS = 20
"""Characters a word on average; more, and the script writes no spaces."""
LEAST_TOKENS = 5_000
"""A slow machine shrinks the pilot no further than this."""
CORPUS_SHARE = 0.05
"""Of the corpus, used by a pilot at most: enough to see what training can reduce, too little to
be the training. An engineering choice."""


@dataclass(frozen=True)
class PilotRunner:
    """Trains a throwaway copy of the base on a little of one side and scores held-out text."""

    context: Context
    base: models.Base
    precision: Precision
    window: int
    min_context: int
    tokens_per_s: float
    """Training speed of this machine when idle, from a timing; it bounds the pilot's size."""

    def run(self, domain: Scores, generic: Scores) -> Pilot:
        """A look, and the full pilot where the look leaves the question open."""
        started = time.monotonic()
        tokens, wanted = self._tokens(domain.store, generic.store)
        limits = effective(self.context.recipe.probe.thresholds)
        pilot = self._pilot(domain, generic, max(1, int(LOOK * tokens)))
        if not decided(pilot, LOOK, limits):
            pilot = self._pilot(domain, generic, tokens)
        seconds = round(time.monotonic() - started, 2)
        sizes = {"full_tokens": tokens, "wanted_tokens": wanted}
        return pilot.model_copy(update={"seconds": seconds, **sizes})

    def _tokens(self, *stores: TokenStore) -> tuple[int, int]:
        """Tokens of the full pilot, and what recipe and corpus ask for: both the same where time
        allows it. What a run had to do with less, its replay does with as much, on any machine.
        """
        recipe = self.context.recipe
        available = [int(s.lengths[s.side(heldout=False)].sum()) for s in stores]
        share = max(20_000, int(CORPUS_SHARE * available[0]))
        wanted = min(recipe.probe.pilot_tokens, share, *available)
        texts = [store.meta["fingerprint"] for store in stores]
        kept = replayed_tokens(recipe, self.base.identity, texts, wanted)
        cost = len(stores) * (1 + LOOK) / self.tokens_per_s
        tokens = kept or fitting_tokens(wanted, cost, recipe.probe.budget_seconds)
        if tokens < wanted:
            why = (
                "as in the run that this recipe is of"
                if kept
                else f"this machine trains {self.tokens_per_s:,.0f} tokens/s and [probe] "
                f"budget_seconds is {recipe.probe.budget_seconds}; the recipe keeps this size"
            )
            message = f"pilot shrunk from {wanted:,} to {tokens:,} tokens a side: {why}"
            self.context.emit(Alarm(level="note", stage="probe", message=message))
        return tokens, wanted

    def _pilot(self, domain: Scores, generic: Scores, tokens: int) -> Pilot:
        """Both sides on equal tokens; the net gain with its document-bootstrap interval."""
        probe = self.context.recipe.probe
        started = time.monotonic()
        (gain_d, n_d), learnt = self._one(domain, tokens, "domain")
        order = order_ratio(learnt, domain, probe.bootstrap, probe.seed)
        del learnt  # one model at a time
        (gain_g, n_g), _ = self._one(generic, tokens, "generic")
        domain_gain = float(gain_d.sum() / n_d.sum())
        generic_gain = float(gain_g.sum() / n_g.sum())
        deviations = ratio_deviations(gain_d, n_d, probe.bootstrap, probe.seed)
        deviations = deviations - ratio_deviations(gain_g, n_g, probe.bootstrap, probe.seed + 1)
        return Pilot(
            domain_gain=domain_gain,
            generic_gain=generic_gain,
            gain=interval(domain_gain - generic_gain, deviations),
            tokens=tokens,
            steps=self._steps(tokens)[0],
            method=self.context.recipe.train.method,
            lr=self.lr(),
            seconds=round(time.monotonic() - started, 2),
            order_ratio=order,
        )

    def lr(self) -> float:
        """Recipe's pilot rate, else the run's own, else a hot start rate (throwaway model)."""
        recipe = self.context.recipe
        chosen = recipe.probe.pilot_lr or recipe.train.lr
        if chosen:
            return chosen
        width = int(getattr(text_config(self.base.config), "hidden_size", PILOT_WIDTH))
        return pilot_lr(recipe.train.method, width)

    @property
    def _length(self) -> int:
        return min(sequence_length(self.context.recipe, self.base), ROW_TOKENS)

    def _steps(self, tokens: int) -> tuple[int, int]:
        """(steps, rows of a step) for a pilot of ``tokens``."""
        rows = max(1, tokens // self._length)
        batch = max(1, rows // STEPS)
        return -(-rows // batch), batch

    def _one(self, scores: Scores, tokens: int, label: str) -> tuple[tuple[Floats, Floats], Scorer]:
        """Per held-out document nats gained and tokens scored; and the trained scorer."""
        model = self._model()
        chosen = evaluated(scores, self.window)
        documents = [scores.ids[i][: self.window] for i in chosen]
        before = [scores.nll[i][: self.window] for i in chosen]
        self._train(model, self._rows(scores.store, tokens, label), tokens, label)
        scorer = Scorer(model, self.base, self.precision, self.window, self.min_context)
        after = scorer.score(documents)
        gained = [np.nansum(b) - np.nansum(a) for b, a in zip(before, after, strict=True)]
        counts = [np.count_nonzero(~np.isnan(b)) for b in before]
        return (np.array(gained), np.array(counts, dtype=np.float64)), scorer

    def _train(self, model: torch.nn.Module, rows: Rows, tokens: int, label: str) -> None:
        steps, batch = self._steps(tokens)
        steps = min(steps, -(-len(rows) // batch))
        optimizer = make_optimizer(model, self.lr(), embeddings_scale=self._embeddings_scale())
        micro = max(1, 4096 // self._length)
        stepper = Stepper(model, optimizer, self.precision, 1.0, micro)
        for step in range(steps):
            began = time.monotonic()
            part = rows[step * batch : (step + 1) * batch]
            rate = learning_rate(step, steps, self.lr(), "cosine", max(1, steps // 10), 0.1)
            loss, norm = stepper.step(part, rate)
            self.context.emit(
                TrainStep(
                    step=step + 1,
                    total=steps,
                    tokens=(step + 1) * batch * self._length,
                    loss=loss,
                    lr=rate,
                    grad_norm=norm,
                    tokens_per_s=round(part.targets / max(1e-9, time.monotonic() - began), 1),
                    series=f"pilot {label}",
                )
            )
            self.context.progress(f"{label} pilot", step + 1, steps, "steps")

    def _model(self) -> torch.nn.Module:
        recipe = self.context.recipe
        model = methods.load(self.base, recipe)
        self_check.prove(self.context, self.base, model, self.precision)
        model = methods.ready(model, recipe, recipe.lora.rank or TRIAL_RANK, recipe.probe.seed)
        hold_where_it_pays(model, self.base, recipe, self.precision)
        return model

    def _embeddings_scale(self) -> float:
        train = self.context.recipe.train
        if train.embeddings_lr and train.lr:
            return train.embeddings_lr / train.lr
        return 0.1

    def _rows(self, store: TokenStore, tokens: int, label: str) -> Rows:
        recipe = self.context.recipe
        order = take(store, shuffled(store, heldout=False, seed=recipe.probe.seed), tokens, 1)
        ledger = PackLedger()
        folder = self.context.run.path / "pack" / f"pilot-{label}"
        eos, bos = self.base.eos, self.base.bos
        pieces = segments(store, order, self._length, eos, bos, ledger, tokens)
        pack = write_pack(folder, pieces, self._length, store.meta["dtype"], self.base.eos, ledger)
        index = np.random.default_rng(recipe.probe.seed).permutation(len(pack))
        return pack.rows(index)


def fitting_tokens(wanted: int, seconds_per_token: float, budget_seconds: float) -> int:
    """As many tokens as the time allows: ``wanted`` halved until it fits."""
    tokens = wanted
    while tokens > 2 * LEAST_TOKENS and tokens * seconds_per_token > budget_seconds:
        tokens //= 2
    return tokens


def replayed_tokens(recipe: Recipe, model: str, texts: list[str], wanted: int) -> int | None:
    """Size of the pilot in the run that wrote this recipe, of the same model, texts and request.

    None in a recipe of no run, and where one of these is another now.
    """
    known, probed = recipe.provenance, recipe.evidence.get("probe")
    pilot = probed.get("pilot") if isinstance(probed, dict) else None
    before = [known.get(key) for key in ("model_sha256", "corpus_sha256", "generic_sha256")]
    if before != [model, *texts] or not isinstance(pilot, dict):
        return None
    tokens, asked = pilot.get("full_tokens"), pilot.get("wanted_tokens")
    same = asked == wanted and known.get("probe_seconds") == recipe.probe.budget_seconds
    return tokens if same and isinstance(tokens, int) and 0 < tokens <= wanted else None


def evaluated(scores: Scores, window: int) -> list[int]:
    """Positions of the held-out documents that a pilot is scored on: the first ones."""
    sizes = np.minimum([len(ids) for ids in scores.ids[: scores.heldout]], window)
    fits = int(np.searchsorted(np.cumsum(sizes), EVAL_TOKENS)) + 1
    return list(range(min(len(sizes), EVAL_DOCUMENTS, max(20, fits))))


def order_ratio(scorer: Scorer, scores: Scores, resamples: int, seed: int) -> Interval | None:
    """What the order of words is worth: bits per byte with the words shuffled over as they are.

    About 1 means that what was learnt would be learnt from a bag of words as well: lists,
    tables, shuffled text. White space is folded on both sides; None where words are no unit
    (scripts without spaces).
    """
    decode, rng = scorer.base.tokenizer.decode, random.Random(seed)
    chosen = evaluated(scores, scorer.window)
    kept = [" ".join(decode(scores.ids[i], skip_special_tokens=True).split()) for i in chosen]
    words = [text.split() for text in kept]
    if sum(map(len, words)) * LONGEST_WORDS < sum(map(len, kept)):
        return None
    mixed = [" ".join(rng.sample(parts, len(parts))) for parts in words]
    sides = []
    for texts in (mixed, kept):
        encoded = encode(scorer.base.tokenizer, texts)
        ids = [with_bos(scorer.base, one)[: scorer.window] for one in encoded]
        nll = scorer.score(ids)
        bits = np.array([np.nansum(one) for one in nll])
        size = [scorer.text_bytes(i, n) for i, n in zip(ids, nll, strict=True)]
        sides.append((bits, np.array(size, dtype=np.float64)))
    return ratio_of_ratios(sides[0], sides[1], resamples, seed, paired=True)


def decided(pilot: Pilot, share: float, limits: dict[str, float]) -> bool:
    """Whether a pilot of ``share`` of the tokens answers as the full one would."""
    gain = pilot.gain
    if gain.value >= limits["go_gain"] and gain.low > limits["go_gain_low"]:
        return True
    if min(pilot.domain_gain, pilot.generic_gain) >= limits["go_gain"] and gain.high < 0:
        return True  # both sides learn, the generic one more: it is no reference at any size
    hopeless = gain.value / share < limits["fluent_gain"]
    return hopeless and gain.high < limits["fluent_gain"] and pilot.domain_gain < limits["go_gain"]
