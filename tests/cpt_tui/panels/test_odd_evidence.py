"""The panels draw whatever a record takes, and name what it refuses."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from cpt_tui.panels.evidence import EvidencePanel
from cpt_tui.panels.gate import GatePanel
from cpt_tui.panels.packing import PackingPanel
from cpt_tui.panels.panel import Panel
from engine.runs import events as ev
from engine.runs.view import RunView
from engine.thresholds import THRESHOLDS, effective
from tests.cpt_tui import gated, hostile, measured, worlds
from tests.engine.summary.test_findings import WHOLE, numbers, put

EXTREMES = (0, -1, 3, 10**18, -(10**18), 10**30, -(10**30), 1e-300, 0.5)
MOVED = {name: threshold.value for name, threshold in THRESHOLDS.items()}


def fold(evidence: dict[str, Any]) -> RunView:
    """A view of a run whose stages left this evidence."""
    view = RunView()
    for stage, found in evidence.items():
        view.apply(ev.StageDone(stage=stage, seconds=1, evidence=found))
    return view


def draw(view: RunView, width: int = 80) -> dict[str, str]:
    """The text of each panel."""
    panels: list[Panel] = [EvidencePanel("evidence"), PackingPanel("packing"), GatePanel("gate")]
    return {str(panel.id): panel.written(view, width).plain for panel in panels}


@pytest.mark.parametrize("seed", range(3))
def test_any_number_that_a_record_takes_is_drawn(seed: int) -> None:
    """Twenty numbers at once are extreme: those of the evidence and of the recipe's thresholds."""
    drawn, whole = random.Random(seed), copy.deepcopy(WHOLE)
    whole["decide"]["thresholds_overridden"] = dict(MOVED)
    places = [(stage, path) for stage, found in whole.items() for path in numbers(found)]
    read = 0
    for _ in range(40):
        evidence = copy.deepcopy(whole)
        for stage, path in drawn.sample(places, 20):
            part: Any = evidence[stage]
            for name in path[:-1]:
                part = part[name]
            part[path[-1]] = drawn.choice(EXTREMES)
        view = fold(evidence)
        read += len(WHOLE) - len(view.made.unreadable)
        draw(view, drawn.choice([40, 80, 140]))
    assert read > 200


@pytest.mark.parametrize(
    "sides",
    [[1e10] * 21, [0] * 21, [-1] * 21, [1e30] * 21, list(range(20, -1, -1)), [3, 3], [5, 1, 1, 7]],
)
def test_distributions_of_any_shape_are_drawn(sides: list[float]) -> None:
    """All documents alike, and percentiles that do not grow."""
    evidence = put("probe", ("fluency", "domain", "spread"), sides)
    evidence["fluency"]["generic"]["spread"] = sides
    text = draw(fold({"probe": evidence}))["evidence"]
    assert "middle half" in text


def test_thresholds_below_one_and_in_another_order_keep_their_scale() -> None:
    for moved in ({"tokens_noise": 0}, {"tokens_noise": -5.0, "tokens_marginal": -7.0}):
        decided = {**WHOLE["decide"], "thresholds_overridden": moved}
        text = draw(fold({"scan": measured.scan(), "decide": decided}))["evidence"]
        assert "2.6M" in text


def test_thresholds_of_a_log_that_are_no_numbers_are_left_out() -> None:
    moved = {"fluent_ratio": "1.2", "go_gain": float("nan"), "spike": 10**400, "order_ratio": [1]}
    view = fold({"decide": {**WHOLE["decide"], "thresholds_overridden": moved}})
    assert view.limits == effective({})
    assert "decide: its evidence cannot be read (thresholds_overridden." in draw(view)["evidence"]


@pytest.mark.parametrize(
    ("stage", "panel", "missing"),
    [
        ("scan", "evidence", "Effective tokens"),
        ("probe", "evidence", "Loss of the base"),
        ("decide", "evidence", "not made yet"),
        ("pack", "packing", "not done yet"),
        ("gate", "gate", "no verdict yet"),
        ("baseline", "gate", "The base arm"),
        ("arms", "gate", "CPT minus it"),
    ],
)
def test_what_cannot_be_read_is_named_on_its_panel(stage: str, panel: str, missing: str) -> None:
    """Not as if the stage had not run; and the other stages are drawn."""
    evidence = {**WHOLE, stage: {"scan": 3, "fluency": [], "ledger": [1], "scores": 1, "rows": 1}}
    texts = draw(fold(evidence))
    assert f"{stage}: its evidence cannot be read (" in texts[panel]
    assert missing not in texts[panel]
    others = [text for name, text in texts.items() if name != panel]
    assert all(len(text) > 100 for text in others)


def test_a_strangers_key_is_shown_clean() -> None:
    evidence = put("scan", ("scan", "domain", "skipped"), {worlds.EVIL: "x"})
    text = draw(fold({"scan": evidence}))["evidence"]
    assert "scan.domain.skipped." in text
    assert hostile.escaped(text.encode()) == []


def test_a_ledger_of_an_older_run_shows_what_it_counted() -> None:
    """And one that does not add up says so; entries of a stranger are left out."""
    table = {**worlds.pack()["ledger"], "packed documents": 5929, worlds.EVIL: 3}
    text = draw(fold({"pack": {**worlds.pack(), "ledger": table}}))["packing"]
    folded = " ".join(text.split())
    assert "packed documents 5,929 DOES NOT BALANCE -1" in folded
    assert "BOS tokens 0 balances to the token" in folded
    assert "left out by the token cap" in text
    assert "tokens cut" not in text
    assert "EVIL" not in text


def test_a_verdict_without_seeds_in_the_log_shows_its_own_scores() -> None:
    text = draw(fold({"gate": gated.GATE}))["gate"]
    assert "   2    62.00    66.75     +4.75  better" in text
