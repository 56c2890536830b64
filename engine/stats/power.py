"""Power of the gate: the smallest effect, in points, that it shows in 80 of 100 cases."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.stats.crossed_test import Squares, crossed_error, mean_squares, scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

POWER = 0.8
ITEM_VARIANCE, REST_VARIANCE = 600.0, 1_800.0
"""Points squared, of the difference: what an item means to the arms, and noise of one item at one
seed in both arms. A task of four classes simulated at half right has these; a finished demo gate
had 720 of the first, a real gate with short prompts 140 and 1,600."""
SEED_SD = 2.9
"""Points, of an arm's score over its seeds: both arms of the ready medical recipe at six epochs
(base 4.0, CPT 0.9; at two epochs it was 4.7, at fourteen 1.7)."""
LEAST_SEED_SD = 1.5
"""Points: what the CPT arm's seeds vary by at least, however little the base's did."""
DISCORDANCE = 0.12
"""Least share of items on which the two arms differ at one seed; real gates had .14 to .17."""
ITEM_FLOOR = 0.05
"""Least item x arm variance, as a share of 1; engineering choice."""
MOST_ITEMS = 100_000
MOST_SEEDS = 50
"""What a recipe allows."""


@dataclass(frozen=True)
class Terms:
    """What an effect has to pass to be EARNED, and how the metric spreads it."""

    seeds: int = 5
    alpha: float = 0.05
    """Two-sided; of the last look where the gate has several."""
    margin: float = 2.0
    shape: float = 1.0
    """Variance of an item's value over that of accuracy: above 1 for macro-F1 (``f1_shape``)."""


DEFAULT = Terms()


def prior_mde(n_items: int, terms: Terms = DEFAULT) -> float:
    """MDE in points from prior variances, at most 100 (nothing can be shown)."""
    seeds, shape = terms.seeds, terms.shape
    if n_items < 2 or seeds < 2:
        return 100.0
    rest = shape * REST_VARIANCE / 2
    seed = rest + n_items * shape * SEED_SD**2
    items = 2 * rest + seeds * shape * ITEM_VARIANCE
    found = Squares(items, (seed, seed), (rest, rest), n_items, seeds)
    return detectable(found, terms.alpha, terms.margin)


def f1_shape(sizes: Sequence[float]) -> float:
    """How much more macro-F1 varies by item than accuracy, from the classes' sizes.

    An item of class k moves the mean of K classes' recalls by 1 / (K n_k) and accuracy by 1 / n;
    the squares' mean over items is (1 / K^2) sum n / n_k: 1 where classes are even, 3 where one
    of two has 9%.
    """
    held = [size for size in sizes if size > 0]
    return sum(sum(held) / size for size in held) / len(held) ** 2 if held else 1.0


def items_needed(points: float, terms: Terms = DEFAULT) -> int | None:
    """Gold items that bring ``prior_mde`` down to ``points``; None if no number does."""
    place = bisect_left(range(2, MOST_ITEMS + 1), True, key=lambda n: prior_mde(n, terms) <= points)
    return place + 2 if place < MOST_ITEMS - 1 else None


def detectable(found: Squares, alpha: float, margin: float = 0.0) -> float:
    """Minimum detectable effect in points at 80% power, two-sided ``alpha``; at most 100.

    What decides needs both an interval that leaves 0 out and an estimate of the margin or more:
    at a true effect of exactly the margin half of the gates see too little, however large.
    """
    from scipy.special import stdtrit

    se, df = crossed_error(found)
    return min(100.0, max(float(stdtrit(df, 1 - alpha / 2)) * se, margin) + _reserve(df) * se)


def _reserve(df: float) -> float:
    """Standard errors between what decides and what decides in 80 of 100 cases."""
    from scipy.special import stdtrit

    return float(stdtrit(df, POWER))


@dataclass(frozen=True)
class Wanted:
    """Gold items or seeds, in all, that would show an effect; None where no number does."""

    items: int | None
    """At the same seeds; counted as the test counts, one a source."""
    seeds: int | None
    """At the same items."""


def wanted(found: Squares, effect: float, alpha: float, margin: float = 0.0) -> Wanted:
    """Items or seeds at which the gate would show ``effect`` points in 80 of 100 cases.

    Assumes the mean squares that were seen (``Squares.expected``); with few seeds those are
    uncertain, so it is an order of size. Looks no further than ``MOST_ITEMS`` and
    ``MOST_SEEDS``; what suffices now is returned as it is.
    """

    def shown(items: int, seeds: int) -> bool:
        return detectable(found.expected(items, seeds), alpha, margin) <= effect

    def least(numbers: range, enough: Callable[[int], bool]) -> int | None:
        place = bisect_left(numbers, True, key=enough)
        return numbers[place] if place < len(numbers) else None

    return Wanted(
        least(range(found.n_items, MOST_ITEMS + 1), lambda n: shown(n, found.n_seeds)),
        least(range(found.n_seeds, MOST_SEEDS + 1), lambda s: shown(found.n_items, s)),
    )


def foreseen(
    base_scores: ArrayLike, history: float | None = None, shape: float = 1.0
) -> Squares | None:
    """Mean squares of a whole gate from the base arm's ``[S][n]`` scores; None without a test.

    The CPT arm's seeds vary as the base's do, or as they did in earlier gates on this gold set
    (``history``, points squared), or by ``LEAST_SEED_SD``: the largest counts, since a base near
    chance hardly varies. At one seed the arms differ on ``DISCORDANCE`` of the items at least; of
    that, what noise does not explain, and 0.05 at least, is item x arm variance. A seed variance
    from five seeds is itself uncertain: read what follows from it as an order of size.
    """
    table = 100.0 * scores(base_scores, "base")
    seeds, items = table.shape
    if seeds < 2 or items < 2:
        return None
    _, ms_seeds, ms_rest = mean_squares(table)
    noise = 2 * ms_rest
    item = max(shape * 1e4 * DISCORDANCE - noise, shape * 1e4 * ITEM_FLOOR)
    ms_items = noise + seeds * item
    spread = max(ms_rest, ms_seeds)
    cpt = max(spread, items * (history or 0.0), items * LEAST_SEED_SD**2)
    return Squares(ms_items, (spread, cpt), (ms_rest, ms_rest), items, seeds)


def measured_mde(
    base_scores: ArrayLike, terms: Terms = DEFAULT, history: float | None = None
) -> float:
    """MDE in points from the baseline arm's own scores, before CPT is paid for: see ``foreseen``.

    For ``terms.seeds`` seeds, which may be more than were scored.
    """
    found = foreseen(base_scores, history, terms.shape)
    if found is None:
        return 100.0
    return detectable(found.expected(found.n_items, terms.seeds), terms.alpha, terms.margin)
