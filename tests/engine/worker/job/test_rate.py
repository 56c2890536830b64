"""Rates and times left come from a recent window of a clock that stands still in a pause."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.events import Progress, read_all
from engine.worker.job.rate import MARKS, WINDOW_SECONDS, RecentRate
from tests.engine.worker.job.test_context import make_context


class Clock:
    """Seconds that a test moves on by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def walked(speeds: list[tuple[int, float]]) -> RecentRate:
    """A rate after (steps, seconds a step) one after the other."""
    clock, done = Clock(), 0
    rate = RecentRate(clock)
    rate.add(0)
    for steps, seconds in speeds:
        for _ in range(steps):
            clock.now += seconds
            done += 1
            rate.add(done)
    return rate


def test_a_steady_pace_gives_the_time_left() -> None:
    assert walked([(50, 2.0)]).seconds_left(150) == pytest.approx(200.0)


def test_a_slow_beginning_is_forgotten() -> None:
    """The mean since the start would say 2.6 s a step, and 2.6 times the time that is left."""
    rate = walked([(10, 33.0), (190, 1.0)])
    assert rate.seconds_left(300) == pytest.approx(100.0, rel=0.05)


def test_a_speed_that_falls_is_seen_within_a_window() -> None:
    rate = walked([(600, 0.1), (70, 1.0)])
    assert rate.per_second == pytest.approx(1.0, rel=0.15)


def test_the_rare_evaluation_does_not_swing_it() -> None:
    """A window of a quarter of the time holds several evaluations of 20 s."""
    rate = walked([(100, 1.0), (1, 20.0)] * 12 + [(1, 1.0)])
    assert rate.per_second == pytest.approx(101 / 120, rel=0.15)


def test_work_that_went_back_begins_anew_and_nothing_is_guessed_before_two_marks() -> None:
    clock = Clock()
    rate = RecentRate(clock)
    assert rate.seconds_left(10) is None
    rate.add(8)
    assert rate.seconds_left(10) is None
    assert rate.seconds_left(8) == 0.0
    clock.now += 1
    rate.add(9)
    assert rate.seconds_left(10) == pytest.approx(1.0)
    rate.add(2)
    assert rate.seconds_left(10) is None
    clock.now += 4
    rate.add(3)
    assert rate.seconds_left(10) == pytest.approx(28.0)


def test_many_steps_keep_few_marks() -> None:
    rate = walked([(20_000, 0.01)])
    assert len(rate._marks) <= 2 * MARKS
    assert rate.per_second == pytest.approx(100.0)
    assert WINDOW_SECONDS > 0


def test_progress_counts_the_seconds_in_which_the_run_works(tmp_path: Path) -> None:
    """What made 17 hours of 16 minutes: a pause inside a stage, counted as work."""
    context = make_context(tmp_path)
    context.stage = "base"
    context.progress("building", 0, 400, "steps")
    context._held -= 10.0  # ten seconds of work go by
    context.progress("building", 100, 400, "steps", check=False)
    context.run.request("pause")
    context.run.request("resume")
    context.raise_if_stopped()
    context._last_progress = ("", 0.0)
    context.progress("building, after a pause", 101, 400, "steps")
    left = [e.eta_s for e in read_all(context.run.events_path) if isinstance(e, Progress)]
    assert left[0] is None
    assert left[-1] == pytest.approx(29.6, abs=0.5)
