"""Power: the prior table and the baseline arm's own figure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.gate import items_needed, measured_mde, prior_mde
from tests.engine.test_gate import world


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
