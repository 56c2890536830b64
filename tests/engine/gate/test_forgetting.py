"""Retention: the rise of generic loss as a one-sided non-inferiority test over documents."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.gate.forgetting import loss_rise


def test_the_rise_is_paired_by_document() -> None:
    """Documents differ by nats; the rise on each is nearly the same, and the interval short."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(50, 500, 60).astype(float)
    before = tokens * rng.normal(4, 1, 60)
    after = before + tokens * rng.normal(0.03, 0.02, 60)
    rise = loss_rise(before, after, tokens)
    assert rise.value == pytest.approx((after - before).sum() / tokens.sum())
    assert 0.02 < rise.low < rise.value < rise.high < 0.04


def test_the_upper_bound_holds() -> None:
    """A true rise of the limit is called non-inferior in about 2.5 of 100 cases."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(400):
        tokens = rng.integers(50, 500, 30).astype(float)
        change = tokens * (0.05 + rng.normal(0, 0.05, 30))
        wrong += loss_rise(np.zeros(30), change, tokens).high < 0.05
    assert wrong <= 22  # 2.5% plus four standard errors


@pytest.mark.parametrize(("before", "after"), [([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_other_documents_are_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(InputError, match="same two or more documents"):
        loss_rise(before, after, [10.0] * len(before))
