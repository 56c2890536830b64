"""Holm's correction for several tests, and the fewest items that any test can decide on."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values in the given order: for all runs against one gold set."""
    count, floor = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, place in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        floor = max(floor, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted


def weighted_holm(p_values: tuple[float, float], share: float) -> tuple[float, float]:
    """Adjusted p values of two endpoints, of which the second has ``share`` of alpha (0 to 1).

    Weighted Holm (1979): the one that is shown at its own share leaves all of alpha to the
    other, so both hold together at alpha.
    """
    one, two = (min(1.0, p / part) for p, part in zip(p_values, (1 - share, share), strict=True))
    if one <= two:
        return one, max(one, p_values[1])
    return max(two, p_values[0]), two


def fewest_items(alpha: float) -> int:
    """Items, all changed one way, with which an exact sign test reaches ``alpha``: 6 at 0.05."""
    return ceil(1 - log2(alpha))
