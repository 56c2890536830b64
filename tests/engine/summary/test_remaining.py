"""How far a stage is, and one estimate for all that is planned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.runs import events as ev
from engine.runs.launch import Status
from engine.runs.view import RunView
from engine.summary.page import state_words, summary
from engine.summary.remaining import run_seconds_left, stage_extent
from tests.cpt_tui import worlds
from tests.cpt_tui.measured import probe

DEAD = Status(False, "running", "train", 4242, 900.0)
ALIVE = Status(True, "running", "train", 4242, 0.5)


def view_of(world: worlds.World) -> RunView:
    view = RunView()
    view.apply_all(ev.read_all(world.run.events_path))
    return view


def test_the_whole_run_counts_the_stages_to_come(tmp_path: Path) -> None:
    """The gate's arm takes what the baseline took; training tells its own time left."""
    world = worlds.World(tmp_path)
    worlds.before_training(world)
    view = view_of(world)
    price = probe()["cost"]
    assert run_seconds_left(view) == pytest.approx(price["train_seconds"] + 1000.0)
    worlds.training(world, 620)
    view = view_of(world)
    assert stage_extent(view, "train").share == pytest.approx(0.62)
    assert run_seconds_left(view) == pytest.approx(380 * 1.52 + 1000.0)


def test_nothing_is_estimated_before_the_price_is_known(tmp_path: Path) -> None:
    world = worlds.World(tmp_path)
    world.start()
    world.emit(ev.StageStarted(stage="scan"))
    world.emit(ev.Progress(stage="scan", label="reading", done=3, total=10, eta_s=7.0))
    view = view_of(world)
    assert run_seconds_left(view) is None
    extent = stage_extent(view, "scan")
    assert (extent.share, extent.seconds_left) == (0.3, 7.0)


def test_a_resumed_stage_is_not_as_far_as_it_was_before_the_stop(tmp_path: Path) -> None:
    """The rail said 94% from step 377 of the stopped run until step 1 of the new one came."""
    world = worlds.World(tmp_path)
    world.start()
    world.emit(ev.StageStarted(stage="base"))
    world.emit(worlds.train_step(377, 400, series="base"))
    world.emit(ev.RunEnded(outcome="STOPPED", code=6, message="Stopped on request"))
    view = view_of(world)
    assert state_words(view, "base") == "stopped"
    assert stage_extent(view, "base").share == pytest.approx(0.9425)
    world.start()
    world.emit(ev.StageStarted(stage="base"))
    assert stage_extent(view_of(world), "base").share is None


@pytest.mark.parametrize("how", ["gone", "paused", "stopped"])
def test_no_time_is_left_where_nothing_goes_on(tmp_path: Path, how: str) -> None:
    """A killed worker was "train running 62%, 9 min 38 s left"."""
    world = worlds.mid_training(tmp_path)
    if how == "paused":
        world.emit(ev.Control(action="paused", step=620))
    elif how == "stopped":
        world.emit(ev.RunEnded(outcome="STOPPED", code=6, message="Stopped on request"))
    view = view_of(world)
    view.see(DEAD if how == "gone" else ALIVE)
    words = {"gone": "interrupted", "paused": "paused", "stopped": "stopped"}
    assert state_words(view, "train") == words[how]
    assert stage_extent(view, "train").seconds_left is None
    assert run_seconds_left(view) is None
    page = "\n".join(summary(view, DEAD if how == "gone" else ALIVE))
    assert not re.search(r"\d (s|min|h)( \d\d (s|min))? left|almost done", page)
    assert "running" not in page.replace("worker   running", "")


def test_a_worker_that_is_back_is_running_again(tmp_path: Path) -> None:
    view = view_of(worlds.mid_training(tmp_path, upto=20))
    assert view.see(DEAD)
    assert not view.at_work
    assert view.see(ALIVE)
    assert state_words(view, "train") == "running"
