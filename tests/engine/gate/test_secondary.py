"""Beside the verdict: Holm, tags, items won and lost, McNemar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.gate.judge import judge
from engine.gate.secondary import by_tag, item_changes, mcnemar_display
from engine.stats.crossed_test import paired_test
from engine.stats.holm import holm
from engine.thresholds import effective
from tests.gate_world import FIXED, world


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a for p, a in zip(p_values, adjusted, strict=True))
    assert max(adjusted) <= min(1.0, len(p_values) * max(p_values)) + 1e-12
    assert min(adjusted) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert [adjusted[place] for place in order] == sorted(adjusted)


def test_mcnemar_is_exact() -> None:
    base = np.zeros((2, 10))
    cpt = base.copy()
    cpt[0, :6] = 1
    first, second = mcnemar_display(base, cpt)
    assert (first.better, first.worse) == (6, 0)
    assert first.p_value == pytest.approx(2 * 0.5**6)
    assert second.p_value == 1


def test_items_won_lost_and_tied() -> None:
    base = np.array([[0, 1, 1, 0], [0, 1, 0, 0]], dtype=float)
    cpt = np.array([[1, 0, 0, 0], [0, 1, 1, 0]], dtype=float)
    found = item_changes(base, cpt)
    assert found.differences == [50.0, -50.0, 0.0, 0.0]
    assert (found.won, found.lost, found.tied) == (1, 1, 2)
    verdict = judge(base, cpt, FIXED, 0.0, effective({}))
    assert (verdict.won, verdict.lost, verdict.tied) == (1, 1, 2)
    with pytest.raises(InputError, match="differ in shape"):
        item_changes(base, cpt[:1])


def test_results_by_tag() -> None:
    """The gain sits in one tag; a tag of five items is left out; Holm counts the shown ones."""
    base, cpt = world(np.random.default_rng(5), items=120)
    cpt[:, :40] = np.maximum(cpt[:, :40], base[:, :40])
    cpt[:, 20:40] = 1
    names = ["easy" if item < 40 else "hard" for item in range(120)]
    tags = [(name, *(["few"] if item < 5 else [])) for item, name in enumerate(names)]
    easy, hard = by_tag(base, cpt, 0.05, tags=tags)
    assert (easy.tag, easy.items, hard.tag, hard.items) == ("easy", 40, "hard", 80)
    alone = paired_test(base[:, :40], cpt[:, :40])
    assert (easy.estimate, easy.low, easy.p_value) == (alone.estimate, alone.low, alone.p_value)
    assert [easy.p_adjusted, hard.p_adjusted] == holm([easy.p_value, hard.p_value])
    assert easy.p_adjusted < 0.05 < hard.p_adjusted
    assert by_tag(base, cpt, 0.05) == []


def test_a_tag_needs_six_sources_not_six_items() -> None:
    base, cpt = world(np.random.default_rng(5), items=40)
    groups = [f"source {item % 5}" for item in range(20)] + [""] * 20
    tags = [("same",)] * 20 + [("own", "own")] * 20
    (only,) = by_tag(base, cpt, 0.05, groups, tags)
    assert (only.tag, only.items) == ("own", 20)
    verdict = judge(base, cpt, FIXED, 0.0, effective({}), groups, tags=tags)
    assert verdict.by_tag == [only]
