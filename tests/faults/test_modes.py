"""The home is its owner's alone, under whatever umask a command is started."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.files import hand_over, home, keep_private, private_dir

UMASKS = (0o000, 0o022, 0o277, 0o777)


@pytest.fixture
def umask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The process's umask, put back afterwards."""
    monkeypatch.delenv("CPT_UMASK", raising=False)
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> set[tuple[bool, int]]:
    """(is a folder, mode) of everything below, the folder itself too."""
    return {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in (folder, *folder.rglob("*"))}


PRIVATE = {(True, 0o700), (False, 0o600)}


@pytest.mark.parametrize("mask", [UMASKS[0], UMASKS[-1]])
def test_a_check_leaves_private_files_only(
    mask: int, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    """The command, its worker, the caches and the heartbeat; the recipe asked for is the user's."""
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", "from cpt_tui.cli import main; main()", "check"]
    command += [str(tiny_files["domain"]), "--model", str(tiny_model), "--no-pilot"]
    command += ["--generic", str(tiny_files["generic"]), "--out", str(out / "recipe.toml")]
    done = subprocess.run(command, umask=mask, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert modes(home()) <= PRIVATE
    assert any((home() / "cache" / "tokens").iterdir())
    given = stat.S_IMODE((out / "recipe.toml").stat().st_mode)
    assert given == 0o666 & ~(mask & 0o077)


@pytest.mark.parametrize("umask", UMASKS, indirect=True)
def test_a_private_folder_and_those_above_it_are_private(umask: int, tmp_path: Path) -> None:
    private_dir(tmp_path / "home" / "cache" / "tokens")
    assert modes(tmp_path / "home") == {(True, 0o700)}


@pytest.mark.parametrize("umask", UMASKS, indirect=True)
def test_what_leaves_the_home_has_the_users_modes(umask: int, tmp_path: Path) -> None:
    keep_private()
    keep_private()  # a worker does it again, in an environment that a command prepared
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    assert modes(folder) == PRIVATE
    hand_over(folder)
    theirs = umask & 0o077
    assert modes(folder) == {(True, 0o777 & ~theirs), (False, 0o666 & ~theirs)}
