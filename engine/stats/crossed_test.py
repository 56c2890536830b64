"""The crossed test of two arms' scores, seeds x items: checks, mean squares, standard error.

Items are shared by the arms and seeds, and a source's items are one. Seeds are taken arm by
arm: a seed gives both arms the same order and initialisation, but not the same weights, so
each arm's spread over its seeds is its own and the two are summed (as Welch's test does). That
has twice the degrees of freedom of the spread of their S differences, whose test erred up to
3.3% each way (``tests/benchmarks/error_rates.py`` has both). Seeds that move both arms alike
make the sum too large: the test then errs less and sees less. Only seeds that move them
against each other would make it err more, and nothing that the arms share does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from numpy import bool_, float64, int64
    from numpy.typing import ArrayLike, NDArray

    Table = NDArray[float64]

ROUNDING = 1e-12
"""Mean squares below this, in points squared, are rounding of a table without variance."""

EQUAL = 1e-9
"""Differences closer than this, in points, are rounding of equal ones."""

Groups = Sequence[str | None] | None
"""One name an item; items of one name share a source. None or '' is an item of its own."""

Pair = tuple[float, float]
"""A number of each arm: base, CPT."""


@dataclass(frozen=True)
class Squares:
    """Mean squares in points squared: items of the difference, seeds and the rest by arm."""

    items: float
    seeds: Pair
    rest: Pair
    n_items: int
    n_seeds: int

    def expected(self, n_items: int, n_seeds: int) -> Squares:
        """What another number of items or seeds would give on average (ANOVA components).

        E MS_items = rest + S x item variance; E MS_seeds = rest + n x seed variance. A
        component that came out negative counts as 0.
        """
        noise = sum(self.rest)
        item = max(self.items - noise, 0.0) / self.n_seeds
        base, cpt = (
            rest + n_items * max(seeds - rest, 0.0) / self.n_items
            for seeds, rest in zip(self.seeds, self.rest, strict=True)
        )
        return Squares(noise + n_seeds * item, (base, cpt), self.rest, n_items, n_seeds)


@dataclass(frozen=True)
class TestResult:
    """Difference of two arms in points, with its (1 - alpha) t interval."""

    __test__ = False  # not a pytest class

    estimate: float
    low: float
    high: float
    se: float
    df: float
    p_value: float
    squares: Squares | None = None
    """None where there is no test: one seed or one item."""


def scores(values: ArrayLike, arm: str) -> Table:
    """Check one arm's scores: ``[S][n]``, finite.

    An item may lie outside 0..1 where the metric is no mean over items: the jackknife values of
    macro-F1 do. ``shares`` refuses that for all other metrics.
    """
    import numpy as np

    try:
        table: Table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.size == 0:
        raise InputError(f"the {arm} arm needs one row of item scores per seed, all equally long")
    _refuse(table, ~np.isfinite(table), arm, "not a finite number")
    return table


def shares(values: ArrayLike, arm: str) -> Table:
    """Check one arm's scores as ``scores`` does, each item in 0..1."""
    table = scores(values, arm)
    _refuse(table, (table < 0) | (table > 1), arm, "not in 0..1")
    return table


def _refuse(table: Table, bad: NDArray[bool_], arm: str, why: str) -> None:
    """InputError naming the first bad score."""
    if bad.any():
        seed, item = (int(place[0]) for place in bad.nonzero())
        raise InputError(
            f"the {arm} arm's score of item {item} at seed row {seed} is {table[seed, item]}, "
            f"{why}; score that arm again"
        )


def both_arms(base: ArrayLike, cpt: ArrayLike) -> tuple[Table, Table]:
    """The checked scores of both arms, equal in shape."""
    one, two = scores(base, "base"), scores(cpt, "CPT")
    if one.shape != two.shape:
        raise InputError(
            f"the arms differ in shape, base {one.shape} and CPT {two.shape} (seeds, items); "
            "score both arms on the same gold set and seeds"
        )
    return one, two


def group_means(table: ArrayLike, groups: Groups = None) -> Table:
    """``[S][n]`` -> ``[S][groups]``: items of one group are averaged.

    Items that share a source are not independent: clustered errors reached three times the
    naive ones (Miller 2024, arXiv 2411.00640).
    """
    import numpy as np

    items: Table = np.asarray(table, dtype=np.float64)
    if groups is None:
        return items
    index = group_index(groups, items.shape[1])
    means: Table = np.array([np.bincount(index, weights=row) for row in items])
    means /= np.bincount(index)
    return means


