"""Lines, a page and JSON tell what the training and the gate screen show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cpt_tui.commands import follow
from engine.runs import index
from engine.runs.run import Run
from tests import longlogs
from tests.conftest import Command
from tests.cpt_tui import gated, worlds


@pytest.fixture
def done(tmp_path: Path) -> Run:
    return worlds.finished(tmp_path).run


def test_the_page_tells_the_screens_facts(done: Run) -> None:
    page = follow.snapshot(done, json_=False)
    folded = " ".join(page.split())
    for words in (
        "forgetting: amber (amber above +0.02 nats, red above +0.05)",
        "3.28M tokens seen, 2.4 GB",
        'after "Z.n.": base "is a man',
        'now "Apoplex, Hemiparese',
        "It would be a TIE if the interval reached 0",
        "tries: this gold set has judged 3 times",
        "tag ward: +5.25 points (+1.15 to +9.35), 67 items, corrected p = 0.033",
        "CPT minus base by seed: mean 4.35, sd 0.80",
        "items: 63 won, 12 lost, 325 tied",
        "lost #77 -60.0: Histology of case 76",
    ):
        assert words in folded, words
    assert max(map(len, page.split("\n"))) <= 80


def test_json_holds_the_same_and_every_item_that_changed(done: Run) -> None:
    found = json.loads(follow.snapshot(done, json_=True))
    training, gate = found["training"], found["gate"]
    assert training["newest"]["step"] == 1000
    assert training["generic"]["newest"] == [1000, pytest.approx(2.895)]
    assert training["guard"] == "amber"
    assert training["samples"][-1]["base"]
    assert gate["arms"]["cpt"]["2"] == 66.75
    assert gate["items"] == {"won": 63, "lost": 12, "tied": 325, "waiting": 0}
    assert len(gate["changed"]) == 75
    item = next(item for item in gate["changed"] if item["number"] == 77)
    assert item["difference"] == pytest.approx(-60)
    assert item["completion"] == " brain"
    assert found["evidence"]["gate"]["by_tag"][0]["tag"] == "ward"


def test_live_items_are_on_the_page_too(tmp_path: Path) -> None:
    world = worlds.mid_training(tmp_path, upto=60)
    gated.gold(world.run)
    assert "items:" not in follow.snapshot(world.run, json_=False)
    gated.arms(world.run, {"base": 5, "cpt": 1})
    assert "items: " in follow.snapshot(world.run, json_=False)


def test_another_run_beneath(tmp_path: Path, cpt: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    run = worlds.finished(tmp_path).run
    other = worlds.World(tmp_path, "earlier-20251224-101010-beef")
    worlds.training(other, 900)
    page = cpt("watch", run.id, "--once", "--overlay", "earlier").stdout
    assert "beneath  earlier-20251224-101010-beef" in page
    assert "domain  held-out loss 2.9184 at step 900" in page
    found = json.loads(cpt("watch", run.id, "--once", "--json", "--overlay", "earlier").stdout)
    assert found["overlay"]["run"] == other.run.id
    assert found["overlay"]["generic"]["newest"][0] == 900
    lines = cpt("watch", run.id, "--plain", "--overlay", "earlier").stdout.split("\n")
    assert lines[0] == "beneath  earlier-20251224-101010-beef"
    assert any('": base "' in line for line in lines)
    assert any("It would be a TIE" in line for line in lines)
    wrong = cpt("watch", run.id, "--once", "--overlay", "nothing")
    assert wrong.returncode == 1
    assert "'nothing' matches no run" in wrong.stderr


def test_a_long_log_is_read_once(tmp_path: Path) -> None:
    world = longlogs.training_run(tmp_path, 12_000, 12_000)
    first = follow.snapshot(world.run, json_=False)
    assert index.load(world.run.events_path) is not None
    assert follow.snapshot(world.run, json_=False) == first
    assert "step 12000 of 12000" in first
