"""The index: a view from it and from the whole log are one; a bad one is as good as none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.runs import events as ev
from engine.runs import history, index
from engine.runs.history import History, IndexedLog
from engine.runs.view import Curve, RunView
from tests import longlogs
from tests.cpt_tui import worlds

LAW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def whole(log: Path) -> RunView:
    """The view from reading everything, without an index."""
    view = RunView()
    view.apply_all(ev.read_all(log))
    return view


def state(view: RunView) -> Any:
    """All that a view holds, comparable."""
    for curve in view.curves.values():
        curve.rewound = None
    return json.loads(json.dumps(index._packed(index.Snapshot(view))))


def points(curve: Curve) -> dict[str, Any]:
    return {n: getattr(curve, n).points() for n in ("loss", "domain", "generic", "grad_norm")}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["on", "on", "on", "back", "eval", "alarm", "odd", "junk", "sample"]),
        st.floats(-1e6, 1e6) | st.none(),
        st.integers(1, 40),
    ),
    max_size=120,
)


def events(plan: list[tuple[str, float | None, int]]) -> list[ev.Event | str]:
    """A log with resumes, losses that are not finite, evaluations, odd values and junk."""
    found: list[ev.Event | str] = [ev.RunStarted(run="r", pid=1, stages=["train"])]
    step = 0
    for what, value, size in plan:
        if what == "eval":
            found.append(ev.EvalPoint(step=step, domain=value, generic=value))
        elif what == "alarm":
            found.append(ev.Alarm(level="red", stage="train", message="x" * size))
        elif what == "sample":
            found.append(
                ev.SampleWritten(stage="train", step=step, prompt="p", base="b", current="ü\ud800")
            )
        elif what == "odd":
            found.append('{"kind":"train.step","step":"x","total":null}')
        elif what == "junk":
            found.append("no json at all")
        else:
            step = step + 1 if what == "on" else max(1, step - size)
            found.append(
                ev.TrainStep(
                    step=step,
                    total=99,
                    tokens=step * 7,
                    loss=value,
                    lr=0.1,
                    grad_norm=value,
                    tokens_per_s=1.0,
                )
            )
    return found


def write(log: Path, lines: list[ev.Event | str]) -> None:
    raw = [line if isinstance(line, str) else line.to_json() for line in lines]
    log.write_bytes("".join(line + "\n" for line in raw).encode(errors="replace"))


@LAW
@given(STEPS, st.integers(0, 120), st.integers(100, 3000))
def test_from_the_index_and_from_the_log_it_is_the_same_view(
    tmp_path: Path, plan: list[tuple[str, float | None, int]], cut: int, block: int
) -> None:
    log = tmp_path / "events.jsonl"
    index.index_path(log).unlink(missing_ok=True)
    lines = events(plan)
    write(log, lines[: cut + 1])
    first = History(log)
    while first.offset < log.stat().st_size:
        first.fold(*first.read(block))
    first.save()
    write(log, lines)
    second = History(log)
    second.catch_up()
    assert second.saved > 0
    assert state(second.view) == state(whole(log))


@LAW
@given(STEPS, st.integers(0, 60), st.integers(0, 60), st.integers(100, 900))
def test_a_window_is_the_log_s_own_steps(
    tmp_path: Path,
    plan: list[tuple[str, float | None, int]],
    first: int,
    more: int,
    block: int,
) -> None:
    """Every kept step of the window is there with its newest value, resumes and all."""
    log = tmp_path / "events.jsonl"
    index.index_path(log).unlink(missing_ok=True)
    write(log, events(plan))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "BLOCK", block)
        long = History(log)
        while long.offset < log.stat().st_size:
            long.fold(*long.read(block))
        found = long.window("train", first, first + more)
    full = long.view.curves.get("train") or Curve()
    assert found is not None
    for name in ("loss", "domain", "generic", "grad_norm"):
        inside = [
            [p for p in getattr(curve, name).points() if first <= p[0] <= first + more]
            for curve in (found, full)
        ]
        assert inside[0] == inside[1]


def damage(log: Path, how: str) -> None:
    kept = index.index_path(log)
    raw = kept.read_bytes()
    if how == "missing":
        kept.unlink()
    elif how == "empty":
        kept.write_bytes(b"")
    elif how == "cut off":
        kept.write_bytes(raw[: len(raw) // 2])
    elif how == "a flipped bit":
        kept.write_bytes(raw[:-40] + bytes([raw[-40] ^ 1]) + raw[-39:])
    elif how == "another format":
        now = f'"format": {index.FORMAT}'.encode()
        kept.write_bytes(raw.replace(now, b'"format": 1', 1))
    elif how == "no JSON":
        kept.write_bytes(b"\x00\xff" * 100)
    elif how == "a log that shrank":
        data = log.read_bytes()
        log.write_bytes(data[: data.rfind(b"\n", 0, len(data) // 3) + 1])
    elif how == "another log":
        log.write_bytes(log.read_bytes().replace(b"2026", b"2025").replace(b"4242", b"1111"))


@pytest.mark.parametrize(
    "how",
    [
        *("missing", "empty", "cut off", "a flipped bit", "another format", "no JSON"),
        *("a log that shrank", "another log"),
    ],
)
def test_an_index_that_does_not_hold_is_as_good_as_none(tmp_path: Path, how: str) -> None:
    log = worlds.mid_training(tmp_path, upto=300).run.events_path
    made = History(log)
    made.catch_up()
    made.save()
    assert index.load(log) is not None
    damage(log, how)
    assert index.load(log) is None
    again = History(log)
    assert state(again.catch_up()) == state(whole(log))
    assert again.view.curve.step is not None


def test_the_worker_s_log_keeps_its_index_at_20_000_steps(tmp_path: Path) -> None:
    world = longlogs.training_run(tmp_path, 20_000, 1_000_000)
    longlogs.indexed(world)
    log = world.run.events_path
    kept = index.load(log)
    assert kept is not None
    assert log.stat().st_size - kept.offset < history.SAVE_EVERY + 2 * history.BLOCK
    fresh = History(log)
    assert state(fresh.catch_up()) == state(whole(log))
    close = fresh.window("train", 9_000, 9_400)
    assert close is not None
    assert len([x for x, _ in close.loss.points() if 9_000 <= x <= 9_400]) == 401


def test_the_log_of_the_worker_writes_and_reads_back_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BLOCK", 4000)
    monkeypatch.setattr(history, "SAVE_EVERY", 20_000)
    log = IndexedLog(tmp_path / "events.jsonl")
    for step in (*range(1, 400), *range(300, 700)):
        log.append(worlds.train_step(step))
    kept = index.load(tmp_path / "events.jsonl")
    assert kept is not None
    assert kept.offset > 100_000
    view = History(tmp_path / "events.jsonl").catch_up()
    assert state(view) == state(whole(tmp_path / "events.jsonl"))


def test_an_index_that_cannot_be_written_never_stops_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("anything at all")

    monkeypatch.setattr(history, "BLOCK", 1000)
    monkeypatch.setattr(History, "save", fails)
    monkeypatch.setattr(history, "SAVE_EVERY", 2000)
    log = IndexedLog(tmp_path / "events.jsonl")
    for step in range(1, 100):
        log.append(worlds.train_step(step))
    assert len(list(ev.read_all(tmp_path / "events.jsonl"))) == 99


def test_a_directory_that_cannot_be_written_to_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    log = worlds.mid_training(tmp_path, upto=20).run.events_path
    monkeypatch.setattr(index, "write_atomic", full)
    made = History(log)
    made.catch_up()
    made.save()
    assert index.load(log) is None


def test_a_line_longer_than_a_block_is_read(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    long = ev.StageDone(stage="gate", seconds=1, evidence={"per_item": [[1.0] * 200_000]})
    write(log, [worlds.train_step(1), long, worlds.train_step(2)])
    view = History(log).catch_up()
    assert view.evidence("gate") == long.evidence
    assert view.curve.step is not None
    assert view.curve.step.step == 2


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@pytest.mark.slow
def test_a_million_steps_attach_within_a_second(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    world = longlogs.training_run(tmp_path, 1_000_000, 1_000_000)
    longlogs.indexed(world)
    log = world.run.events_path
    attach = History(log)
    seconds = timed(attach.catch_up)
    curve = attach.view.curve
    assert curve.step is not None
    assert curve.step.step == 1_000_000
    assert (654_321, max(y for _, y in curve.loss.points())) in curve.loss.points()
    close = timed(lambda: attach.window("train", 640_000, 660_000))
    record_property("figures", (log.stat().st_size, seconds, close))
    print(f"{log.stat().st_size / 1e6:.0f} MB, attach {seconds:.3f} s, window {close:.3f} s")
    assert seconds < 1.0
