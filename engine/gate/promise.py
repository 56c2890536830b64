"""What the gate can show, said before compute is spent: from the base arm's own variance.

The promise is the rule's own: it knows the margin, the last look's alpha, the tries declared and
the CPT arm's seed variance. One line names the price and the three ways: more items, more seeds,
accept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.artifacts.gate import ScoredArm
from engine.formatting import format_duration
from engine.gate.wording import two_digits
from engine.gold.example import Example
from engine.gold.summary import item_groups, power_terms
from engine.recipe.gate import Gate
from engine.stats.crossed_test import Squares, group_means
from engine.stats.power import MOST_SEEDS, Terms, Wanted, detectable, foreseen, wanted

SMALLER = 0.75
"""Of what the gate shows: the effect that more items or seeds are counted for."""


@dataclass(frozen=True)
class Promise:
    """What a gate shows in 80 of 100 cases, and what would make it show less."""

    mde: float
    """Points, with the seeds of all looks."""
    floor: float
    """Points, with as many seeds as a recipe can have."""
    items: int
    """Independent ones."""
    looks: tuple[int, ...]
    hoped: float
    """``plausible_gain``."""
    target: float
    """The smaller effect that ``more`` is for."""
    more: Wanted
    """Items or seeds, in all, that would show ``target``."""

    @property
    def is_enough(self) -> bool:
        """Whether it shows what its user could believe in."""
        return self.mde <= self.hoped


def foresee(
    base: ScoredArm, gold: Sequence[Example], gate: Gate, history: float | None = None
) -> Promise:
    """What this gate will show, from its base arm's first look.

    ``history`` is the CPT arm's seed variance, points squared, in earlier gates on this gold set.
    """
    terms = power_terms(gate, gold)
    table = group_means(base.scores, item_groups(gold))
    found = foreseen(table, history, terms.shape)
    mde = _at(found, terms)
    target = gate.plausible_gain if mde > gate.plausible_gain else SMALLER * mde
    target = max(target, gate.margin + 0.1)
    all_seeds = None if found is None else found.expected(found.n_items, terms.seeds)
    more = Wanted(None, None)
    if all_seeds is not None:
        more = wanted(all_seeds, target, terms.alpha, terms.margin)
    floor = _at(found, replace(terms, seeds=MOST_SEEDS))
    return Promise(mde, floor, table.shape[1], gate.look_sizes, gate.plausible_gain, target, more)


def _at(found: Squares | None, terms: Terms) -> float:
    if found is None:
        return 100.0
    return detectable(found.expected(found.n_items, terms.seeds), terms.alpha, terms.margin)


def describe(promise: Promise, seconds: float | None = None) -> str:
    """The line before spending; ``seconds`` is what a seed costs in both arms."""
    first, last = promise.looks[0], promise.looks[-1]
    seeds = f"{first}" if first == last else f"{first} to {last}"
    line = (
        f"With {seeds} seeds and {promise.items:,} items this gate shows {promise.mde:.1f} points"
    )
    if seconds is not None:
        whole = format_duration(first * seconds)
        whole += "" if first == last else f" to {format_duration(last * seconds)}"
        line += f"; a seed costs {format_duration(seconds)}, {whole} in all"
    if promise.floor > promise.hoped:
        line += f". No number of seeds would show less than {promise.floor:.1f}"
    return f"{line}. {_ways(promise)}"


def _ways(promise: Promise) -> str:
    """More items, more seeds, or accept."""
    items, seeds = promise.more.items, promise.more.seeds
    ways = [f"{two_digits(items):,} items"] if items and items > promise.items else []
    ways += [f"{seeds} seeds"] if seeds and seeds > promise.looks[-1] else []
    if not ways:
        return (
            f"Neither items nor seeds alone would show {promise.target:.1f}: accept, or label more."
        )
    need = " or ".join(ways)
    return f"{promise.target:.1f} points would need {need}: add items, add seeds, or accept."
