"""Document bootstrap: intervals for ratios of sums over documents, torch-free.

Documents, not tokens, are resampled, since tokens of one document are alike. With few documents
the plain percentile interval is too short, so its deviations are stretched by
sqrt(n / (n - 1)) x t / z (the expanded percentile interval, Hesterberg 2015, "What Teachers
Should Know About the Bootstrap", section 4.5.1); ``tests/benchmarks/coverage.py`` measures what
that buys.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.artifacts.record import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LEVEL = 0.95
MOST_DRAWN = 1 << 26
"""Counts of documents drawn at a time, 512 MB of them: memory stays flat however many resamples."""


def expansion(documents: int, level: float = LEVEL) -> float:
    """Factor by which deviations of a resampled mean of ``documents`` are stretched (>= 1)."""
    from scipy import stats

    if documents < 2:
        return math.inf
    tail = (1 + level) / 2
    wide = float(stats.t.ppf(tail, documents - 1) / stats.norm.ppf(tail))
    return wide * math.sqrt(documents / (documents - 1))


def ratio_deviations(
    top: Floats, bottom: Floats, resamples: int, seed: int, level: float = LEVEL, log: bool = False
) -> Floats:
    """Deviations of sum(top) / sum(bottom) under document resampling [resamples].

    ``top`` and ``bottom`` are per document [n]. With ``log`` the deviations are those of the
    ratio's logarithm. Already stretched by ``expansion``; all zero for fewer than two documents.
    """
    import numpy as np

    if len(top) < 2:
        return np.zeros(resamples)
    rng = np.random.default_rng(seed)
    even, block = np.full(len(top), 1 / len(top)), max(1, MOST_DRAWN // len(top))
    parts = []
    for start in range(0, resamples, block):
        weights = rng.multinomial(len(top), even, size=min(block, resamples - start))
        parts.append((weights @ top) / np.maximum(weights @ bottom, 1e-12))
    draws = np.concatenate(parts)
    value = top.sum() / max(float(bottom.sum()), 1e-12)
    if log:
        draws, value = np.log(np.maximum(draws, 1e-12)), math.log(max(float(value), 1e-12))
    stretched: Floats = (draws - value) * expansion(len(top), level)
    return stretched


def interval(value: float, deviations: Floats, level: float = LEVEL) -> Interval:
    """The value with its two-sided interval at ``level``."""
    import numpy as np

    low, high = np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=value + float(low), high=value + float(high))


def ratio_of_ratios(
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    resamples: int,
    seed: int,
    level: float = LEVEL,
    paired: bool = False,
) -> Interval:
    """(sum/sum of the first) over (sum/sum of the second), each side resampled by documents.

    ``paired``: both sides are the same documents, and are resampled together.
    """
    import numpy as np

    value = _log_ratio(*first) - _log_ratio(*second)
    deviations = ratio_deviations(*first, resamples, seed, level, log=True) - ratio_deviations(
        *second, resamples, seed if paired else seed + 1, level, log=True
    )
    found = interval(value, deviations, level)
    value, low, high = (float(np.exp(x)) for x in (found.value, found.low, found.high))
    return Interval(value=value, low=low, high=high)


def _log_ratio(top: Floats, bottom: Floats) -> float:
    return math.log(max(float(top.sum()), 1e-12) / max(float(bottom.sum()), 1e-12))
