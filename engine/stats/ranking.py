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
    from numpy import bool_, float64, int64
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Classes = NDArray[int64]
    Own = NDArray[bool_]

FEWEST = 10
"""Sources that a class and the rest need; a class with fewer drops: its placements are too few
for the jackknife (``tests/benchmarks/label_gates.py``)."""


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
    values = np.zeros(likelihoods.shape[:2])
    for k in kept:
        values += _column_values(centred[:, :, k], truth == k, weights)
    mean: Floats = values / len(kept)
    return mean


def _column_values(column: Floats, own: Own, weights: Floats) -> Floats:
    """Jackknife values [S, n] of one class's AUC; ``own`` are its items."""
    import numpy as np

    inside, outside = weights[own].sum(), weights[~own].sum()
    order = np.argsort(column, axis=1)
    ordered = np.take_along_axis(column, order, axis=1)
    upto_own = np.cumsum((weights * own)[order], axis=1)
    upto_other = np.cumsum((weights * ~own)[order], axis=1)
    placed = np.where(own[order], upto_other / outside, 1 - upto_own / inside)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        placed[row] = _tied_places(ordered[row], own[order[row]], weights[order[row]])
    shares = np.empty_like(column)
    np.put_along_axis(shares, order, placed, axis=1)
    area = (shares[:, own] @ weights[own] / inside)[:, None]
    scale = (inside + outside) / np.where(own, inside, outside)
    found: Floats = (shares - area) * scale + area
    return found


def _tied_places(ordered: Floats, own: Own, weights: Floats) -> Floats:
    """Placements of one sorted column in which values are equal: those count half."""
    import numpy as np

    placed = np.empty(len(ordered))
    for side, mine in ((own, ~own), (~own, own)):
        sums = np.concatenate([[0.0], np.cumsum(weights * mine)])
        first, last = (np.searchsorted(ordered, ordered[side], at) for at in ("left", "right"))
        share = (sums[first] + sums[last]) / (2 * sums[-1])
        placed[side] = share if mine is not own else 1 - share
    return placed
