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
    """Check one arm's scores: ``[S][n]``, finite, in 0..1."""
    import numpy as np

    try:
        table: Table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or table.size == 0:
        raise InputError(f"the {arm} arm needs one row of item scores per seed, all equally long")
    bad = np.argwhere(~((table >= 0) & (table <= 1)))
    if len(bad):
        seed, item = (int(place) for place in bad[0])
        raise InputError(
            f"the {arm} arm's score of item {item} at seed row {seed} is {table[seed, item]}, "
            "not in 0..1; score that arm again"
        )
    return table


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
