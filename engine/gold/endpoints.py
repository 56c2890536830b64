"""From what the models answered to the scores that are tested: primary, raw, ranking.

The primary score of items that share their choices may be prior-matched (``Gate.primary``):
``engine.stats.prior_matching`` takes every label's offset out, seed by seed, at the class
shares of the registered gold items. Raw scores always stand beside it. The second endpoint is
the centred macro-AUC (``engine.stats.ranking``). All are made of the choices' likelihoods, so
a run whose seeds keep them can be scored anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.artifacts.gate import ScoredArm, SeedScores
from engine.errors import InputError
from engine.gold.classes import class_shares, shared_choices
from engine.gold.example import Example
from engine.gold.metrics import METRICS, Answer, answer_text, item_scores, source_weights
from engine.recipe.gate import Gate, spare_seed

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Floats = NDArray[float64]

Gold = Sequence[Example]


@dataclass(frozen=True)
class SeedTables:
    """One seed of an arm, scored by all endpoints."""

    scores: list[float]
    """[n], primary."""
    answers: list[str]
    """[n], the answers that ``scores`` judges."""
    raw: list[float] | None = None
    """[n]; None where raw is the primary."""
    ranking: list[float] | None = None
    """[n], jackknife values; None where ranking is no endpoint."""


def is_matched(gold: Gold, gate: Gate) -> bool:
    """Whether the primary score of these items is prior-matched."""
    metric = METRICS[gate.metric]
    summed = metric.choices and gate.metric != "choice_norm"
    return gate.primary == "prior_matched" and summed and bool(shared_choices(gold))


def is_ranked(gold: Gold, gate: Gate) -> bool:
    """Whether ranking is an endpoint for these items."""
    asked = gate.ranking_share > 0 and METRICS[gate.metric].choices
    return asked and bool(shared_choices(gold))


def score_seed(gold: Gold, answers: Sequence[Answer], gate: Gate) -> SeedTables:
    """One seed's answers by all of the gate's endpoints.

    Raises InputError where a likelihood is not finite, or no class has enough items to rank.
    """
    raw = item_scores(gold, answers, gate)
    ranking = _ranking(gold, answers) if is_ranked(gold, gate) else None
    if not is_matched(gold, gate):
        return SeedTables(raw, _texts(gold, answers), ranking=ranking)
    matched = match_priors(gold, answers)
    return SeedTables(item_scores(gold, matched, gate), _texts(gold, matched), raw, ranking)


def match_priors(gold: Gold, answers: Sequence[Answer]) -> list[Answer]:
    """The answers of one seed with each label's offset taken out; items must share choices."""
    import numpy as np

    from engine.stats.prior_matching import prior_offsets

    order = shared_choices(gold)
    shares = class_shares(gold)
    found = prior_offsets(
        likelihood_table(gold, answers),
        np.array([shares[name] for name in order]),
        np.array(source_weights(gold)),
    )
    offset = dict(zip(order, found.tolist(), strict=True))
    return [
        replace(
            answer,
            likelihoods=tuple(
                nats + offset[name]
                for nats, name in zip(answer.likelihoods, example.choices, strict=True)
            ),
        )
        for example, answer in zip(gold, answers, strict=True)
    ]


def likelihood_table(gold: Gold, answers: Sequence[Answer]) -> Floats:
    """[n, K] in the order of ``shared_choices``."""
    import numpy as np

    place = {name: number for number, name in enumerate(shared_choices(gold))}
    table = np.empty((len(gold), len(place)))
    for row, example, answer in zip(table, gold, answers, strict=True):
        row[[place[name] for name in example.choices]] = answer.likelihoods
    if not np.isfinite(table).all():
        item = int((~np.isfinite(table).all(axis=1)).argmax()) + 1
        raise InputError(
            f"a choice's likelihood of gold item {item} is not a finite number, so the items "
            "cannot be ranked or matched; score that arm again, or in fp32"
        )
    return table


def _ranking(gold: Gold, answers: Sequence[Answer]) -> list[float]:
    import numpy as np

    from engine.stats.ranking import FEWEST, ranking_values

    place = {name: number for number, name in enumerate(shared_choices(gold))}
    truth = np.array([place[example.completion] for example in gold])
    values = ranking_values(
        likelihood_table(gold, answers)[None], truth, np.array(source_weights(gold))
    )
    if values is None:
        raise InputError(
            f"no class has {FEWEST} gold items and {FEWEST} of other classes, so the ranking "
            "endpoint has nothing to test; add gold items, or set gate.ranking_share = 0"
        )
    found: list[float] = values[0].tolist()
    return found


def _texts(gold: Gold, answers: Sequence[Answer]) -> list[str]:
    return [answer_text(example, answer) for example, answer in zip(gold, answers, strict=True)]


def answers_alike(gold: Gold, answers: Sequence[Answer]) -> float:
    """Largest share of the gold prompts that gets one answer, after prior matching where it can.

    The collapse rule reads it: it knows prompts and class shares, never an item's answer.
    """
    can = bool(shared_choices(gold)) and all(answer.likelihoods for answer in answers)
    texts = _texts(gold, match_priors(gold, answers) if can else answers)
    return Counter(texts).most_common(1)[0][1] / len(texts) if texts else 0.0


def arm_of(seeds: Sequence[int], kept: Sequence[SeedScores], gold: Gold, gate: Gate) -> ScoredArm:
    """One arm from its seeds' files, in their order; all endpoints anew from the likelihoods.

    A file without likelihoods (continuations, or an older version) keeps the scores it has.
    Raises InputError where an endpoint needs likelihoods that were not kept.
    """
    tables = [_of(gold, one, gate) for one in kept]
    pairs = list(zip(seeds, kept, strict=True))
    said = [table.answers or one.answers for table, one in zip(tables, kept, strict=True)]
    several = len({example.completion for example in gold}) > 1
    steps = {one.steps for one in kept}
    return ScoredArm(
        scores=[table.scores for table in tables],
        raw=[table.raw for table in tables if table.raw is not None],
        ranking=[table.ranking for table in tables if table.ranking is not None],
        logprobs=[one.logprobs for one in kept if one.logprobs],
        seeds=list(seeds),
        replaced=[seed for seed, one in pairs if one.trained_seed == spare_seed(seed)],
        constant=[
            seed
            for seed, row in zip(seeds, said, strict=True)
            if several and len(row) > 1 and len(set(row)) == 1
        ],
        steps=steps.pop() if len(steps) == 1 else None,
    )


def _of(gold: Gold, kept: SeedScores, gate: Gate) -> SeedTables:
    if kept.likelihoods:
        pairs = zip(kept.likelihoods, kept.logprobs, strict=True)
        return score_seed(gold, [Answer(tuple(row), logprob=nats) for row, nats in pairs], gate)
    if is_matched(gold, gate) or is_ranked(gold, gate):
        raise InputError(
            "this arm's files have no likelihoods of the choices, which prior-matched accuracy "
            'and ranking need; score it again, or judge it with primary = "raw" and '
            "ranking_share = 0"
        )
    return SeedTables(kept.scores, [])
