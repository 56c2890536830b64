"""Packed tables: exact, short, and read from older files as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.gate import SeedScores
from engine.artifacts.tables import pack_table, unpack_table

NATS = st.floats(-1e4, 0, allow_nan=False)


@given(st.lists(st.lists(NATS, min_size=1, max_size=4), max_size=6))
def test_a_table_comes_back_to_the_last_bit(rows: list[list[float]]) -> None:
    """Items may have choices of their own, and so rows of their own length."""
    assert unpack_table(json.loads(json.dumps(pack_table(rows)))) == rows


def test_likelihoods_are_packed_in_a_seeds_file_and_plain_ones_are_read() -> None:
    rows = [[-1.25, -0.1], [-2.0, -3.5, -0.3]]
    kept = SeedScores(scores=[1.0, 0.0], likelihoods=rows)
    plain: dict[str, Any] = kept.to_json()
    assert set(plain["likelihoods"]) == {"float64", "columns"}
    assert SeedScores.model_validate(plain) == kept
    assert SeedScores.model_validate({"scores": [1.0, 0.0], "likelihoods": rows}) == kept
    assert SeedScores.model_validate({"scores": [1.0]}).likelihoods == []


@pytest.mark.parametrize(
    "torn", [{"float64": "AAAA", "columns": 2}, {"float64": "?", "columns": 1}]
)
def test_a_torn_table_is_none(torn: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SeedScores.model_validate({"scores": [1.0], "likelihoods": torn})
