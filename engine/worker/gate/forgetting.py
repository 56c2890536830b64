"""What was forgotten, document by document: the CPT model against its base on held-out text."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from engine.artifacts.record import Interval
from engine.gate.forgetting import loss_rise
from engine.gold.load import load_examples
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.precision import run_precision
from engine.worker.scoring import self_check
from engine.worker.scoring.documents import Floats, Scorer, with_bos
from engine.worker.scoring.examples import Encoder
from engine.worker.tokens.document_order import shuffled, take
from engine.worker.tokens.store import TokenStore

WINDOW = 1_024
EMBEDDED_CHAT = Path(str(importlib.resources.files("engine"))) / "data" / "chat_sample.jsonl"
"""Conversations that this project wrote: formats, refusals, turns that hang together."""


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


@dataclass(frozen=True)
class ChatGuard:
    """A chat model's held-out answers, each after its turns in the tokenizer's chat template.

    Measured as ``Guard`` measures generic text, over the tokens of the answers alone.
    """

    context: Context
    base: models.Base

    @cached_property
    def conversations(self) -> list[tuple[list[int], int]]:
        """(token ids, where the answer begins)."""
        encoder = Encoder(self.base, "chat" if self.base.tokenizer.chat_template else "plain")
        given = self.context.recipe.gate.chat_heldout
        path = Path(given) if given else EMBEDDED_CHAT
        found = []
        for example in load_examples(path, chat=True):
            answer = encoder.completion(example, example.completion)
            before = encoder.before(example, self.base.context - len(answer))
            found.append(([*before, *answer], len(before)))
        return found

    @cached_property
    def before(self) -> list[Floats]:
        """Nats of each answer's tokens under the base."""
        return self._answers(models.load(self.base))

    def rise(self, model: torch.nn.Module) -> Interval | None:
        """Rise of the answers' loss, nats a token; None where there are fewer than two."""
        if len(self.conversations) < 2:
            return None
        after = self._answers(model)
        tokens = [len(nll) for nll in self.before]
        return loss_rise([n.sum() for n in self.before], [n.sum() for n in after], tokens)

    def _answers(self, model: torch.nn.Module) -> list[Floats]:
        ids = [ids for ids, _ in self.conversations]
        found = _losses(self.context, self.base, model, ids)
        starts = [start for _, start in self.conversations]
        return [nll[start:] for nll, start in zip(found, starts, strict=True)]


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
