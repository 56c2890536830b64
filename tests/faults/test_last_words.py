"""What a run says of an error that nobody foresaw: the file or the disk, and the way out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cpt_tui.commands.starting import follow
from engine.errors import Exit
from engine.runs.run import Run, create_run
from engine.stages import CHECK_STAGES
from engine.worker.__main__ import describe

GONE = FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/model.safetensors")
RUN = Run(Path("/home/me/runs/tiny-1"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GONE, "/data/model.safetensors: no such file or directory; mend that, then: cpt resume"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: permission denied; mend"),
        (OSError(errno.ENOSPC, "No space left on device"), "on the disk of /home/me/runs/tiny-1;"),
        (RuntimeError("a\nb"), "RuntimeError: a b (nobody foresaw this; the full traceback is in"),
    ],
)
def test_an_error_names_what_is_at_fault(error: Exception, said: str) -> None:
    sentence = describe(error, RUN)
    assert said in sentence
    assert "cpt resume tiny-1" in sentence
    assert "PosixPath" not in sentence
    assert "Errno" not in sentence


def test_a_run_is_shown_by_its_id() -> None:
    assert f"{RUN}" == "tiny-1"


def test_a_worker_that_never_took_the_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """Its recipe is at fault: ``cpt resume`` would fail in the same way."""
    run = create_run("broken", "[recipe\n")
    assert follow(run, CHECK_STAGES, False) == Exit.INPUT
    said = capsys.readouterr().err
    assert said.startswith("cpt: recipe.toml")
    assert "cpt resume" not in said
