"""Rename, delete and edit: what they change, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpt_tui.workspace import changes
from engine.errors import InputError
from engine.runs.run import list_runs
from tests.cpt_tui import worlds


def script(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that is a shell script; ``$1`` is the file."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    monkeypatch.setenv("EDITOR", f"{path} --flag")
    monkeypatch.delenv("VISUAL", raising=False)


def test_a_deleted_run_is_gone_with_all_it_holds(tmp_path: Path) -> None:
    run = worlds.finished(tmp_path).run
    assert changes.size_of(run) == sum(f.stat().st_size for f in run.path.rglob("*") if f.is_file())
    changes.delete(run)
    assert list_runs(tmp_path) == []
    assert list(run.path.parent.iterdir()) == []


def test_a_run_that_is_worked_on_is_not_deleted(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path, upto=3).run
    with pytest.raises(InputError, match="stop it first"):
        changes.delete(run)
    assert run.recipe_path.is_file()


def test_the_editor_of_the_user_changes_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "ed", 'test "$1" = --flag && echo "# mine" >> "$2"', monkeypatch)
    assert changes.edit("a = 1\n") == "a = 1\n# mine\n"
    script(tmp_path / "ed", "exit 3", monkeypatch)
    with pytest.raises(InputError, match="code 3"):
        changes.edit("a = 1\n")
    monkeypatch.setenv("EDITOR", str(tmp_path / "none"))
    with pytest.raises(InputError, match="did not do its work"):
        changes.edit("a = 1\n")


def test_a_faulty_recipe_is_not_kept(tmp_path: Path) -> None:
    run = worlds.draft(tmp_path)
    before = run.recipe_path.read_text()
    with pytest.raises(InputError, match="epochz"):
        changes.keep_recipe(run, before + "[train]\nepochz = 2\n")
    assert run.recipe_path.read_text() == before
    changes.keep_recipe(run, before + "[train]\nepochs = 0.5\n")
    assert "epochs = 0.5" in run.recipe_path.read_text()
