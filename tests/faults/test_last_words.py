"""What a run says of an error that nobody foresaw: the file or the disk, and the way out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cpt_tui.commands.starting import follow
from engine.errors import Exit, InputError
from engine.runs.event_log import EventLog
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


def test_a_warning_of_a_library_is_not_why_a_worker_ended() -> None:
    run = create_run("warned", "[recipe]\n")
    warning = "/lib/x.py:7: FutureWarning: `old` goes away.\n  warnings.warn(\n"
    run.log_path.write_text(warning)
    assert run.last_words() == ""
    run.log_path.write_text(f"Killed by the kernel\n\n{warning}")
    assert run.last_words() == "Killed by the kernel"


def test_a_log_that_is_no_file_is_refused_with_a_way_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events.jsonl")
    with pytest.raises(InputError, match="not a regular file, so nothing can be added to it; move"):
        EventLog(tmp_path / "events.jsonl")
