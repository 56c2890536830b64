"""All runs in a list: read as needed, filtered, ordered, shown at any width."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cpt_tui.run_list import RunRow, run_row
from cpt_tui.workspace.cells import columns, head_line, row_line
from cpt_tui.workspace.listing import ORDERS, RunListing, arranged
from engine.runs import events as ev
from engine.runs.run import Run, find_run
from tests.cpt_tui import worlds


def small(root: Path, name: str, *events: ev.Event, at: float = 0.0) -> Run:
    """A run of a few lines."""
    world = worlds.World(root, name)
    for event in (ev.RunStarted(run=name, pid=1, stages=["scan"]), *events):
        world.emit(event)
    os.utime(world.run.events_path, (worlds.T0 + at, worlds.T0 + at))
    return world.run


def judged(outcome: str, estimate: float, guard: str = "green") -> list[ev.Event]:
    evidence = {"estimate": estimate, "guard": guard}
    return [
        ev.StageDone(stage="gate", seconds=1.0, evidence=evidence),
        ev.StageDone(stage="report", seconds=1.0),
        ev.RunEnded(outcome=outcome, code=0, message="said"),
    ]


def names(rows: list[RunRow]) -> list[str]:
    return [row.run.id for row in rows]


def test_every_run_is_listed_and_read_once(tmp_path: Path) -> None:
    """Of 200 runs the others were not to be seen at all."""
    for at in range(260):
        small(tmp_path, f"r{at:03}", at=at)
    listing = RunListing(tmp_path)
    listing.look()
    assert names(listing.rows())[:2] == ["r259", "r258"]
    assert len(listing.rows()) == 260
    assert listing.read(64) == 196
    assert [bool(row.state) for row in listing.rows()] == [True] * 64 + [False] * 196
    while listing.read(64):
        pass
    assert all(row.state == "interrupted" for row in listing.rows())
    assert listing.read(64, first=["r003"]) == 0
    held = {row.run.id: row for row in listing.rows()}
    small(tmp_path, "r007", *judged("TIE", 0.5), at=900)
    listing.look()
    listing.read(64)
    assert [row.run.id for row in listing.rows() if row is not held[row.run.id]] == ["r007"]


def test_the_end_of_a_log_tells_how_far_it_is(tmp_path: Path) -> None:
    step = worlds.train_step(25, 100)
    training = run_row(small(tmp_path, "a", ev.StageStarted(stage="train"), step, step))
    assert (training.stage, training.share, training.seconds_left) == ("train", 0.25, None)
    seeds = ev.Progress(stage="gate", label="seed", done=2, total=5)
    gate = run_row(small(tmp_path, "b", step, ev.StageStarted(stage="gate"), seeds))
    assert (gate.stage, gate.share) == ("gate", 0.4)
    begun = run_row(small(tmp_path, "c", step, ev.StageStarted(stage="gate")))
    assert (begun.stage, begun.share) == ("gate", None)
    earned = run_row(small(tmp_path, "d", step, *judged("EARNED", 4.5, "amber")))
    assert (earned.word, earned.effect, earned.guard) == ("EARNED", 4.5, "amber")
    again = ev.RunStarted(run="e", pid=2, stages=["gate"])
    resumed = run_row(small(tmp_path, "e", *judged("TIE", 0.1), again))
    assert (resumed.state, resumed.outcome) == ("interrupted", "")


def test_filter_and_orders(tmp_path: Path) -> None:
    runs = [
        small(tmp_path, "b-tie", *judged("TIE", 0.5), at=1),
        small(tmp_path, "a-earned", *judged("EARNED", 4.5), at=2),
        small(tmp_path, "c-broken", ev.RunEnded(outcome="FAILED", code=1), at=3),
    ]
    rows = [run_row(run) for run in runs]
    assert names(arranged(rows, "tie", "newest")) == ["b-tie"]
    assert names(arranged(rows, "LETTERS earned", "newest")) == ["a-earned"]
    assert names(arranged(rows, "", "name")) == ["a-earned", "b-tie", "c-broken"]
    assert names(arranged(rows, "", "effect")) == ["a-earned", "b-tie", "c-broken"]
    assert all(len(arranged(rows, "", order)) == 3 for order in ORDERS)


def test_a_name_of_its_own_is_shown_and_found(tmp_path: Path) -> None:
    run = small(tmp_path, "clinic-20260101-000000-abcd")
    assert run_row(run).name == "clinic abcd"
    run.rename("the\nward")
    assert run_row(run).name == "the ward"
    for asked in ("the ward", "abcd", "clinic", run.id):
        assert find_run(asked, tmp_path).id == run.id


def test_an_interview_is_called_by_what_it_is_about(tmp_path: Path) -> None:
    assert run_row(worlds.draft(tmp_path)).name == "smol 0001"


@pytest.mark.parametrize("width", [40, 58, 74, 78, 100, 140, 200])
def test_a_row_is_as_wide_as_its_list(width: int, tmp_path: Path) -> None:
    shown = columns(width)
    row = run_row(small(tmp_path, "x" * 80, *judged("EARNED", 4.5, "amber")))
    line = row_line(row, shown, marked=True)
    assert line.cell_len <= max(width, 73)
    assert "EARNED +4.50 amber" in line.plain
    assert head_line(shown).plain.find("verdict") == line.plain.find("EARNED")
