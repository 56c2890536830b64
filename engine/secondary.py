"""The gate's continuous secondary: the gold answers' log-probability, CPT minus base, in nats.

It moves before accuracy does and varies less (Miller 2024), and it decides nothing.
"""

from __future__ import annotations

from typing import Any

from engine.crossed import crossed_error, mean_squares, scores
from engine.evidence import Interval
from engine.gate import Groups, group_means


def nats_gained(base: Any, cpt: Any, alpha: float = 0.05, groups: Groups = None) -> Interval | None:
    """Mean difference in nats an answer with its (1 - alpha) t interval, from ``[S][n]`` of both.

    The gate's crossed test, items of one group averaged first; None with one seed or one item.
    """
    from scipy.stats import t

    table = group_means(scores(cpt, "CPT") - scores(base, "base"), groups)
    seeds, items = table.shape
    if seeds < 2 or items < 2:
        return None
    mean = float(table.mean())
    error, freedom = crossed_error(*mean_squares(table), items, seeds)
    half = float(t.ppf(1 - alpha / 2, freedom)) * error
    return Interval(value=mean, low=mean - half, high=mean + half)
