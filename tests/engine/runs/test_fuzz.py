"""Records of other hands: whatever stands in them, viewers and lists go on, and say how much."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cpt_tui.commands import follow
from cpt_tui.run_list import run_row
from engine.runs import events as ev
from engine.runs.history import History
from engine.runs.launch import read_status
from engine.runs.run import Run
from engine.summary.log_lines import Narrator
from engine.summary.page import summary
from engine.thresholds import LARGEST
from tests.cpt_tui import worlds

DEEP: Any = json.loads("[" * 400 + "]" * 400)
NUMBERS = st.sampled_from(
    [0, -1, 2**31, 2**63, 10**40, 1e30, -1e29, 1e300, float("inf"), float("nan"), 0.5, True]
)
ODD = st.one_of(
    NUMBERS,
    st.none(),
    st.text(max_size=8),
    st.just(DEEP),
    st.lists(NUMBERS, max_size=2),
    st.dictionaries(st.text(max_size=4), NUMBERS, max_size=2),
)


def good(kind: type[ev.Event]) -> dict[str, Any]:
    """An event as the worker writes it."""
    samples: dict[str, Any] = {
        "str": "pack",
        "int": 3,
        "float": 2.5,
        "bool": False,
        "list[str]": ["scan"],
        "dict[str, str]": {"a": "b"},
        "dict[str, Any]": {"outcome": "TIE"},
    }
    types = {f.name: str(f.type).split(" |")[0] for f in dataclasses.fields(kind)}
    return {"kind": kind.kind, **{name: samples[found] for name, found in types.items()}}


READERS = (ev.Unknown, ev.Unreadable)
"""What a reader says in a line's place; no worker writes one."""
KINDS = sorted((c for c in ev.KINDS.values() if c not in READERS), key=lambda c: c.kind)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of a log with some of its fields changed, taken out, or none at all."""
    event = good(draw(st.sampled_from(KINDS)))
    for name in draw(st.lists(st.sampled_from(list(event)), max_size=2)):
        event[name] = draw(ODD)
    if draw(st.integers(0, 9)) == 0:
        event.pop(draw(st.sampled_from(list(event))), None)
    text = json.dumps(event).encode()
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, len(text)))] + draw(st.binary(max_size=4))
    return text.replace(b"\n", b"")


def told(run: Run) -> list[str]:
    """Everything that reads a log, over the whole of it."""
    narrator, said = Narrator(), list[str]()
    for event in ev.read_all(run.events_path):
        said += narrator.lines(event)
        follow.ascii_json(event.to_json())
    view = History(run.events_path).catch_up()
    said += summary(view, read_status(run))
    json.loads(follow.snapshot(run, json_=True), parse_constant=lambda name: pytest.fail(name))
    assert run_row(run).state != "unreadable"
    said += follow.listed([run])
    return said


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_an_event_of_right_types_is_one_and_of_wrong_types_is_not(kind: type[ev.Event]) -> None:
    raw = good(kind)
    assert type(ev.from_raw(raw)) is kind
    assert ev.parse(ev.encode_line(ev.from_raw(raw))) == ev.from_raw(raw)
    for name in raw.keys() - {"kind"}:
        for wrong in ({"x": [1]}, [1], "x" if raw[name] != "pack" else 1, True, 10**40, DEEP):
            if type(wrong) is type(raw[name]) and not isinstance(wrong, (int, list)):
                continue
            if wrong is True and isinstance(raw[name], bool):
                continue
            found = ev.from_raw({**raw, name: wrong})
            assert isinstance(found, ev.Unknown), (name, wrong)
            assert found.fault


@given(st.lists(lines(), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
@example([b'{"kind":"progress","stage":"scan","label":"x","done":"many"}'])
@example([b'{"kind":"train.step","t":1e400,"step":NaN}'])
@example([b'{"kind":"unreadable","t":1,"level":"red","stage":"x","message":"x","count":3}'])
@example([b'{"kind":"unknown","t":1,"raw":{},"fault":""}'])
@example([b'{"kind":["x"],"t":' + b"[" * 5000 + b"]" * 5000 + b"}"])
@example([b'{"kind":"run.ended","outcome":"DONE","code":99999999999999999999}'])
@example([b'{"kind":"stage.done","stage":"gate","seconds":1,"evidence":{"estimate":1e999}}'])
@example([b"\xff\xfe\x00", b"\xef\xbb\xbf{}", b"null", b'"x"'])
def test_any_line_is_told_or_counted(written: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = worlds.World(Path(folder))
        world.emit(ev.StageStarted(stage="scan"))
        world.run.events_path.write_bytes(b"".join(line + b"\n" for line in written))
        told(world.run)
        view = History(world.run.events_path).catch_up()
        events = list(ev.read_all(world.run.events_path))
        unread = sum(event.count for event in events if isinstance(event, ev.Unreadable))
        newer = sum(isinstance(event, ev.Unknown) for event in events)
        told_of = len(events) - sum(isinstance(event, ev.Unreadable) for event in events)
        assert told_of + unread == sum(
            bool(line.strip()) for line in b"\n".join(written).split(b"\n")
        )
        assert (view.broken, view.newer) == (unread, newer)


def test_lines_that_cannot_be_read_are_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the page, in the lines, in JSON; and a newer version's lines are said for themselves."""
    world = worlds.World(tmp_path)
    world.emit(ev.StageStarted(stage="scan"))
    with world.run.events_path.open("ab") as log:
        log.write(
            b"not json\n\x00\x00\n" + b'{"kind":"progress","stage":7}\n{"kind":"later.thing"}\n'
        )
    world.emit(ev.RunEnded(outcome="DONE", code=0))
    assert follow.follow(world.run, json_=False) == 0
    newer = "1 line of this log is of a newer cpt"
    said = "3 lines of the log are not as written"
    lines = capsys.readouterr().out
    assert (lines.count(said), lines.count(newer)) == (1, 1)
    page = " ".join(follow.snapshot(world.run, json_=False).split())
    assert said in page
    assert newer in page
    found = json.loads(follow.snapshot(world.run, json_=True))
    assert (found["unreadable_lines"], found["newer_lines"]) == (3, 1)


