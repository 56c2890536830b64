"""Home as a place of work, by keys: move, filter, mark, compare, rename, delete, edit."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpt_tui.app import CptApp
from cpt_tui.screens.home.compare import CompareScreen
from cpt_tui.screens.home.home import HomeScreen
from cpt_tui.screens.run import RunScreen
from engine.runs.run import list_runs
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, screen_text, settle
from tests.cpt_tui.gated import GATE
from tests.cpt_tui.workspace.test_changes import script
from tests.cpt_tui.workspace.test_listing import judged, small


def three(root: Path) -> None:
    small(root, "a-run", *judged("TIE", 0.5), at=3)
    small(root, "b-run", *judged("EARNED", 4.5, "amber"), at=2)
    small(root, "c-run", at=1)


def home(app: CptApp) -> HomeScreen:
    assert isinstance(app.screen, HomeScreen)
    return app.screen


def under(app: CptApp) -> str:
    row = home(app).table.row
    return row.run.id if row else ""


async def test_keys_move_filter_and_order(tmp_path: Path) -> None:
    three(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        seen = []
        for key in ("j", "k", "G", "g", "down", "end", "home"):
            await pilot.press(key)
            seen.append(under(app)[0])
        assert "".join(seen) == "bacabca"
        await pilot.press("slash", *"amber")
        await pilot.pause()
        assert "1 of 3 match 'amber'" in screen_text(app)
        await pilot.press("enter")
        assert under(app) == "b-run"
        await pilot.press("escape")
        assert len(home(app).table.rows) == 3
        await pilot.press("O", "O", "O", "g")
        await pilot.pause()
        assert "by effect" in screen_text(app)
        assert under(app) == "b-run"


async def test_two_marked_runs_are_compared(tmp_path: Path) -> None:
    worlds.finished(tmp_path)
    tie = {**GATE, "outcome": "TIE", "label": "trivial", "estimate": 0.4}
    other = worlds.finished(tmp_path / "x", tie).run
    other.path.rename(tmp_path / "runs" / "wards-20260102-000000-beef")
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        assert "c compare" not in folded(app)
        await pilot.press("space")
        await pilot.pause()
        assert "c compare" in folded(app)
        await pilot.press("c")
        await settle(pilot)
        assert isinstance(app.screen, CompareScreen)
        shown = folded(app)
        assert "surprise ratio 1.42 (95% 1.31 to 1.55) 1.42 (95% 1.31 to 1.55)" in shown
        await pilot.press("G")
        await settle(pilot)
        rows = [line.split() for line in screen_text(app).splitlines()]
        verdicts = next(row for row in rows if row[:1] == ["verdict"])
        assert {*verdicts} >= {"EARNED", "TIE"}
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(app.screen, RunScreen)
        assert app.screen.beneath is not None


async def test_a_preview_stands_beside_the_list_where_there_is_room(tmp_path: Path) -> None:
    worlds.checked(tmp_path, answers=True)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await pilot.pause(0.1)
        assert "verdict: GO" in folded(app)
        await pilot.resize_terminal(100, 30)
        await settle(pilot)
        assert "verdict: GO" not in folded(app)


async def test_a_run_is_renamed_and_marked_ones_are_deleted(tmp_path: Path) -> None:
    three(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("R")
        await pilot.pause()
        await pilot.press("ctrl+u", *"ward", "enter")
        await settle(pilot)
        assert "ward" in screen_text(app)
        await pilot.press("space", "space", "D")
        await pilot.pause(0.1)
        assert "Delete 2 marked runs?" in folded(app)
        await pilot.press("enter")
        await settle(pilot)
        assert len(list_runs(tmp_path)) == 3
        await pilot.press("D")
        await pilot.pause(0.1)
        await pilot.press("y")
        await settle(pilot)
        assert [run.id for run in list_runs(tmp_path)] == ["c-run"]
        assert under(app) == "c-run"


async def test_without_a_terminal_to_lend_the_editor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sentence; how the editor works is driven in a real terminal."""
    script(tmp_path / "ed", "true", monkeypatch)
    three(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await settle(pilot)
        assert any("cannot be lent" in said.message for said in app._notifications)


async def test_the_palette_has_a_row_a_key_and_says_why_one_cannot_act(tmp_path: Path) -> None:
    three(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        rows = {row.title: row.help for row in app.get_system_commands(app.screen)}
        assert rows["filter"] == "/         Only runs that match words"
        assert rows["stop (not now)"] == "s         no worker lives on it"
        assert rows["compare (not now)"] == "c         mark another run first (space)"
        assert len(rows) == len(list(app.get_system_commands(app.screen)))


async def test_what_a_screen_is_about_is_copied_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    three(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("y", "f8")
        await pilot.pause()
        assert app.clipboard == "a-run"
        (picture,) = tmp_path.glob("cpt-home-*.svg")
        assert "a-run" in picture.read_text()
