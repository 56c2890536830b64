"""The gate's items from a run's files: live, done, judged again, and where files are bad."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.artifacts.gate import GateVerdict
from engine.gate import items
from engine.runs.run import Run
from engine.runs.view import RunView
from engine.summary import gate_lines, snapshot
from tests.cpt_tui import gated, worlds
from tests.cpt_tui.measured import EVIL


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = worlds.World(tmp_path).run
    gated.gold(run)
    return run


def differences() -> list[float]:
    """CPT minus base of every item in points, by hand."""
    base, cpt = gated.table("base"), gated.table("cpt")
    return [100 * sum(c[n] - b[n] for b, c in zip(base, cpt, strict=True)) / 5 for n in range(400)]


def test_items_of_a_finished_gate(run: Run) -> None:
    gated.artifacts(run)
    found = items.load(run)
    by_hand = differences()
    assert [item.difference for item in found.items] == pytest.approx(by_hand)
    counts = found.counts
    assert counts["won"] == sum(d > 0 for d in by_hand)
    assert counts["lost"] == sum(d < 0 for d in by_hand)
    assert counts["tied"] == sum(d == 0 for d in by_hand)
    assert sum(by_hand) / 400 == pytest.approx(4.35)
    lost = found.of("lost")
    assert [abs(i.difference or 0) for i in lost] == sorted(-d for d in by_hand if d < 0)[::-1]
    assert found.items[7].text is not None
    assert found.items[7].text.completion == " brain"


def test_items_come_in_while_the_gate_runs(run: Run) -> None:
    assert items.load(run).items == ()
    before = items.stamp(run)
    gated.arms(run, {"base": 5})
    assert items.stamp(run) != before
    found = items.load(run)
    assert found.counts["waiting"] == 400
    assert not found.scored
    gated.arms(run, {"base": 5, "cpt": 2})
    found = items.load(run)
    assert found.scored
    expected = [
        50 * sum(gated.table("cpt")[s][n] - gated.table("base")[s][n] for s in (0, 1))
        for n in range(400)
    ]
    assert [item.difference for item in found.items] == pytest.approx(expected)


def test_an_arm_that_is_scored_again_is_not_shown_as_it_was(run: Run) -> None:
    gated.artifacts(run)
    for path in (run.path / "artifacts").glob("*.json"):
        os.utime(path, (1, 1))
    gated.arms(run, {"base": 5, "cpt": 1})
    found = items.load(run)
    assert all(list(item.cpt.scores) == [0] for item in found.items)


def test_answers_are_shown_where_an_arm_keeps_them(run: Run) -> None:
    gated.arms(run, {"base": 1, "cpt": 1}, answers=True)
    assert items.load(run).items[3].cpt.answers == {0: f"{EVIL} cpt 0 3"}


@pytest.mark.parametrize("how", ["gone", "shorter", "not JSON"])
def test_without_texts_the_scores_are_still_there(run: Run, how: str) -> None:
    gated.artifacts(run)
    gold = run.path / "gate" / "gold.jsonl"
    if how == "gone":
        gold.unlink()
    else:
        gold.write_text("{" if how == "not JSON" else gold.read_text().split("\n")[0] + "\n" * 2)
    found = items.load(run)
    assert found.fault
    assert found.counts["won"] > 0
    assert found.items[0].text is None


ODD = ('{"per_item": 3}', '{"per_item": [["x"]]}', '{"per_item": [[NaN]]}', "3", f"[{9**999}]")


@pytest.mark.parametrize("value", [*ODD, "[]", "{}", "\0", "[" * 20_000])
def test_odd_artifacts_are_named_and_never_raise(run: Run, value: str) -> None:
    gated.arms(run, {"base": 2})
    for stage in ("baseline", "gate"):
        run.artifact_path(stage).write_text(value)
    found = items.load(run)
    assert len(found.items) == 400
    assert ("gate: its evidence cannot be read (" in found.fault) == (value in ODD)


def test_a_seed_whose_file_is_odd_does_not_count(run: Run) -> None:
    gated.arms(run, {"base": 2, "cpt": 2})
    for value in ('{"scores": ["x"]}', '{"scores": [NaN]}', '{"scores": 3}', "[1]", "\0"):
        (run.path / "artifacts" / "arms" / "cpt-1.json").write_text(value)
        found = items.load(run)
        assert {tuple(item.cpt.scores) for item in found.items} == {(0,)}


EARNED = GateVerdict.model_validate(gated.GATE)
"""By a version that counted no tries and had no tags."""


def tie(**more: object) -> GateVerdict:
    found = {**gated.GATE, "outcome": "TIE", "label": "underpowered", "estimate": 1.0}
    return GateVerdict.model_validate({**found, "low": -3.0, "high": 5.0, **more})


def test_what_would_change_a_verdict() -> None:
    (line,) = gate_lines.would_change(EARNED)
    assert "it ends 1.90 points away" in line
    assert "2.35 above it" in line
    assert "too wide to tell" in gate_lines.would_change(tie())[0]
    wanted = gate_lines.would_change(tie(items_wanted=1200, seeds_wanted=9))
    assert wanted[1] == (
        "An effect of the size seen would show with 1,200 items with these 5 seeds, or "
        "9 seeds with these 400 items."
    )
    none = gate_lines.would_change(tie(items_wanted=None, seeds_wanted=None))
    assert none[1].startswith("No number of items or seeds alone")
    for label in ("trivial", "equivalent"):
        assert "more shows the same" in gate_lines.would_change(tie(label=label))[0]


def test_tries_and_tags_are_left_out_where_a_run_has_none() -> None:
    assert gate_lines.describe_tries(EARNED) == ""
    assert gate_lines.tag_rows(EARNED) == []
    judged = GateVerdict.model_validate({**gated.GATE, **gated.JUDGED})
    assert "3 times" in gate_lines.describe_tries(judged)
    assert "p = 0.006" in gate_lines.describe_tries(judged)
    assert gate_lines.tag_rows(judged)[0][:3] == ("ward", "67", "+5.25")


def test_facts_are_json_and_hold_every_changed_item(run: Run) -> None:
    gated.artifacts(run)
    found = snapshot.gate(RunView(), items.load(run))
    assert (
        len(json.loads(json.dumps(found))["changed"])
        == found["items"]["won"] + (found["items"]["lost"])
    )
    assert snapshot.training(RunView())["newest"] is None
