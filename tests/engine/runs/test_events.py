"""The event log: whole lines only, torn tails repaired, full disks survived."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.runs import events as ev
from engine.runs.event_log import EventLog
from engine.runs.events import Tail, read_all


def steps(path: Path) -> list[int]:
    return [e.step for e in read_all(path) if isinstance(e, ev.TrainStep)]


def step(number: int, loss: float | None = 1.0) -> ev.TrainStep:
    return ev.TrainStep(
        step=number, total=9, tokens=1, loss=loss, lr=1e-4, grad_norm=1.0, tokens_per_s=1
    )


def test_round_trip_of_every_kind(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    made = [
        ev.RunStarted(run="r", pid=1, stages=["scan"]),
        ev.Progress(stage="scan", label="x\n\x1b[31m", done=1),
        step(1),
        ev.EvalPoint(step=1, domain=None, generic=2.0),
        ev.Failed(stage="x", message="ü\ud800"),
        ev.RunEnded(outcome="TIE", code=4),
    ]
    for event in made:
        log.append(event)
    back = list(read_all(tmp_path / "e.jsonl"))
    assert [type(e) for e in back] == [type(e) for e in made]
    assert back[2].step == 1
    assert all(e.t > 0 for e in back)


def test_not_finite_is_null_and_never_zero(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e.jsonl")
    log.append(step(1, float("nan")))
    (event,) = read_all(tmp_path / "e.jsonl")
    assert event.loss is None
    assert b"NaN" not in (tmp_path / "e.jsonl").read_bytes()


def test_no_access_token_reaches_the_log(tmp_path: Path) -> None:
    token = "hf_" + "Z" * 34
    log = EventLog(tmp_path / "e.jsonl")
    found = {"fluency": {"surprising_documents": [{"text": f"is\n{token} it"}], token: [1.0]}}
    log.append(ev.StageDone(stage="probe", seconds=1, evidence=found))
    log.append(ev.SampleWritten(stage="train", step=1, prompt="x", base="", current=token))
    log.append(ev.Failed(stage="x", message="m", traceback=f"Error: {token}"))
    text = (tmp_path / "e.jsonl").read_text()
    assert token not in text
    assert text.count("hf_[masked]") == 4
    assert len(list(read_all(tmp_path / "e.jsonl"))) == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(1, 400), junk=st.sampled_from([b"", b"\0" * 50, "é".encode()[:1]]))
def test_a_torn_tail_loses_no_complete_record(tmp_path: Path, cut: int, junk: bytes) -> None:
    path = tmp_path / "e.jsonl"
    path.unlink(missing_ok=True)
    log = EventLog(path)
    for number in range(5):
        log.append(step(number))
    log.close()
    whole = path.read_bytes()
    kept = whole[: max(0, len(whole) - cut)]
    path.write_bytes(kept + junk)
    complete = kept.count(b"\n")
    assert steps(path) == list(range(complete))
    log = EventLog(path)
    log.append(step(99))
    assert steps(path) == [*range(complete), 99]


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
@pytest.mark.parametrize("junk", [b"x", b"\0"])
def test_a_torn_record_of_megabytes_does_not_swallow_the_next(
    tmp_path: Path, size: int, junk: bytes
) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(path)
    log.append(step(1))
    log.close()
    with path.open("ab") as handle:
        handle.write(b'{"kind":"' + junk * size)
    log = EventLog(path)
    log.append(step(2))
    assert steps(path) == [1, 2]
    path.write_bytes(junk * size)
    EventLog(path).append(step(3))
    assert steps(path) == [3]


def test_tail_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    line = step(7).to_json().encode()
    path.write_bytes(line[:10])
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(line + b"\n")
    assert [e.step for e in tail.read()] == [7]
    assert tail.read() == []


def test_events_of_a_newer_version_do_not_stop_a_viewer(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"kind":"new.thing","t":5,"x":1}\nnot json\n[1]\n{"kind":"control"}\n')
    found = list(read_all(path))
    assert [type(e) for e in found] == [ev.Unknown, ev.Unreadable]
    assert found[0].t == 5
    assert "3 lines of the log are not as written" in found[1].message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_marked_and_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(path)
    log.append(step(1))
    good = log._fd
    log._fd = os.open("/dev/full", os.O_WRONLY)
    for number in (2, 3):
        log.append(step(number))
    log._fd = good
    log.append(step(4))
    assert steps(path) == [1, 4]
    alarms = [e for e in read_all(path) if isinstance(e, ev.Alarm)]
    assert "2 events" in alarms[0].message