STATUS = {"pid": os.getpid(), "started": 1.7e9, "state": "running", "stage": "train", "beat": 1.7e9}


@given(st.dictionaries(st.sampled_from([*STATUS, "guard"]), ODD, max_size=3))
@settings(max_examples=100, deadline=None)
@example({"pid": 2**70})
@example({"pid": -5})
@example({"pid": True})
@example({"pid": 1.5})
@example({"pid": "12"})
@example({"beat": float("nan")})
@example({"started": 1e300})
@example({"state": ["running"]})
@example({"guard": {"a": 1}})
def test_any_status_is_read_or_said_to_be_unreadable(changed: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = worlds.World(Path(folder)).run
        run.status_path.write_text(json.dumps({**STATUS, **changed}))
        status = read_status(run)
        assert isinstance(status.words, str)
        assert status.pid is None or type(status.pid) is int
        assert status.age_s is None or 0 <= status.age_s < LARGEST
        assert run_row(run).state != ""
        told(run)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"{", b"[]", b"null", b"7", b"[" * 100_000, b"{}", b" " * (1 << 20)]
)
def test_a_status_that_is_none_is_said(tmp_path: Path, content: bytes) -> None:
    run = worlds.World(tmp_path).run
    run.status_path.write_bytes(content)
    assert "status.json is damaged" in read_status(run).words
    told(run)


@pytest.mark.parametrize("name", ["status.json", "events.jsonl", "recipe.toml", "artifacts"])
@pytest.mark.parametrize("what", ["folder", "pipe", "loop"])
def test_what_is_no_file_takes_no_list_down(tmp_path: Path, name: str, what: str) -> None:
    run, good = worlds.World(tmp_path, "bad").run, worlds.World(tmp_path, "good").run
    path = run.path / name
    if path.exists():
        path.unlink()
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}
    make.get(what, lambda: path.symlink_to(path))()
    rows = follow.listed([run, good])
    assert len(rows) == 3
    assert "good" in rows[2]
    follow.row(run)


def test_a_list_names_the_run_that_tells_nothing(tmp_path: Path) -> None:
    run, good = worlds.World(tmp_path, "bad").run, worlds.World(tmp_path, "good").run
    run.recipe_path.unlink()
    rows = follow.listed([run, good])
    assert "unreadable" in rows[1]
    assert len(rows) == 3
