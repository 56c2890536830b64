"""The crossed table of scores, seeds x items: its checks, mean squares and standard error."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

from engine.errors import InputError

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Table = NDArray[float64]

ROUNDING = 1e-12
"""Mean squares below this, in points squared, are rounding of a table without variance."""


def scores(values: Any, arm: str) -> Table:
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


def shares(values: Any, arm: str) -> Table:
    """Check one arm's scores as ``scores`` does, each item in 0..1."""
    table = scores(values, arm)
    _refuse(table, (table < 0) | (table > 1), arm, "not in 0..1")
    return table


def _refuse(table: Table, bad: Any, arm: str, why: str) -> None:
    """InputError naming the first bad score."""
    if bad.any():
        seed, item = (int(place[0]) for place in bad.nonzero())
        raise InputError(
            f"the {arm} arm's score of item {item} at seed row {seed} is {table[seed, item]}, "
            f"{why}; score that arm again"
        )


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


def crossed_error(
    ms_items: float, ms_seeds: float, ms_rest: float, items: int, seeds: int
) -> tuple[float, float]:
    """Standard error of the mean and its degrees of freedom (DESIGN 8).

    SE^2 = max(MS_I + MS_S - MS_E, MS_I, MS_S) / (nS); Satterthwaite on the chosen term,
    clipped to [S-1, n+S]. Without variance: 0 and S-1.
    """
    chosen = max(ms_items + ms_seeds - ms_rest, ms_items, ms_seeds)
    if chosen < ROUNDING:
        return 0.0, float(seeds - 1)
    spread = ms_items**2 / (items - 1) + ms_seeds**2 / (seeds - 1)
    spread += ms_rest**2 / ((items - 1) * (seeds - 1))
    return sqrt(chosen / (items * seeds)), min(max(chosen**2 / spread, seeds - 1), items + seeds)