def group_index(groups: Groups, items: int) -> NDArray[int64]:
    """Number of each item's group [n], in the order in which they appear."""
    import numpy as np

    if groups is None:
        return np.arange(items)
    if len(groups) != items:
        raise InputError(f"{len(groups)} groups for {items} items; give one per item")
    names = [name or ("", index) for index, name in enumerate(groups)]
    places: dict[object, int] = {}
    return np.array([places.setdefault(name, len(places)) for name in names])


def mean_squares(table: Table) -> tuple[float, float, float]:
    """MS of items, seeds and the rest, in the table's unit squared; 2 x 2 at least."""
    seeds, items = table.shape
    by_item, by_seed, mean = table.mean(axis=0), table.mean(axis=1), table.mean()
    rest = table - by_item[None, :] - by_seed[:, None] + mean
    return (
        float(seeds * ((by_item - mean) ** 2).sum() / (items - 1)),
        float(items * ((by_seed - mean) ** 2).sum() / (seeds - 1)),
        float((rest**2).sum() / ((items - 1) * (seeds - 1))),
    )


def squares(base: Table, cpt: Table) -> Squares:
    """Mean squares of two tables in points, ``[S][n]`` each, 2 x 2 at least."""
    items = mean_squares(cpt - base)[0]
    (_, *one), (_, *two) = mean_squares(base), mean_squares(cpt)
    return Squares(items, (one[0], two[0]), (one[1], two[1]), base.shape[1], base.shape[0])


def crossed_error(found: Squares) -> Pair:
    """Standard error of the mean difference and its degrees of freedom.

    SE^2 = max(MS_I + MS_S - MS_E, MS_I, MS_S) / (nS), MS_S and MS_E summed over the arms;
    Satterthwaite on the chosen term, clipped to [S-1, n+S]; its error rates are simulated in
    ``tests/benchmarks/error_rates.py``. Seeds are taken arm by arm. With
    items that do not vary this is Welch's test on the seed means. Where items and seeds are
    even by luck (tiny tables), MS_E stands for both. Without variance: 0 and S-1.
    """
    items, seeds = found.n_items, found.n_seeds
    by_seed, rest = sum(found.seeds), sum(found.rest)
    chosen = max(found.items + by_seed - rest, found.items, by_seed)
    chosen = rest if chosen < ROUNDING else chosen
    if chosen < ROUNDING:
        return 0.0, float(seeds - 1)
    spread = found.items**2 / (items - 1)
    spread += sum(square**2 for square in found.seeds) / (seeds - 1)
    spread += sum(square**2 for square in found.rest) / ((items - 1) * (seeds - 1))
    return sqrt(chosen / (items * seeds)), min(max(chosen**2 / spread, seeds - 1), items + seeds)


def paired_test(
    base: ArrayLike, cpt: ArrayLike, alpha: float = 0.05, groups: Groups = None
) -> TestResult:
    """Crossed items x seeds test of CPT minus base, ``[S][n]`` each, in points.

    The interval is cut to what scores allow, +-100. With one seed or one item there is no
    such test: the interval is -100..100 and p = 1. Where all differences are equal, the
    interval is that one number. Raises InputError where the tables are no scores.
    """
    one, two = (100.0 * group_means(arm, groups) for arm in both_arms(base, cpt))
    estimate = float((two - one).mean())
    if min(one.shape) < 2:
        return TestResult(estimate, -100.0, 100.0, 0.0, 0.0, 1.0)
    found = squares(one, two)
    se, df = crossed_error(found)
    constant = float(abs(two - one - estimate).max()) < EQUAL  # whatever the arms' variance is
    if constant or se == 0:
        p = 1.0 if abs(estimate) < EQUAL else 0.0
        return TestResult(estimate, estimate, estimate, 0.0, df, p, found)
    from scipy.special import stdtr, stdtrit

    half = float(stdtrit(df, 1 - alpha / 2)) * se
    low, high = max(estimate - half, -100.0), min(estimate + half, 100.0)
    p = float(2 * stdtr(df, -abs(estimate) / se))
    return TestResult(estimate, low, high, se, df, p, found)
