"""The log in words: a failure says its sentence once, and names the stage where there was one."""

from __future__ import annotations

from engine.runs.events import Failed, RunEnded
from engine.summary.log_lines import plain_lines


def test_a_failure_before_any_stage_names_none() -> None:
    assert plain_lines(Failed(stage="", message="no such folder")) == ["FAILED: no such folder"]
    assert plain_lines(Failed(stage="scan", message="cut")) == ["FAILED: scan: cut"]


def test_the_end_of_a_failed_run_does_not_say_it_twice() -> None:
    ended = RunEnded(outcome="FAILED", code=1, message="no such folder")
    assert plain_lines(ended) == ["run ended: FAILED (exit code 1)"]
    stopped = RunEnded(outcome="STOPPED", code=6, message="stopped at step 9")
    assert plain_lines(stopped) == ["run ended: STOPPED (exit code 6): stopped at step 9"]
