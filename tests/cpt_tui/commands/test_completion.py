"""Completion in the shell: installed by the command itself, and answered at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cpt_tui.cli import app


@pytest.mark.parametrize("name", ["cpt", "cpt-tui"])
def test_completion_is_installed_under_the_name_that_was_called(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["--install-completion", "bash"], prog_name=name, env={"HOME": str(tmp_path)}
    )
    assert done.exit_code == 0, done.output
    script = tmp_path / ".bash_completions" / f"{name}.sh"
    assert script.read_text().rstrip().endswith(f"_completion {name}")
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_commands_and_options_are_completed() -> None:
    for typed, expected in (("cpt fin", ["finish"]), ("cpt run --ov", ["--override"])):
        words = typed.split()
        asked = {
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
            "_CPT_COMPLETE": "complete_bash",
        }
        done = CliRunner().invoke(app, [], prog_name="cpt", env=asked)
        assert done.stdout.split() == expected
