"""The gate screen: pairs, spread, tries, tags, and the items with their texts; live and done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from textual.widgets import OptionList

from cpt_tui.app import CptApp
from cpt_tui.drawing.page import Page
from cpt_tui.panels.evidence import EvidencePanel
from cpt_tui.panels.gate import GatePanel, looks
from cpt_tui.screens.items import ItemScreen, ItemsScreen
from cpt_tui.screens.run import RunScreen
from engine.artifacts.arms import ArmRow, ArmsResult, Difference
from engine.runs import events as ev
from engine.runs.view import RunView
from tests.cpt_tui import gated, hostile, worlds
from tests.cpt_tui.driving import folded, screen_text, settle
from tests.cpt_tui.panels.test_training import press

TALL = (120, 90)


def gating(root: Path, seeds: int) -> worlds.World:
    """A run whose CPT arm has scored that many seeds."""
    world = worlds.World(root)
    worlds.before_training(world)
    worlds.training(world, 60)
    gated.gold(world.run)
    world.emit(ev.StageStarted(stage="gate"))
    score(world, seeds)
    world.status("running", "gate", True)
    return world


def score(world: worlds.World, seeds: int) -> None:
    gated.arms(world.run, {"base": 5, "cpt": seeds})
    for seed in range(seeds):
        points = worlds.GATE["cpt_scores"][seed]
        event = ev.ArmSeed(arm="cpt", seed=seed, score=points, items=400, done=seed + 1, total=5)
        world.emit(event)


async def test_a_finished_gate_says_everything(tmp_path: Path) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    async with app.run_test(size=TALL) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        text = folded(app)
        for words in (
            "Verdict: EARNED",
            "interval +1.90 to +6.80 margin 2",
            "can see 3.6 points and more (MDE)",
            "What would change the verdict",
            "has judged 3 times, this run counted; corrected (Holm) p = 0.006",
            "base mean 61.10, sd 0.84, 60.00 to 62.00",
            "CPT-base mean 4.35, sd 0.80",
            "By tag",
            "abbreviation 67 +1.70 -2.40 to +5.80",
            "63 won, 12 lost, 325 tied",
            "Forgetting, measured apart: amber, +0.024 nats (+0.017 to +0.031)",
        ):
            assert words in text, words


async def test_a_verdict_of_an_older_version_needs_none_of_it(tmp_path: Path) -> None:
    world = worlds.World(tmp_path)
    worlds.before_training(world)
    world.emit(ev.StageDone(stage="gate", seconds=1, evidence=worlds.GATE))
    app = CptApp(world.run)
    async with app.run_test(size=TALL) as pilot:
        await settle(pilot)
        await press(pilot, "4", "enter")
        assert isinstance(app.screen, RunScreen)
        text = folded(app)
        assert "Verdict: EARNED" in text
        assert "By tag" not in text
        assert "Items, CPT" not in text
        assert [note.message for note in app._notifications] == ["This run kept no items."]


async def test_it_is_live_while_the_arms_come_in(tmp_path: Path) -> None:
    world = gating(tmp_path, 1)
    app = CptApp(world.run)
    async with app.run_test(size=TALL) as pilot:
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await screen.refresh_panel()
        await settle(pilot)
        text = folded(app)
        assert "No verdict but at a registered look" in text
        assert "cpt arm: 1 of 5 seeds done" in text
        assert "1 60.50 - waiting" in text
        before = next(line for line in screen_text(app).split("\n") if " won" in line)
        score(world, 3)
        screen._drawn_at = 0.0
        await screen.refresh_feed()
        await settle(pilot)
        assert "cpt arm: 3 of 5 seeds done" in folded(app)
        after = next(line for line in screen_text(app).split("\n") if " won" in line)
        assert after != before


def look(seeds: int, estimate: float, boundary: float, stop: bool) -> ev.GateLooked:
    return ev.GateLooked(
        seeds=seeds,
        most=20,
        estimate=estimate,
        low=estimate - 4,
        high=estimate + 4,
        boundary=boundary,
        predicted=0.4,
        stop=stop,
        why="the chance that 20 seeds would decide is 40%",
    )


def test_looks_show_where_the_estimate_stands_against_the_boundary() -> None:
    """The newest look is drawn; a gate of fixed seeds has none to show."""
    view, page = RunView(), Page()
    for one in (look(5, 3.0, 9.5, False), look(10, 6.5, 6.0, True)):
        view.apply(one)
    looks(page, view, 100)
    text = page.text.plain
    told = " ".join(text.split())
    assert "look at 5 of at most 20 seeds: +3.0 points (-1.0 to +7.0)" in told
    assert "a verdict begins at 9.5; goes on: the chance" in told
    assert "a verdict begins at 6.0; stops" in told
    drawn = next(line for line in text.split("\n") if "[" in line and "o" in line and "━" in line)
    assert drawn.index("o") > drawn.rindex(":"), "beyond the boundary on the right"
    assert "-6.0" in text
    fixed, empty = RunView(), Page()
    fixed.apply(dataclasses.replace(look(5, 3.0, 9.5, True), most=5))
    looks(empty, fixed, 100)
    assert empty.text.plain == ""


async def test_items_can_be_listed_filtered_and_read(tmp_path: Path) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "enter")
        assert isinstance(app.screen, ItemsScreen)
        assert app.screen.query_one(OptionList).option_count == 400
        await press(pilot, "v", "v")
        assert app.screen.query_one(OptionList).option_count == 12
        assert "showing: lost" in screen_text(app)
        await press(pilot, "down", "enter")
        assert isinstance(app.screen, ItemScreen)
        text = folded(app)
        assert "lost, CPT minus base -40.0 points" in text
        assert "Which organ is meant?" in text
        assert "Gold answer brain" in text
        await press(pilot, "end")
        assert "mean" in screen_text(app)
        await press(pilot, "escape", "escape")
        assert isinstance(app.screen, RunScreen)


async def test_with_room_the_item_in_front_stands_beside_the_list(tmp_path: Path) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "4", "enter")
        first = folded(app)
        assert "Gold answer" in first
        await press(pilot, "down", "down")
        assert folded(app) != first


async def test_keys_of_a_panel_do_nothing_on_another(tmp_path: Path) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "1", "enter", "o", "v", "plus")
        assert isinstance(app.screen, RunScreen)
        await press(pilot, "3")
        assert "steps 0 to 1,000" in screen_text(app)


async def test_hostile_items_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    world = worlds.finished(tmp_path)
    gated.gold(world.run, hostile=True)
    gated.arms(world.run, {"base": 5, "cpt": 5}, answers=True)
    app = CptApp(world.run)
    async with app.run_test(size=TALL) as pilot:
        await settle(pilot)
        for keys in (["4"], ["enter"], ["enter"], ["end"]):
            await press(pilot, *keys)
            text = screen_text(app)
            assert "[/nope]" in text
            assert hostile.escaped(text.encode()) == []


def difference(estimate: float, low: float, high: float) -> Difference:
    return Difference(
        estimate=estimate, low=low, high=high, p_value=0.01, p_adjusted=0.02, outcome="TIE"
    )


ARMS = ArmsResult(
    rows=[
        ArmRow(
            name="control",
            kind="control",
            tokens=598_016,
            seeds=[0, 1, 2, 3, 4],
            per_item=[],
            score=61.3,
            lr=2e-4,
            generic_rise=0.031,
            guard="amber",
            minus_base=0.2,
            over_base=difference(0.2, -2.1, 2.5),
            cpt_over=difference(4.15, 1.6, 6.7),
        ),
        ArmRow(
            name="seed 1",
            kind="seed",
            tokens=597_504,
            seeds=[1],
            per_item=[],
            score=65.0,
            lr=2e-4,
            generic_rise=0.026,
            guard="amber",
            minus_base=4.5,
        ),
    ],
    sentences=["The control \x1b[31mis behind: the gain is the corpus's."],
)


async def test_more_arms_stand_beside_the_verdict(tmp_path: Path) -> None:
    world = worlds.finished(tmp_path)
    world.emit(ev.StageStarted(stage="arms"))
    label = "control: training"
    world.emit(ev.Progress(stage="arms", label=label, done=40, total=146, unit="steps", eta_s=90))
    app = CptApp(world.run)
    async with app.run_test(size=TALL) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        text = folded(app)
        assert "More arms, beside the verdict" in text
        assert "arms: control: training" in text, text[text.index("More arms") :]
    world.emit(ev.StageDone(stage="arms", seconds=60, evidence=ARMS.to_json()))
    app = CptApp(world.run)
    async with app.run_test(size=TALL) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        text = folded(app)
        for words in (
            "arm tokens points -base CPT minus it",
            "control 598,016 61.3 +0.2 +4.2 (+1.6 to +6.7)",
            "seed 1 597,504 65.0 +4.5 -",
            "the gain is the corpus's",
        ):
            assert words in text, words
        assert "\x1b" not in screen_text(app)


async def test_the_arrows_scroll_the_panel_in_front(tmp_path: Path) -> None:
    """At 80x24 most of a panel is below: no Tab is asked for, wherever one comes from."""
    app = CptApp(worlds.finished(tmp_path).run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for number, panel in (("4", GatePanel), ("1", EvidencePanel), ("4", GatePanel)):
            await press(pilot, number)
            front = app.screen.query_one(panel)
            front.scroll_home(animate=False)
            await press(pilot, "down", "pagedown")
            await settle(pilot)
            assert front.scroll_target_y > 1, panel
