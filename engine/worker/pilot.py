"""The pilot: reducible surprise, measured by a short run on each side."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from engine.events import TrainStep
from engine.evidence import Interval, Pilot
from engine.worker import model as models
from engine.worker.context import Context
from engine.worker.fluency import Floats, Scorer, Scores, bootstrap_ratio
from engine.worker.loop import Rows, Stepper, learning_rate, make_optimizer
from engine.worker.mix import sequence_length, shuffled, take
from engine.worker.pack import Ledger, segments, write_pack
from engine.worker.tokens import TokenStore

STEPS = 30
"""Optimizer steps a pilot aims at; its batch is its tokens over this."""
EVAL_DOCUMENTS = 60
CORPUS_SHARE = 0.05
"""Of the corpus, used by a pilot at most (DESIGN 5)."""


@dataclass(frozen=True)
class PilotRunner:
    """Trains a throwaway copy of the base on a little of one side and scores held-out text."""

    context: Context
    base: models.Base
    precision: models.Precision
    window: int
    min_context: int

    def run(self, domain: Scores, generic: Scores) -> Pilot:
        """Both pilots on equal tokens; returns the net gain with its bootstrap interval."""
        recipe = self.context.recipe
        started = time.monotonic()
        stores = (domain.store, generic.store)
        available = [int(s.lengths[s.side(heldout=False)].sum()) for s in stores]
        share = max(20_000, int(CORPUS_SHARE * available[0]))
        tokens = min(recipe.probe.pilot_tokens, share, *available)
        results = [
            self._one(scores, tokens, label)
            for scores, label in ((domain, "domain"), (generic, "generic"))
        ]
        (before_d, after_d, n_d), (before_g, after_g, n_g) = results
        gain_d = float((before_d - after_d).sum() / n_d.sum())
        gain_g = float((before_g - after_g).sum() / n_g.sum())
        draws = bootstrap_ratio(before_d - after_d, n_d, recipe.probe.bootstrap, recipe.probe.seed)
        draws = draws - bootstrap_ratio(
            before_g - after_g, n_g, recipe.probe.bootstrap, recipe.probe.seed + 1
        )
        low, high = np.percentile(draws, [2.5, 97.5])
        return Pilot(
            domain_gain=gain_d,
            generic_gain=gain_g,
            gain=Interval(value=gain_d - gain_g, low=float(low), high=float(high)),
            tokens=tokens,
            steps=self._steps(tokens)[0],
            method=recipe.train.method,
            lr=self.lr(),
            seconds=round(time.monotonic() - started, 2),
        )

    def lr(self) -> float:
        """Recipe's pilot rate, else the run's own, else a hot start rate (throwaway model)."""
        recipe = self.context.recipe
        chosen = recipe.probe.pilot_lr or recipe.train.lr
        if chosen:
            return chosen
        return 3e-4 if recipe.train.method == "lora" else 5e-5

    def _steps(self, tokens: int) -> tuple[int, int]:
        """(steps, rows of a step) for a pilot of ``tokens``."""
        length = sequence_length(self.context.recipe, self.base)
        rows = max(1, tokens // length)
        batch = max(1, rows // STEPS)
        return -(-rows // batch), batch

    def _one(self, scores: Scores, tokens: int, label: str) -> tuple[Floats, Floats, Floats]:
        """Held-out (nats before, nats after, tokens) per document."""
        model = self._model()
        documents = [self._ids(scores, i) for i in range(min(EVAL_DOCUMENTS, scores.heldout))]
        before = [np.nansum(n) for n in scores.nll[: len(documents)]]
        counts = scores.counts[: len(documents)]
        rows = self._rows(scores.store, tokens, label)
        steps, batch = self._steps(tokens)
        steps = min(steps, -(-len(rows) // batch))
        optimizer = make_optimizer(model, self.lr(), embeddings_scale=self._embeddings_scale())
        length = rows.ids.shape[1]
        stepper = Stepper(model, optimizer, self.precision, 1.0, max(1, 4096 // length))
        started = time.monotonic()
        for step in range(steps):
            began = time.monotonic()
            part = rows[step * batch : (step + 1) * batch]
            rate = learning_rate(step, steps, self.lr(), "cosine", max(1, steps // 10), 0.1)
            loss, norm = stepper.step(part, rate)
            self.context.emit(
                TrainStep(
                    step=step + 1,
                    total=steps,
                    tokens=(step + 1) * batch * length,
                    loss=loss,
                    lr=rate,
                    grad_norm=norm,
                    tokens_per_s=round(part.targets / max(1e-9, time.monotonic() - began), 1),
                    series=f"pilot {label}",
                )
            )
            self.context.progress(f"{label} pilot", step + 1, steps, "steps", started)
        scorer = Scorer(model, self.base, self.precision, self.window, self.min_context)
        after = [np.nansum(n) for n in scorer.score(documents)]
        return np.array(before), np.array(after), counts

    def _model(self) -> torch.nn.Module:
        recipe = self.context.recipe
        model = models.load(self.base)
        if recipe.train.method == "lora":
            model = models.wrap_lora(model, recipe.lora, recipe.lora.rank or 16, recipe.probe.seed)
        models.set_embeddings(model, recipe.train.train_embeddings)
        return model

    def _embeddings_scale(self) -> float:
        train = self.context.recipe.train
        if train.embeddings_lr and train.lr:
            return train.embeddings_lr / train.lr
        return 0.1

    def _ids(self, scores: Scores, at: int) -> list[int]:
        nll = scores.nll[at]
        head = [] if self.base.bos is None else [self.base.bos]
        ids: list[int] = scores.store.document(scores.documents[at])[: len(nll)].tolist()
        return (head + ids)[: len(nll)]

    def _rows(self, store: TokenStore, tokens: int, label: str) -> Rows:
        recipe = self.context.recipe
        order = take(store, shuffled(store, heldout=False, seed=recipe.probe.seed), tokens, 1)
        length = sequence_length(recipe, self.base)
        ledger = Ledger()
        folder = self.context.run.path / "pack" / f"pilot-{label}"
        pieces = segments(store, order, length, self.base.eos, self.base.bos, ledger)
        pack = write_pack(folder, pieces, length, store.meta["dtype"], self.base.eos, ledger)
        index = np.random.default_rng(recipe.probe.seed).permutation(len(pack))
        return pack.rows(index)
