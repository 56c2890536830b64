"""What else the compute could have bought: sentences and worth on tables with a known truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from engine.artifacts.arms import ArmRow, Difference
from engine.stats.alternatives import (
    describe_curve,
    describe_more_sft,
    describe_worth,
    worth_in_examples,
)

SEEDS, ITEMS = 5, 600


@dataclass
class World:
    """Both arms at all of the probe, and rows of a curve: shares of items that are right."""

    base: Any
    cpt: Any
    groups: None = None


def table(rng: np.random.Generator, share: float) -> Any:
    """One arm: items are hard alike in every arm, seeds scatter by a point."""
    hard = np.linspace(0, 1, ITEMS)
    seeds = rng.normal(share, 0.01, (SEEDS, 1))
    return (hard < seeds + rng.normal(0, 0.02, (SEEDS, ITEMS))).astype(float)


def curve(
    rng: np.random.Generator, base: tuple[float, float], cpt: tuple[float, float]
) -> list[ArmRow]:
    return [
        ArmRow(
            name=f"{side} {axis} {share}",
            kind="curve",
            tokens=0,
            seeds=list(range(SEEDS)),
            per_item=(found := table(rng, value)).tolist(),
            score=100 * float(found.mean()),
            lr=1e-3,
            generic_rise=None,
            guard="green",
            side=side,
            axis=axis,
            share=share,
        )
        for axis in ("steps", "examples")
        for side, values in (("base", base), ("cpt", cpt))
        for share, value in zip((0.25, 0.5), values, strict=True)
    ]


@pytest.mark.parametrize(
    ("base", "cpt", "ends", "words"),
    [
        ((0.3, 0.5), (0.6, 0.65), (0.65, 0.68), "the lead closes"),
        ((0.3, 0.32), (0.32, 0.45), (0.34, 0.6), "the lead widens"),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), "no change"),
    ],
)
def test_a_lead_that_closes_is_a_head_start(
    base: tuple[float, float], cpt: tuple[float, float], ends: tuple[float, float], words: str
) -> None:
    rng = np.random.default_rng(1)
    world = World(table(rng, ends[0]), table(rng, ends[1]))
    said = describe_curve(curve(rng, base, cpt), world, 0.05)
    assert len(said) == 2
    assert all(words in line for line in said), said
    assert "By SFT steps CPT leads by" in said[0]
    assert describe_curve([], world, 0.05) == []


def test_cpt_is_worth_the_examples_that_would_do_the_same() -> None:
    """The base gains ten points a doubling; CPT is ten ahead: it saves as many rows again."""
    rng = np.random.default_rng(2)
    world = World(table(rng, 0.6), table(rng, 0.7))
    found = worth_in_examples(curve(rng, (0.4, 0.5), (0.6, 0.65)), world, 400)
    assert found is not None
    assert found.equal == pytest.approx(800, rel=0.15)
    assert found.low is not None
    assert found.low < 800
    assert found.high is None or found.high > 800
    assert "The base would need" in describe_worth(found).replace("the base", "The base")
    assert worth_in_examples([], world, 400) is None


def test_beyond_what_the_curve_tells_more_than_is_said() -> None:
    rng = np.random.default_rng(3)
    world = World(table(rng, 0.5), table(rng, 0.9))
    found = worth_in_examples(curve(rng, (0.49, 0.5), (0.8, 0.85)), world, 400)
    assert found is not None
    assert found.equal is None
    assert "more than 3,200" in describe_worth(found)


def test_a_worth_below_its_own_examples_is_told_as_a_loss() -> None:
    rng = np.random.default_rng(4)
    world = World(table(rng, 0.6), table(rng, 0.5))
    found = worth_in_examples(curve(rng, (0.4, 0.5), (0.4, 0.5)), world, 400)
    assert found is not None
    assert found.equal == pytest.approx(200, rel=0.2)
    assert "-2" in describe_worth(found).rpartition(",")[2] or "-1" in describe_worth(found)


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        ("EARNED", "EARNED", "EARNED, and it beats the same compute in SFT"),
        ("TIE", "EARNED", "EARNED, but more SFT earns as much"),
        ("HURT", "EARNED", "more SFT is the better use"),
        ("TIE", "TIE", "no difference between the two is shown"),
    ],
)
def test_more_sft_is_the_alternative(ahead: str, verdict: str, words: str) -> None:
    row = curve(np.random.default_rng(0), (0.3, 0.4), (0.4, 0.5))[0]
    row = row.model_copy(update={"kind": "sft", "compute_share": 0.4, "sft_steps": 900})
    gap = Difference(estimate=3, low=1, high=5, p_value=0.01, p_adjusted=0.01, outcome=ahead)
    said = describe_more_sft(row, gap, verdict)
    assert words in said
    assert "40% of CPT's compute" in said
