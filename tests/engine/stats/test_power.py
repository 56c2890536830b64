"""Power: the prior figure and the baseline arm's own figure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.stats.crossed_test import Squares, squares
from engine.stats.power import (
    Terms,
    Wanted,
    detectable,
    f1_shape,
    items_needed,
    measured_mde,
    prior_mde,
    wanted,
)
from tests.gate_world import world


def test_prior_mde_is_the_rules_own_and_is_monotone() -> None:
    """At 5 seeds and 240 items the simulated gates of seed sd 2.9 show about 8 points
    (``tests/benchmarks/error_rates.py power``); no number of items beats margin and seeds."""
    assert prior_mde(240) == pytest.approx(8.3, abs=0.7)
    assert prior_mde(10**6, Terms(seeds=50)) > 2.0
    assert prior_mde(240, Terms(margin=0)) == prior_mde(240)
    assert prior_mde(10_000, Terms(20, margin=6)) > 6 > prior_mde(10_000, Terms(20))
    assert prior_mde(240, Terms(alpha=0.01)) > prior_mde(240)
    for seeds in (3, 4, 5, 7, 8, 20):  # with 2, more items cost degrees of freedom
        numbers = (1, 2, 10, 30, 77, 400, 401, 5000, 10**6)
        found = [prior_mde(n, Terms(seeds)) for n in numbers]
        assert all(0 < later <= earlier <= 100 for earlier, later in pairwise(found))
    by_seeds = [prior_mde(150, Terms(seeds)) for seeds in (1, 2, 3, 4, 5, 6, 8, 9, 50)]
    assert by_seeds == sorted(by_seeds, reverse=True)


def test_items_needed_inverts_the_prior() -> None:
    needed = items_needed(10)
    assert needed is not None
    assert prior_mde(needed) <= 10 < prior_mde(needed - 1)
    assert items_needed(5) is None
    assert items_needed(2, Terms(50)) is None
    assert items_needed(100, Terms(1)) == 2


def test_macro_f1_has_a_shape() -> None:
    """Of two classes, 9% in one: the simulated spread of its values is three times accuracy's."""
    assert f1_shape([50, 50]) == pytest.approx(1)
    assert f1_shape([9, 91]) == pytest.approx(3.05, abs=0.01)
    assert f1_shape([10, 0, 10]) == f1_shape([10, 10])
    assert prior_mde(200, Terms(shape=3.0)) > 1.4 * prior_mde(200)


def test_the_cpt_arms_own_seed_variance_counts() -> None:
    """A base near chance hardly varies; what earlier gates saw of the CPT arm is the least."""
    table = (np.random.default_rng(5).random((5, 400)) < 0.5).astype(float)
    calm = np.sort(table, axis=1)
    assert measured_mde(calm) < measured_mde(calm, history=16.0)
    assert measured_mde(calm, Terms(20)) < measured_mde(calm)


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
    assert detectable(found, 0.05, margin=20.0) > 20.0
    assert wanted(found, 2.0, 0.05, margin=2.0) == Wanted(None, None)
    assert wanted(found, 50.0, 0.05) == Wanted(100, 5)
    assert wanted(found, 0.01, 0.05) == Wanted(None, None)
    corrected = wanted(found, 8.0, 0.01)
    assert corrected.items is not None
    assert corrected.items > more.items
