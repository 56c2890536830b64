"""A path as it is typed: completed as far as it is sure, and checked before Enter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from cpt_tui.app import CptApp
from cpt_tui.interview.paths import complete_path, name_matches
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, interview


def folder(root: Path) -> Path:
    for name in ("letters-a", "letters-b", "other"):
        (root / name).mkdir()
    row = {"prompt": "a question", "completion": " yes"}
    (root / "gold.jsonl").write_text("".join(json.dumps({**row, "n": i}) + "\n" for i in range(6)))
    (root / ".hidden").touch()
    return root


def test_a_path_goes_on_as_far_as_every_match_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path)
    assert complete_path(f"{root}/le") == (f"{root}/letters-", ["letters-a/", "letters-b/"])
    assert complete_path(f"{root}/letters-a") == (f"{root}/letters-a/", ["letters-a/"])
    assert complete_path(f"{root}/none") == (f"{root}/none", [])
    assert complete_path(f"{root}/.h") == (f"{root}/.hidden", [".hidden"])
    assert ".hidden" not in complete_path(f"{root}/")[1]
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(root))
    assert complete_path("go") == ("gold.jsonl", ["gold.jsonl"])
    assert complete_path("~/go") == ("~/gold.jsonl", ["gold.jsonl"])


def test_names_fit_a_line() -> None:
    assert name_matches(["one", "two"], 60) == "one  two"
    line = name_matches([f"name-{i:03}" for i in range(300)], 60)
    assert len(line) <= 72
    assert line.endswith("more")


async def test_tab_completes_and_what_is_there_is_said_before_enter(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    root = folder(tmp_path / "x")
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await interview(pilot, worlds.draft(tmp_path), tmp_path, "gold")
        field = app.screen.query_one(Input)
        field.value = f"{root}/le"
        field.cursor_position = len(field.value)
        await pilot.press("tab")
        await pilot.pause()
        assert field.value == f"{root}/letters-"
        assert "letters-a/ letters-b/" in folded(app)
        field.value = f"{root}/go"
        field.cursor_position = len(field.value)
        await pilot.press("tab")
        await pilot.pause(0.8)
        assert field.value.endswith("gold.jsonl")
        assert "6 items, 1 classes" in folded(app)
        field.value = f"{root}/gone.jsonl"
        await pilot.pause(0.8)
        assert "gone.jsonl" in folded(app).split("Enter keeps it")[-1]
