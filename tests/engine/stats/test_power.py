"""Power: the prior table and the baseline arm's own figure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.stats.crossed_test import Squares, squares
from engine.stats.power import Wanted, detectable, items_needed, measured_mde, prior_mde, wanted
from tests.gate_world import world


def test_prior_mde_holds_the_table_and_is_monotone() -> None:
    assert prior_mde(100, 5) == pytest.approx(12.2)
    assert prior_mde(50, 3) == pytest.approx(26.7)
    assert prior_mde(400, 8) == pytest.approx(5.8)
    for seeds in (2, 3, 4, 5, 7, 8, 20):
        found = [prior_mde(n, seeds) for n in (1, 2, 10, 30, 77, 400, 401, 5000, 10**6)]
        assert all(0 < later <= earlier <= 100 for earlier, later in pairwise(found))
    by_seeds = [prior_mde(150, seeds) for seeds in (1, 2, 3, 4, 5, 6, 8, 9, 50)]
    assert by_seeds == sorted(by_seeds, reverse=True)


def test_items_needed_inverts_the_prior() -> None:
    needed = items_needed(10, 5)
    assert needed is not None
    assert prior_mde(needed, 5) <= 10 < prior_mde(needed - 1, 5)
    assert items_needed(5, 5) is None
    assert items_needed(100, 1) is not None


def test_measured_mde_is_near_the_prior() -> None:
    rng = np.random.default_rng(11)
    found = [measured_mde(world(rng)[0]) for _ in range(100)]
    assert 8 < float(np.median(found)) < 13
    wide = [measured_mde(world(rng, sd=8.0)[0]) for _ in range(100)]
    assert np.median(wide) > 1.4 * np.median(found)


def test_measured_mde_without_a_test_is_the_whole_scale() -> None:
    assert measured_mde(np.ones((1, 50))) == 100
    assert measured_mde(np.ones((5, 1))) == 100
    assert 0 < measured_mde(np.ones((5, 50))) < 100


def expectation(seeds: int = 5, items: int = 100, sd: float = 2.2) -> Squares:
    """Mean squares of the simulated world, averaged over many tables."""
    rng = np.random.default_rng(0)
    found = [
        squares(*(100 * arm for arm in world(rng, seeds=seeds, items=items, sd=sd)))
        for _ in range(200)
    ]
    means = np.array([(f.items, *f.seeds, *f.rest) for f in found]).mean(axis=0)
    return Squares(means[0], (means[1], means[2]), (means[3], means[4]), items, seeds)


@pytest.mark.parametrize(("items", "seeds"), [(400, 5), (100, 8), (50, 3)])
def test_mean_squares_of_another_design_are_foreseen(items: int, seeds: int) -> None:
    """From 100 items x 5 seeds to other designs: within a tenth of what they really have."""
    foreseen, real = expectation().expected(items, seeds), expectation(seeds, items)
    assert foreseen.items == pytest.approx(real.items, rel=0.1)
    assert sum(foreseen.seeds) == pytest.approx(sum(real.seeds), rel=0.15)


def test_what_is_wanted_shows_the_effect_and_less_does_not() -> None:
    found = expectation()
    assert detectable(found, 0.05) > 8
    more = wanted(found, 8.0, 0.05)
    assert more.items is not None
    assert more.seeds is not None
    assert more.items > 100
    assert more.seeds > 5
    assert detectable(found.expected(more.items, 5), 0.05) <= 8.0
    assert detectable(found.expected(more.items - 1, 5), 0.05) > 8.0
    assert detectable(found.expected(100, more.seeds), 0.05) <= 8.0
    assert detectable(found.expected(100, more.seeds - 1), 0.05) > 8.0
    assert wanted(found, 50.0, 0.05) == Wanted(100, 5)
    assert wanted(found, 0.01, 0.05) == Wanted(None, None)
    corrected = wanted(found, 8.0, 0.01)
    assert corrected.items is not None
    assert corrected.items > more.items
