"""What was forgotten, document by document: the CPT model against its base on held-out text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from engine.artifacts.record import Interval
from engine.gate.forgetting import loss_rise
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.precision import run_precision
from engine.worker.scoring import self_check
from engine.worker.scoring.documents import Floats, Scorer, with_bos
from engine.worker.tokens.document_order import shuffled, take
from engine.worker.tokens.store import TokenStore

WINDOW = 1_024


@dataclass(frozen=True)
class Guard:
    """The base on generic held-out text, measured once; any number of models beside it.

    The documents are those that training's own evaluation reads (``[train] eval_tokens``).
    """

    context: Context
    base: models.Base
    generic: TokenStore

    @cached_property
    def documents(self) -> list[list[int]]:
        return _documents(self.context, self.base, self.generic)

    @cached_property
    def before(self) -> list[Floats]:
        """Nats of each document's tokens under the base."""
        return _losses(self.context, self.base, models.load(self.base), self.documents)

    def rise(self, model: torch.nn.Module) -> Interval | None:
        """Rise of generic held-out loss, nats a token, with its document-bootstrap interval.

        None where fewer than two documents are held out: a rise without an interval is then all
        there is.
        """
        if len(self.documents) < 2:
            return None
        after = _losses(self.context, self.base, model, self.documents)
        tokens = [np.count_nonzero(~np.isnan(nll)) for nll in self.before]
        return loss_rise([np.nansum(n) for n in self.before], [np.nansum(n) for n in after], tokens)


def _documents(context: Context, base: models.Base, generic: TokenStore) -> list[list[int]]:
    """Token ids, BOS included where the base was trained with one; two tokens at least."""
    train = context.recipe.train
    order = take(generic, shuffled(generic, heldout=True, seed=train.seed), train.eval_tokens, 1)
    found = [with_bos(base, generic.document(int(number)).tolist()) for number in order]
    return [ids[: train.eval_tokens] for ids in found if len(ids) > 1]


def _losses(
    context: Context, base: models.Base, model: torch.nn.Module, documents: list[list[int]]
) -> list[Floats]:
    """Nats of each token; NaN for the first of each window."""
    context.raise_if_stopped()
    precision = run_precision(context, base, model)
    self_check.prove(context, base, model, precision)
    window = min(WINDOW, base.context)
    return Scorer(model, base, precision, window, 0).score(documents)
