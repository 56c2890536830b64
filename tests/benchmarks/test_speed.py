"""The arms of the speed table do the same work: their numbers are equal, whatever their times."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.nn.functional as F

from tests.benchmarks.speed import (
    BARE,
    BEFORE,
    OURS,
    attention_arms,
    compare,
    head_arms,
    step_arms,
    table,
)


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no fused head")
def test_the_arms_of_each_row_are_equal(tiny_model: Path) -> None:
    rows = [
        compare("head", head_arms(300, 512, 32), 1),
        compare("attention", attention_arms(64, 16, (4, 2, 8)), 1),
        compare("step", step_arms(tiny_model, 2, 64), 1),
    ]
    for row in rows:
        assert set(row.seconds) >= {OURS, BEFORE, BARE}
        assert row.apart < 1e-5, row
    assert table(rows).count("\n") == 2 + sum(len(row.ratios) for row in rows)
