"""Completion in the shell: installed by the command itself, and answered at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cpt_tui.cli import app
from cpt_tui.commands import names
from tests.cpt_tui.workspace.test_listing import small


@pytest.mark.parametrize("name", ["cpt", "cpt-tui"])
def test_completion_is_installed_under_the_name_that_was_called(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["--install-completion", "bash"], prog_name=name, env={"HOME": str(tmp_path)}
    )
    assert done.exit_code == 0, done.output
    script = tmp_path / ".bash_completions" / f"{name}.sh"
    assert script.read_text().rstrip().endswith(f"_completion {name}")
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_commands_options_runs_and_recipes_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("clinic-1", "clinic-2", "wards-1"):
        small(tmp_path, name)
    (tmp_path / "mine.toml").touch()
    (tmp_path / "mine.txt").touch()
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for typed, expected in (
        ("cpt fin", ["finish"]),
        ("cpt run --ov", ["--override"]),
        ("cpt watch wa", ["wards-1"]),
        ("cpt export cl", ["clinic-1", "clinic-2"]),
        ("cpt run demo-f", ["demo-fluent"]),
        ("cpt run mi", ["mine.toml"]),
    ):
        words = typed.split()
        asked = {
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
            "_CPT_COMPLETE": "complete_bash",
        }
        done = CliRunner().invoke(app, [], prog_name="cpt", env=asked)
        assert sorted(done.stdout.split()) == expected, typed


def test_a_name_that_several_runs_have_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, name in enumerate(("clinic-1", "clinic-2")):
        small(tmp_path, name, at=at)
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    monkeypatch.setattr(names, "interactive", lambda: True)
    done = CliRunner().invoke(app, ["watch", "clinic", "--once"], input="2\n")
    assert done.exit_code == 0, done.output
    assert "run      clinic-1" in done.stdout
    assert "1  clinic-2" in done.stderr
    done = CliRunner().invoke(app, ["watch", "clinic", "--once"], input="7\n")
    assert "7 is not among 1 to 2" in str(done.exception)
    monkeypatch.setattr(names, "interactive", lambda: False)
    done = CliRunner().invoke(app, ["watch", "clinic", "--once"])
    assert "matches 2 runs" in str(done.exception)
