"""Each screen as a picture, at 80x24 and at 160x50."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from cpt_tui.app import CptApp
from cpt_tui.screens.home import home
from engine.runs.run import Run
from tests.cpt_tui import driving, worlds

SIZES = [(80, 24), (160, 50)]
Snap = Callable[..., bool]

pytestmark = pytest.mark.usefixtures("noon")


async def settle(pilot: Pilot[int]) -> None:
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause(0.2)
    assert pilot.app._exception is None


@pytest.fixture(autouse=True)
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ready recipes that do not change with the repository's."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name in ("demo", "smollm2-lora"):
        text = f'[recipe]\npurpose = "what the recipe {name} is for"\n'
        (folder / f"{name}.toml").write_text(text)
    monkeypatch.setattr(home, "recipe_files", lambda: sorted(folder.glob("*.toml")))


@pytest.mark.parametrize("size", SIZES)
def test_home(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    worlds.finished(tmp_path)
    worlds.failed(tmp_path)
    os.utime(worlds.draft(tmp_path).recipe_path, (worlds.T0 + 9, worlds.T0 + 9))
    for at, run in enumerate(sorted((tmp_path / "runs").iterdir())):
        if (run / "events.jsonl").exists():
            os.utime(run / "events.jsonl", (worlds.T0 + at * 60, worlds.T0 + at * 60))
    assert snap_compare(CptApp(home=tmp_path), terminal_size=size, run_before=settle)


def at_page(run: Run, home: Path, page: str, *keys: str) -> Callable[[Pilot[int]], Any]:
    """The interview of a run at a page, after keys."""

    async def opened(pilot: Pilot[int]) -> None:
        await settle(pilot)
        await driving.interview(pilot, run, home, page)
        for key in keys:
            await pilot.press(key)
        await settle(pilot)

    return opened


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("page", ["size", "surprise", "fertility", "gate", "cost", "verdict"])
def test_interview(snap_compare: Snap, tmp_path: Path, page: str, size: tuple[int, int]) -> None:
    world = worlds.checked(tmp_path)
    opened = at_page(world.run, tmp_path, page)
    assert snap_compare(CptApp(home=tmp_path), terminal_size=size, run_before=opened)


@pytest.mark.parametrize("size", SIZES)
def test_marking_terms(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    opened = at_page(worlds.checked(tmp_path).run, tmp_path, "explain", "2")
    assert snap_compare(CptApp(home=tmp_path), terminal_size=size, run_before=opened)


@pytest.mark.parametrize("size", SIZES)
def test_glossary(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    opened = at_page(worlds.checked(tmp_path).run, tmp_path, "shape", "g", "slash", *"dup")
    assert snap_compare(CptApp(home=tmp_path), terminal_size=size, run_before=opened)


def test_surprise_in_ascii_without_colour(
    snap_compare: Snap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPT_ASCII", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    opened = at_page(worlds.checked(tmp_path).run, tmp_path, "surprise", "j")
    assert snap_compare(CptApp(home=tmp_path), terminal_size=(80, 24), run_before=opened)


@pytest.mark.parametrize("size", SIZES)
def test_evidence(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    assert snap_compare(app, terminal_size=size, run_before=press("1"))


def test_a_failed_run(snap_compare: Snap, tmp_path: Path) -> None:
    app = CptApp(worlds.failed(tmp_path).run)
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


def press(*keys: str) -> Callable[[Pilot[int]], Any]:
    async def pressed(pilot: Pilot[int]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return pressed


@pytest.mark.parametrize("size", SIZES)
def test_training(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    app = CptApp(worlds.mid_training(tmp_path).run)
    assert snap_compare(app, terminal_size=size, run_before=settle)


@pytest.mark.parametrize("size", SIZES)
def test_gate(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    assert snap_compare(app, terminal_size=size, run_before=press("4"))


@pytest.mark.parametrize("size", SIZES)
def test_another_run_beneath(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    run = worlds.mid_training(tmp_path).run
    other = worlds.World(tmp_path, "earlier-20251224-101010-beef")
    worlds.before_training(other)
    worlds.training(other, 900)
    app = CptApp(run, overlay=other.run)
    assert snap_compare(app, terminal_size=size, run_before=press("w", "plus"))


@pytest.mark.parametrize("size", SIZES)
def test_items(snap_compare: Snap, tmp_path: Path, size: tuple[int, int]) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    assert snap_compare(app, terminal_size=size, run_before=press("4", "enter", "v", "v"))


def test_training_in_ascii_without_colour(
    snap_compare: Snap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPT_ASCII", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    app = CptApp(worlds.mid_training(tmp_path).run)
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
