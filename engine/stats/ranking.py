"""Centred macro-AUC: does a model rank the items of each class above the others?

An item's likelihoods are centred over its choices; AUC of class k is the chance that an item of
k stands above one of another class in column k. An offset moves a whole column and a
temperature scales it, so label bias and being surer earn nothing. The mean over classes is
Hand and Till's (2001, Machine Learning 45) in its one-against-all form. It is no mean over
items: the values are the infinitesimal jackknife's, made of DeLong's placements (1988,
Biometrics 44).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Classes = NDArray[int64]

FEWEST = 10
"""Sources that a class and the rest need; a class with fewer drops: its placements are too few
for the jackknife (``tests/benchmarks/error_rates.py``)."""


def ranked_classes(truth: Classes, weights: Floats) -> list[int]:
    """Classes with enough sources, and with enough of other classes."""
    import numpy as np

    sizes = np.bincount(truth, weights=weights)
    return [k for k in range(len(sizes)) if min(sizes[k], sizes.sum() - sizes[k]) >= FEWEST - 1e-9]


def ranking_values(likelihoods: Floats, truth: Classes, weights: Floats) -> Floats | None:
    """Jackknife values ``[S, n]`` of the macro-AUC from ``[S, n, K]``; None without a class.

    ``truth`` is each item's class [n], ``weights`` what it weighs [n], 1 a source in all. A
    seed's weighted mean is exactly its macro-AUC; a value may lie outside 0..1.
    """
    import numpy as np

    kept = ranked_classes(truth, weights)
    if not kept:
        return None
    centred = likelihoods - likelihoods.mean(axis=-1, keepdims=True)
    total, values = weights.sum(), np.zeros(likelihoods.shape[:2])
    for k in kept:
        own = truth == k
        inside, outside = weights[own], weights[~own]
        for seed, column in enumerate(centred[:, :, k]):
            below = _shares_below(column[own], column[~own], outside)
            above = 1 - _shares_below(column[~own], column[own], inside)
            area = float(below @ inside) / inside.sum()
            values[seed, own] += (below - area) * total / inside.sum() + area
            values[seed, ~own] += (above - area) * total / outside.sum() + area
    mean: Floats = values / len(kept)
    return mean


def _shares_below(these: Floats, others: Floats, weights: Floats) -> Floats:
    """Share by weight of ``others`` below each of ``these``; equal ones count half."""
    import numpy as np

    order = np.argsort(others)
    ordered, sums = others[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    below: Floats = sums[np.searchsorted(ordered, these, "left")]
    upto: Floats = sums[np.searchsorted(ordered, these, "right")]
    share: Floats = (below + upto) / (2 * sums[-1])
    return share
