"""Clockwork: evaluations take no more than their share of a run's time, and there are some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.worker.train.setup import (
    EVALUATION_SHARE,
    FORWARD_SHARE,
    LEAST_POINTS,
    POINTS,
    evaluation_interval,
)


@pytest.mark.parametrize(
    ("steps", "batch", "heldout", "interval"),
    [
        (316, 2_048, 16_000, 36),  # the demo
        (2_000, 65_536, 100_000, 100),  # 131M tokens: 20 points
        (80, 65_536, 100_000, 7),  # 5M tokens
        (10, 512, 100_000, 2),
        (1, 512, 100_000, 1),
    ],
)
def test_points_are_fewer_where_they_are_dear(
    steps: int, batch: int, heldout: int, interval: int
) -> None:
    assert evaluation_interval(steps, batch, heldout) == interval


@given(st.integers(1, 10**5), st.integers(64, 10**6), st.integers(0, 10**6))
def test_the_share_is_kept_or_the_points_are_the_fewest(
    steps: int, batch: int, heldout: int
) -> None:
    every = evaluation_interval(steps, batch, heldout)
    read = len(range(0, steps, every)) + 1  # at the start, every so often, at the end
    spent = read * FORWARD_SHARE * heldout
    assert 1 <= every <= steps
    assert read <= POINTS + 1
    dear = spent > EVALUATION_SHARE * (spent + steps * batch) * (1 + 1e-9)
    assert not dear or read <= LEAST_POINTS + 1
