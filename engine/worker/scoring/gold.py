"""Scoring one model on a gold set: what it answers, and what the gate's metric makes of it.

Choices are scored with the end-of-text token behind them, as they are in SFT: without it
" river" would always beat " river stone", which begins with it, since every further token only
takes probability. lm-eval's ``multiple_choice`` sums over the bare choice, so its numbers differ
from these; ``choice_answers`` with ``end=False`` gives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from engine.errors import InputError
from engine.gold.example import Example
from engine.gold.metrics import METRICS, Answer, item_scores
from engine.recipe.gate import Gate
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.generate import texts_of
from engine.worker.scoring.likelihood import (
    Kept,
    Told,
    Tree,
    in_one_pass,
    likelihoods,
    tree_of,
    untold,
)

SCORING = 3
"""Counts changes of what a score is (2: EOS is a part of every choice; 3: the probe chooses its
rate); arms of another number are scored anew."""
LOGPROB_SHARE = 0.2
"""Of the progress of a metric that generates, what the log-probabilities take."""

Keeps = Callable[[str], Kept]
"""What is known of a phase of the scoring, by the phase's name."""


def unkept(phase: str) -> Kept:
    """Nothing is known before, and nothing is kept."""
    return Kept()


def gold_scores(
    model: torch.nn.Module,
    base: models.Base,
    gold: Sequence[Example],
    gate: Gate,
    precision: Precision,
    told: Told = untold,
) -> list[float]:
    """Score of one model on every gold item by the recipe's metric [n], see ``engine.metrics``.

    The mean times 100 is the score in points. Raises InputError as ``gold_answers`` does.
    """
    return item_scores(gold, gold_answers(model, base, gold, gate, precision, told), gate)


def gold_answers(
    model: torch.nn.Module,
    base: models.Base,
    gold: Sequence[Example],
    gate: Gate,
    precision: Precision,
    told: Told = untold,
    keeps: Keeps = unkept,
) -> list[Answer]:
    """What one model does on every gold item: enough for the metric and the log-probability.

    ``told`` hears of progress and may stop it; ``keeps`` hands out what an earlier, stopped
    scoring of the same model has found. Raises InputError where a log-likelihood is not finite,
    or an answer cannot be scored in this model's context.
    """
    encoder = Encoder(base, gate.template)
    if METRICS[gate.metric].choices:
        return choice_answers(model, encoder, gold, precision, told, keeps)

    def first(share: float) -> None:
        told(LOGPROB_SHARE * share)

    def second(share: float) -> None:
        told(LOGPROB_SHARE + (1 - LOGPROB_SHARE) * share)

    bare = [dataclasses.replace(example, choices=()) for example in gold]
    answers = choice_answers(model, encoder, bare, precision, first, keeps)
    texts = texts_of(model, encoder, gold, gate, precision, second, keeps("texts"))
    pairs = zip(texts, answers, strict=True)
    return [Answer(text=text, logprob=answer.logprob) for text, answer in pairs]


def choice_answers(
    model: torch.nn.Module,
    encoder: Encoder,
    gold: Sequence[Example],
    precision: Precision,
    told: Told = untold,
    keeps: Keeps = unkept,
    end: bool = True,
) -> list[Answer]:
    """Log-likelihoods of every item's choices, or of its completion where it has none.

    Without ``end`` no EOS is scored, as in lm-eval. Raises InputError where one is not finite:
    an argmax over NaN is choice 0.
    """
    trees = [tree_of(encoder, example, end) for example in gold]
    phase = "choices" if in_one_pass(model, trees) else "choices one by one"
    rows = likelihoods(model, trees, encoder.base.eos, precision, told, keeps(phase))
    for tree, row in zip(trees, rows, strict=True):
        _refuse_diverged(tree, row, encoder.base)
    pairs = zip(trees, rows, strict=True)
    return [Answer(tuple(row), logprob=row[tree.answer]) for tree, row in pairs]


def _refuse_diverged(tree: Tree, row: Sequence[float], base: models.Base) -> None:
    if not np.isfinite(row).all():
        words: Any = base.tokenizer.decode(tree.prompt[-12:])
        raise InputError(
            f"The choices of the gold item {words!r} have no finite log-likelihood: the "
            "model has diverged, so it has no score; lower the learning rate"
        )
