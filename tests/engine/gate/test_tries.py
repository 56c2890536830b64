"""The count of tries: what is a new one, what is kept, and what happens to a broken file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.gate.tries import Try
from engine.gold.example import Example
from engine.gold.load import identity

TRAINING = {"corpus or packing": "a" * 64, "recipe": "b" * 64}


def attempt(run: str = "run-1", registration: str = "r1", **training: str) -> Try:
    return Try("gold", run, registration, {**TRAINING, **training})


def judged(one: Try, p: float) -> None:
    for kind in ("registered", "scoring"):
        assert one.note(kind) == ""
    assert one.note("judged", p=p, estimate=3.0, outcome="TIE") == ""


def test_another_registration_or_training_is_a_try_a_replay_is_not() -> None:
    judged(attempt(), 0.3)
    replay = attempt(run="run-2")
    before = replay.path.read_bytes()
    judged(replay, 0.3)
    assert replay.path.read_bytes() == before
    assert replay.count().others == []
    judged(attempt(run="run-3", recipe="c" * 64), 0.04)
    judged(attempt(run="run-4", registration="r2"), 0.2)
    assert sorted(attempt().count().others) == [0.04, 0.2]
    assert sorted(attempt(registration="r2").count().others) == [0.04, 0.3]
    assert Try("other gold", "run-5", "r1", TRAINING).count().others == []


def test_a_try_counts_from_its_first_score_on() -> None:
    """Given up after a look at the scores: it counts, with p = 1."""
    other = attempt(recipe="c" * 64)
    assert (attempt().note("registered"), other.note("registered")) == ("", "")
    assert attempt().count().others == []
    assert other.note("scoring") == ""
    assert attempt().count().others == [1.0]
    assert other.note("judged", p=0.5, estimate=0.0, outcome="TIE") == ""
    assert attempt().count().others == [0.5]
    assert other.note("judged", p=0.1, estimate=0.0, outcome="TIE") == ""
    assert attempt().count().others == [0.1]


def test_the_file_is_private_and_holds_no_text(private_home: Path) -> None:
    judged(attempt(), 0.3)
    assert attempt().path == private_home / "tries" / "gold.jsonl"
    assert attempt().path.stat().st_mode & 0o077 == 0
    assert attempt().path.parent.stat().st_mode & 0o077 == 0


def test_a_torn_line_is_one_try_of_unknown_p_and_stops_nothing() -> None:
    judged(attempt(), 0.3)
    with attempt().path.open("ab") as file:
        file.write(b'{"kind":"judged","run":"run-9","regis')
    judged(attempt(registration="r2"), 0.2)
    count = attempt().count()
    assert sorted(count.others) == [0.2, 1.0]
    assert "1 unreadable lines" in count.problem
    attempt().path.write_bytes(b"\x00\xff{}\n" * 50 + b'{"kind":"judged","p":NaN}\n')
    assert attempt().count().others == [1.0]


def test_a_file_that_is_gone_or_replaced_is_said() -> None:
    assert "cannot be read" in attempt().count().problem
    judged(attempt(), 0.3)
    assert attempt().known
    assert attempt().count().problem == ""
    attempt().path.write_text("")
    assert "emptied or replaced" in attempt().count().problem
    assert not attempt().known


def test_a_place_that_cannot_be_written_is_said(private_home: Path) -> None:
    private_home.mkdir(parents=True, exist_ok=True)
    (private_home / "tries").write_text("in the way")
    assert "cannot be written" in attempt().note("registered")
    assert "cannot be read" in attempt().count().problem


def test_many_processes_write_whole_lines() -> None:
    code = (
        "import sys; from engine.gate.tries import Try\n"
        "for n in range(20):\n"
        "    one = Try('gold', 'run', f'{sys.argv[1]}-{n}', {'recipe': 'x' * 3000})\n"
        "    assert one.note('scoring') == ''\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(number)], env=dict(os.environ))
        for number in range(4)
    ]
    assert [process.wait(60) for process in started] == [0] * 4
    count = attempt().count()
    assert count.others == [1.0] * 80
    assert "unreadable" not in count.problem


@pytest.mark.parametrize("other", [Example("other", "b"), Example("a", "other")])
def test_a_gold_set_is_known_by_its_items(other: Example) -> None:
    one, two = Example("a", "b"), Example("c", "d", tags=("t",))
    assert identity([one, two]) == identity([two, one])
    assert identity([one, two]) != identity([other, two])
    assert identity([one]) != identity([one, one])
