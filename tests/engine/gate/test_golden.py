"""Golden test: a published table through the product's own verdict function.

Gururangan 2020, Table 3: mean and sd of F1 over 5 seeds, of the base, of domain-adaptive
pretraining and of the same on an irrelevant corpus. The outcomes are those of the science
note (E), found there by a Welch test. The table has no items, so each arm is written as scores
that are alike on all items of a seed; the gate's test is then Welch's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from engine.artifacts.gate import GateVerdict
from engine.gate.judge import judge
from engine.recipe.gate import Gate
from engine.thresholds import effective

SEEDS = 5
ITEMS = 20
TABLE_3 = {
    "CHEMPROT": ((81.9, 1.0), (84.2, 0.2), (79.4, 1.3)),
    "RCT": ((87.2, 0.1), (87.6, 0.1), (86.9, 0.1)),
    "ACL-ARC": ((63.0, 5.8), (75.4, 2.5), (66.4, 4.1)),
    "SCIERC": ((77.3, 1.9), (80.8, 1.5), (79.2, 0.9)),
    "HYPERPARTISAN": ((86.6, 0.9), (88.2, 5.9), (76.4, 4.9)),
    "AGNEWS": ((93.9, 0.2), (93.9, 0.2), (93.5, 0.2)),
    "HELPFULNESS": ((65.1, 3.4), (66.5, 1.4), (65.1, 2.8)),
    "IMDB": ((95.0, 0.2), (95.4, 0.2), (94.1, 0.4)),
}
DAPT, IRRELEVANT = 1, 2
ORDERS = ([0, 1, 2, 3, 4], [3, 0, 4, 1, 2])
"""Which seed was better; another one in each arm. Without effect on the test."""


def arm(mean: float, sd: float, order: list[int]) -> npt.NDArray[np.float64]:
    """Scores [S, n] with exactly this mean and sd of the seeds, in points."""
    steps = np.arange(SEEDS) - (SEEDS - 1) / 2
    seeds = mean + sd * (steps / steps.std(ddof=1))[order]
    return np.repeat(seeds[:, None] / 100, ITEMS, axis=1)


def verdicts(column: int, margin: float, corrected: bool = False) -> dict[str, GateVerdict]:
    """Every task's verdict; ``corrected`` for the seven others."""
    gate = Gate.model_validate({"margin": margin, "seeds": [0, 1, 2, 3, 4]})
    found: dict[str, GateVerdict] = {}
    p = {name: row.p_value for name, row in verdicts(column, margin).items()} if corrected else {}
    for task, row in TABLE_3.items():
        base, cpt = arm(*row[0], ORDERS[0]), arm(*row[column], ORDERS[1])
        others = [value for name, value in p.items() if name != task]
        found[task] = judge(base, cpt, gate, 0.0, effective({}), other_tries=others)
    return found


def named(found: dict[str, GateVerdict], outcome: str) -> set[str]:
    return {task for task, verdict in found.items() if outcome in (verdict.outcome, verdict.label)}


def test_dapt() -> None:
    raw = verdicts(DAPT, 0.0)
    assert named(raw, "EARNED") == {"CHEMPROT", "RCT", "ACL-ARC", "SCIERC", "IMDB"}
    assert named(raw, "HURT") == set()
    assert named(verdicts(DAPT, 0.0, corrected=True), "EARNED") == {"CHEMPROT", "RCT", "ACL-ARC"}
    at_one = verdicts(DAPT, 1.0)
    assert named(at_one, "trivial") == {"RCT", "IMDB"}
    assert named(at_one, "EARNED") == {"CHEMPROT", "ACL-ARC", "SCIERC"}


def test_irrelevant_corpus() -> None:
    raw = verdicts(IRRELEVANT, 0.0)
    assert named(raw, "HURT") == {"CHEMPROT", "RCT", "HYPERPARTISAN", "AGNEWS", "IMDB"}
    assert named(raw, "EARNED") == set()
    assert named(verdicts(IRRELEVANT, 0.0, corrected=True), "HURT") == {"RCT", "IMDB"}


@pytest.mark.parametrize("column", [DAPT, IRRELEVANT])
def test_the_p_values_are_those_of_welch(column: int) -> None:
    for task, verdict in verdicts(column, 0.0).items():
        base, cpt = TABLE_3[task][0], TABLE_3[task][column]
        expected = stats.ttest_ind_from_stats(*cpt, SEEDS, *base, SEEDS, equal_var=False).pvalue
        assert verdict.p_value == pytest.approx(float(expected), rel=1e-6)
