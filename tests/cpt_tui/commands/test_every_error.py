"""Every command with what is wrong, as a stranger would meet it: one sentence, exit 1 or 2."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from cpt_tui import cli
from engine.runs.run import create_run
from tests import tiny

COMMANDS = sorted(getattr(get_command(cli.app), "commands"))  # noqa: B009
OF_A_RUN = ("arms", "checkpoint", "finish", "gate", "pause", "report", "resume", "stop", "watch")
OTHERS = ("cache", "check", "demo", "doctor", "export", "run", "runs")
INSIDE = re.compile(r"PosixPath|Traceback|Errno|Run\(|\bNone\b|<[a-z_.]+ object|Error: ")
"""What only a programmer reads in a sentence."""
GO_ON = "cpt resume"

Said = Callable[..., str]


def run_cpt(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command, in this process."""
    monkeypatch.setattr("sys.argv", ["cpt", *arguments])
    umask = os.umask(0o077)
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
    finally:
        os.umask(umask)
        os.environ.pop("CPT_UMASK", None)
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, out, err


@pytest.fixture
def sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """What a command says of a fault: one line, and the same as JSON where that is asked for."""

    def ask(*arguments: str) -> str:
        code, out, err = run_cpt(list(arguments), capsys, monkeypatch)
        assert (code in (1, 2), out) == (True, ""), (code, out, err)
        line, *faults = err.splitlines()  # a recipe's faults are told all at once, a line each
        assert line.startswith("cpt: ")
        assert all(fault.startswith("  ") for fault in faults)
        said = err.removeprefix("cpt: ").strip()
        assert not INSIDE.search(said), said
        code_too, out, err = run_cpt([*arguments, "--json"], capsys, monkeypatch)
        assert json.loads(out)["code"] == code_too
        assert (code_too, err) == (code, f"cpt: {said}\n") or "--json" in err
        return said

    return ask


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_option(command: str, sentence: Said) -> None:
    assert "--bogus" in sentence(command, "--bogus")


@pytest.mark.parametrize("command", OF_A_RUN)
def test_an_unknown_run(command: str, sentence: Said) -> None:
    assert "cpt demo" in sentence(command, "nobody")
    create_run("somebody", '[recipe]\nname = "somebody"\n')
    assert "'nobody' matches no run; list them with: cpt runs" in sentence(command, "nobody")


@pytest.mark.parametrize("command", [name for name in OF_A_RUN if name not in ("watch", "resume")])
def test_a_run_that_never_started(command: str, sentence: Said) -> None:
    run = create_run("somebody", '[recipe]\nname = "somebody"\n')
    assert run.id in sentence(command, "some")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "missing.txt", "--model", "MODEL"], "missing.txt"),
        (["check", "CORPUS", "--model", "./missing"], "no such model folder"),
        (["check", "CORPUS", "--model", "MODEL", "--gold", "missing.jsonl"], "missing.jsonl"),
        (["check", "CORPUS", "--model", "MODEL", "--sft", "missing.jsonl"], "missing.jsonl"),
        (["check", "CORPUS", "--model", "MODEL", "--generic", "./missing"], "missing"),
        (["check", "CORPUS", "--model", "MODEL", "--hurts", "everything"], "hurts"),
        (["check", "CORPUS", "--model", "MODEL", "--text-column", "nothing"], "nothing"),
        (["check", "CORPUS"], "--model"),
        (["check"], "'corpus'"),
        (["run", "missing.toml"], "missing.toml"),
        (["run", "."], "cannot be read"),
        (["run", "CORPUS"], "not valid TOML"),
        (["export", "nobody", "out"], "no runs"),
        (["export", "nobody"], "'folder'"),
        (["arms", "nobody", "--control", "missing.txt"], "no runs"),
        (["finish", "nobody", "--mix-back", "2"], "mix-back"),
        (["watch", "nobody", "--overlay", "other"], "no runs"),
        (["cache", "nothing"], "nothing in the cache"),
        (["cache", "--older", "soon"], "30d"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_wrong_argument(
    arguments: list[str],
    words: str,
    sentence: Said,
    tiny_model: Path,
    tiny_files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"MODEL": str(tiny_model), "CORPUS": str(tiny_files["domain"])}
    said = sentence(*(places.get(argument, argument) for argument in arguments))
    assert words in said
    assert GO_ON not in said


@pytest.mark.parametrize("home", ["a file", "below a file", "a loop"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_home_that_is_none(
    command: str,
    home: str,
    sentence: Said,
    tiny_model: Path,
    tiny_files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that may not be read is refused at the same place; root, who runs tests, reads all."""
    place, recipe = tmp_path / "place", tmp_path / "recipe.toml"
    recipe.write_text(tiny.recipe_text(tiny_model, tiny_files))
    needed = {
        "check": [str(tiny_files["domain"]), "--model", str(tiny_model)],
        "run": [str(recipe)],
        "export": ["nobody", str(tmp_path / "out")],
    }
    place.symlink_to(place) if home == "a loop" else place.write_text("x")
    monkeypatch.setenv("CPT_HOME", str(place / "x" if home == "below a file" else place))
    said = sentence(command, *needed.get(command, []))
    assert str(place) in said
    assert "--home DIR" in said
    assert GO_ON not in said


def test_no_command_is_left_out() -> None:
    assert sorted(OF_A_RUN + OTHERS) == COMMANDS
