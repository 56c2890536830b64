"""Power of the gate: the smallest effect, in points, that it shows in 80 of 100 cases."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TYPE_CHECKING

from engine.stats.crossed_test import Squares, crossed_error, mean_squares, scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

POWER = 0.8
ITEMS = (30, 50, 100, 200, 400)
SEEDS = (3, 5, 8)
PRIOR: dict[int, tuple[float, ...]] = {
    3: (33.0, 26.7, 19.8, 16.9, 14.3),
    5: (20.4, 15.9, 12.2, 9.2, 8.1),
    8: (15.4, 12.2, 8.9, 7.2, 5.8),
}
"""MDE by seeds and items: the crossed test simulated with a seed sd of 2.2 points, as
``tests/benchmarks/error_rates.py power`` does it again. For 3 seeds x 30 items the simulation
ended at 29 points without reaching the power; 33 is the log extrapolation from 50 and 100."""
DISCORDANCE = 0.2
"""Share of items on which the two arms differ at one seed; engineering choice."""
ITEM_FLOOR = 0.05
"""Least item x arm variance, as a share of 1; engineering choice."""
MOST_ITEMS = 100_000
MOST_SEEDS = 50
"""What a recipe allows."""


def prior_mde(n_items: int, n_seeds: int) -> float:
    """MDE in points from prior variances, at most 100 (nothing can be shown).

    Linear in log n, log S and log MDE between the simulated points. Outside them: fewer items
    or seeds go on along the last slope; beyond 400 items MDE^2 is affine in 1/n, since seeds
    set a floor that no number of items lowers; beyond 8 seeds it falls as 1/sqrt(S).
    """
    if n_items < 2 or n_seeds < 2:
        return 100.0
    column = [_over_items(PRIOR[seeds], n_items) for seeds in SEEDS]
    if n_seeds > SEEDS[-1]:
        return min(100.0, column[-1] * sqrt(SEEDS[-1] / n_seeds))
    return min(100.0, _log_line(SEEDS, column, n_seeds))


def _over_items(row: tuple[float, ...], n_items: int) -> float:
    if n_items <= ITEMS[-1]:
        return _log_line(ITEMS, row, n_items)
    slope = (row[-2] ** 2 - row[-1] ** 2) / (1 / ITEMS[-2] - 1 / ITEMS[-1])
    return sqrt(row[-1] ** 2 - slope * (1 / ITEMS[-1] - 1 / n_items))


def _log_line(xs: tuple[int, ...], ys: Sequence[float], x: float) -> float:
    """Piecewise linear in log-log; the end pieces go on."""
    place = min(max(bisect_left(xs, x), 1), len(xs) - 1)
    left, right = log(xs[place - 1]), log(xs[place])
    share = (log(x) - left) / (right - left)
    return exp((1 - share) * log(ys[place - 1]) + share * log(ys[place]))


def items_needed(points: float, n_seeds: int) -> int | None:
    """Gold items that bring ``prior_mde`` down to ``points``; None if no number does."""
    if not prior_mde(MOST_ITEMS, n_seeds) <= points:
        return None
    low, high = 1, MOST_ITEMS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if prior_mde(middle, n_seeds) <= points else (middle, high)
    return high


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


def measured_mde(base_scores: ArrayLike, alpha: float = 0.05) -> float:
    """MDE in points from the baseline arm's own ``[S][n]`` scores, before CPT is paid for.

    Assumes: the CPT arm varies over seeds as the base does and independently of it, so that
    its seed variance and its noise double in the difference; at one seed the arms differ on
    20% of the items (variance 0.2), of which what noise does not explain, and 0.05 at least,
    is item x arm variance. Expected mean squares then go through the gate's own test. A seed
    variance from five seeds is itself uncertain: read the figure as an order of size.
    """
    table = 100.0 * scores(base_scores, "base")
    seeds, items = table.shape
    if seeds < 2 or items < 2:
        return 100.0
    _, ms_seeds, ms_rest = mean_squares(table)
    noise = 2 * ms_rest
    ms_items = noise + seeds * 1e4 * max(DISCORDANCE - noise / 1e4, ITEM_FLOOR)
    spread = max(ms_rest, ms_seeds)
    expected = Squares(ms_items, (spread, spread), (ms_rest, ms_rest), items, seeds)
    return detectable(expected, alpha)
