"""Classes of a gold set whose items share their choices: their order and their shares."""

from __future__ import annotations

from collections.abc import Sequence

from engine.files import digest
from engine.gold.example import Example
from engine.gold.metrics import source_weights


def shared_choices(gold: Sequence[Example]) -> tuple[str, ...]:
    """The choices that all items have, in the first one's order; empty where they differ."""
    if not gold or len(gold[0].choices) < 2:
        return ()
    first = set(gold[0].choices)
    alike = all(set(e.choices) == first and len(e.choices) == len(first) for e in gold)
    return gold[0].choices if alike else ()


def class_shares(gold: Sequence[Example]) -> dict[str, float]:
    """Share of each of the shared choices among the gold answers, by source; empty where none."""
    totals = dict.fromkeys(shared_choices(gold), 0.0)
    weights = source_weights(gold)
    if not totals:
        return {}
    for example, weight in zip(gold, weights, strict=True):
        totals[example.completion] += weight
    return {name: total / sum(weights) for name, total in totals.items()}


def shares_hash(gold: Sequence[Example]) -> str:
    """sha256 of the class shares, for the registration; a word where there are none."""
    shares = class_shares(gold)
    return digest(sorted((name, round(share, 12)) for name, share in shares.items()) or "none")
