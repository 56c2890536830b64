"""Simulated gates with a known truth: item scores of two arms over several seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

POINT = 4.41 / 100
"""Latent units of one point: the density of N(0, 1.5^2 + .6^2 + .7^2) at 0 is .2266."""

Scores = npt.NDArray[np.float64]
Arms = tuple[Any, Any]


def items_of(rng: np.random.Generator, items: int) -> Scores:
    """How easy each gold item is [n], in latent units."""
    return rng.normal(0, 1.5, items)


def arm(
    rng: np.random.Generator, item: Scores, seeds: int, sd: float, gain: float, drift: float
) -> Scores:
    """0/1 scores [S, n] of one checkpoint: its own item effects, seed effects and noise."""
    latent = item + rng.normal(0, drift, len(item)) + rng.normal(0, sd * POINT, (seeds, 1))
    latent = latent + rng.normal(0, 0.7, (seeds, len(item))) + gain * POINT
    return (latent > 0).astype(float)


def world(
    rng: np.random.Generator,
    seeds: int = 5,
    items: int = 100,
    sd: float = 2.2,
    gain: float = 0.0,
    drift: float = 0.6,
) -> Arms:
    """Two arms of one gold set (items differ in how hard they are, arms in what they find easy).

    ``sd`` is the spread of the seeds and ``gain`` the effect of CPT, in points. ``drift`` is
    the sd of what each checkpoint finds easier or harder; 0 is the same checkpoint twice.
    """
    item = items_of(rng, items)
    return arm(rng, item, seeds, sd, 0.0, drift), arm(rng, item, seeds, sd, gain, drift)
