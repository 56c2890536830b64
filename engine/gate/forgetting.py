"""Retention: is the rise of generic loss shown to be below a limit? One-sided non-inferiority.

The rise is paired by document and the documents are resampled, so that a few odd ones widen
the interval instead of deciding. Uncorrected beside the gate's test, because a verdict
needs both: a joint of two tests errs no more often than either (intersection-union test).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.artifacts.record import Interval
from engine.errors import InputError
from engine.stats.bootstrap import interval, ratio_deviations

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def guard_state(rise: float | None, limits: dict[str, float], high: float | None = None) -> str:
    """Forgetting by the rise of generic loss in nats: green, amber, red or unknown.

    With the interval's upper bound ``high`` it is a non-inferiority test: green and amber
    mean that a rise above their limits is ruled out. Without, the rise itself is compared.
    """
    if rise is None:
        return "unknown"
    bound = rise if high is None else high
    if bound <= limits["forgetting_green"]:
        return "green"
    return "amber" if bound <= limits["forgetting_amber"] else "red"


RESAMPLES = 2_000
"""Enough that the interval's ends move by less than they are printed."""


def loss_rise(before: ArrayLike, after: ArrayLike, tokens: ArrayLike, seed: int = 0) -> Interval:
    """Rise of loss in nats per token, with its 95% document-bootstrap interval.

    ``before`` and ``after`` are summed nats of the same documents [n], ``tokens`` the tokens
    they were summed over [n]. The upper bound is the one-sided 97.5% one. Raises InputError
    where the lengths differ or there are fewer than two documents.
    """
    import numpy as np

    one, two, counts = (np.asarray(v, dtype=np.float64) for v in (before, after, tokens))
    if not one.shape == two.shape == counts.shape or one.ndim != 1 or len(one) < 2:
        raise InputError(
            f"the losses before {one.shape} and after {two.shape} are not those of the same two "
            "or more documents; measure both models on the same held-out text"
        )
    change = two - one
    value = float(change.sum() / counts.sum())
    return interval(value, ratio_deviations(change, counts, RESAMPLES, seed))
