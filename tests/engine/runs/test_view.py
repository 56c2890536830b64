"""RunView: events folded, bounded, honest after a resume; plain lines and the page of text."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs import events as ev
from engine.runs.launch import Status
from engine.runs.series import Series
from engine.runs.view import RunView
from engine.summary.log_lines import Narrator, plain_lines
from engine.summary.page import summary
from tests.cpt_tui import worlds

RUNNING = Status(True, "running", "train", 4242, 0.5)


def view_of(world: worlds.World) -> RunView:
    view = RunView()
    view.apply_all(ev.read_all(world.run.events_path))
    return view


def step(number: int, loss: float | None = 1.0, series: str = "train") -> ev.TrainStep:
    return ev.TrainStep(
        step=number,
        total=100,
        tokens=1,
        loss=loss,
        lr=1.0,
        grad_norm=1.0,
        tokens_per_s=1.0,
        series=series,
    )


def test_stages_and_current(tmp_path: Path) -> None:
    view = view_of(worlds.mid_training(tmp_path, upto=120))
    assert [s.state for s in view.stages.values()] == [*["done"] * 5, "running", *["waiting"] * 2]
    assert view.current == "train"
    assert view.evidence("decide")["outcome"] == "GO"
    assert view.arms["base"][2].score == 62.0
    assert view.curve.step is not None
    assert view.curve.step.step == 120
    assert not view.ended


def test_finished_run(tmp_path: Path) -> None:
    view = view_of(worlds.finished(tmp_path))
    assert (view.outcome, view.code, view.current) == ("EARNED", 0, "")
    assert {s.state for s in view.stages.values()} == {"done"}


def test_guard_words() -> None:
    for rise, word in ((0.019, "green"), (0.03, "amber"), (0.06, "red"), (-0.5, "green")):
        view = RunView()
        assert view.guard == "unknown"
        view.apply(ev.EvalPoint(step=0, domain=3.0, generic=2.0))
        assert view.guard == "unknown"
        view.apply(ev.EvalPoint(step=10, domain=2.0, generic=2.0 + rise))
        assert view.guard == word


def test_resume_drops_the_points_that_were_lost() -> None:
    view = RunView()
    for number in range(1, 61):
        view.apply(step(number, loss=5.0 if number > 40 else 1.0))
        if number % 10 == 0:
            view.apply(ev.EvalPoint(step=number, domain=float(number), generic=1.0))
    view.apply(step(41, loss=2.0))
    curve = view.curves["train"]
    assert max(y for _, y in curve.loss.points()) == 2.0
    assert [x for x, _ in curve.domain.points()] == [10, 20, 30, 40]


def test_series_of_base_and_train_stay_apart() -> None:
    view = RunView()
    view.apply(ev.StageStarted(stage="base"))
    view.apply(step(50, series="base"))
    assert next(iter(view.stages)) == "base"
    assert view.curve is view.curves["base"]
    view.apply(ev.StageStarted(stage="train"))
    view.apply(step(1))
    assert view.curve is view.curves["train"]
    assert len(view.curves["base"].loss) == 1


def test_not_finite_steps_are_counted_never_drawn() -> None:
    view = RunView()
    for number, loss in enumerate((1.0, None, math.nan, 2.0), 1):
        view.apply(step(number, loss))
    assert view.curve.loss.points() == [(1, 1.0), (4, 2.0)]
    assert view.curve.loss.lost == [2, 3]


def test_failure_is_kept_and_cleared_by_a_resume(tmp_path: Path) -> None:
    view = view_of(worlds.failed(tmp_path))
    assert view.stages["train"].state == "failed"
    assert view.failure is not None
    assert "OSError" in view.failure.traceback
    view.apply(ev.RunStarted(run="x", pid=1, stages=["train"], resumed=True))
    assert view.failure is None
    assert view.stages["train"].state == "waiting"
    assert view.evidence("pack")["rows"] == 1602


def test_odd_events_never_raise() -> None:
    view = RunView()
    odd = step(1).to_json().replace('"total":100', '"total":null').replace("1.0", '"a"')
    for line in (odd, odd, '{"kind":"stage.done","stage":[],"seconds":1}', '{"kind":"new","a":1}'):
        event = ev.parse(line)
        assert event is not None
        view.apply(event)
    assert (view.broken, view.newer) == (3, 1)


def test_a_million_steps_stay_light() -> None:
    series = Series()
    began = time.process_time()
    for x in range(1_000_000):
        series.add(x, 40.0 if x == 654_321 else math.sin(x))
    assert time.process_time() - began < 6
    points = series.points()
    assert len(points) <= 4096
    assert (654_321, 40.0) in points
    assert points[-1][0] == 999_999
    assert points == sorted(points)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(8, 64))
def test_series_keeps_extremes_and_ends(values: list[float], limit: int) -> None:
    series = Series(limit)
    for x, y in enumerate(values):
        series.add(x, y)
    points = series.points()
    assert len(points) <= limit + 2
    ys = [y for _, y in points]
    assert (min(ys), max(ys)) == (min(values), max(values))
    assert points[-1] == (len(values) - 1, values[-1])
    assert [x for x, _ in points] == sorted({x for x, _ in points})
    assert series.first == (0, values[0])


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=200), st.data())
def test_series_after_a_drop_is_that_of_the_remaining_points(
    values: list[float], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values) - 1))
    series = Series(4096)
    for x, y in enumerate(values):
        series.add(x, y)
    series.add(cut, 9.0)
    assert series.points() == [*enumerate(values[:cut]), (cut, 9.0)]


def test_plain_lines_tell_each_kind(tmp_path: Path) -> None:
    lines: list[str] = []
    narrator = Narrator()
    for event in ev.read_all(worlds.finished(tmp_path).run.events_path):
        lines += narrator.lines(event)
    text = "\n".join(lines)
    for part in (
        "scan: started",
        "domain: 6,240 documents, 3.1M tokens",
        "verdict: GO",
        "base arm, seed 0: 61.2 points",
        "CPT loss always falls; it is never the verdict",
        "checkpoint step-000200 saved",
        "run ended: EARNED (exit code 0)",
    ):
        assert part in text
    assert 100 < len(lines) < 400


def test_progress_is_held_back_but_its_end_is_told() -> None:
    narrator, told = Narrator(), []
    for second in range(100):
        event = ev.Progress(
            stage="scan", label="reading", done=second + 1, total=100, t=1e9 + second
        )
        told += narrator.lines(event)
    assert 10 <= len(told) <= 12
    assert "100 of 100" in told[-1]


def test_plain_lines_of_every_kind_never_raise() -> None:
    for event in (
        ev.Unknown(raw={"a": 1}),
        ev.Control(action="paused", step=4),
        ev.Failed(stage="train", message="no\nspace"),
        ev.StageDone(stage="probe", seconds=1, evidence={"fluency": {"domain": 3}}),
        ev.StageDone(stage="gate", seconds=1, evidence={"outcome": "TIE"}),
    ):
        assert all("\n" not in line for line in plain_lines(event))


@pytest.mark.parametrize("make", [worlds.mid_training, worlds.finished, worlds.failed])
def test_summary_fits_80_ascii_columns(tmp_path: Path, make: object) -> None:
    world = make(tmp_path)  # type: ignore[operator]
    lines = summary(view_of(world), RUNNING, now=worlds.T0 + 5000)
    assert max(map(len, lines)) <= 80
    assert any("train" in line for line in lines)


def test_summary_of_a_run_without_events() -> None:
    lines = summary(RunView(), Status(False, "none", "", None, None))
    assert "worker   not started" in lines


def test_new_tokens_have_their_stage_before_packing() -> None:
    """Only in runs that ask for some; old logs know no such stage."""
    view = RunView()
    assert "extend" not in view.stages
    stages = ["scan", "probe", "decide", "extend", "pack", "train", "report"]
    view.apply(ev.RunStarted(run="r", pid=1, stages=stages))
    names = list(view.stages)
    assert names.index("extend") == names.index("pack") - 1
    point = ev.VocabPoint(point="init", domain=2.3568, generic=1.3594)
    assert "2.3568" in plain_lines(point)[0]
