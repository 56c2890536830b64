"""Shared fixtures: a private home, a tiny model and its corpora, the command as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from tests import tiny

settings.register_profile("cpt", deadline=None)  # no test is against the clock
settings.load_profile("cpt")

Command = Callable[..., subprocess.CompletedProcess[str]]


def kill_workers(folder: Path) -> None:
    """No worker of a test outlives it, whatever the test did."""
    for process in psutil.process_iter(["cmdline"]):
        if any(part.startswith(str(folder)) for part in process.info["cmdline"] or []):
            process.kill()


SLOWEST = ("tests/end_to_end", "tests/faults", "tests/engine/worker")
"""Folders whose files take longest; begun first, so that no process ends long after the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, f in enumerate(SLOWEST) if item.nodeid.startswith(f)), len(SLOWEST))

    items.sort(key=place)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A text of megabytes is no name of a test: it goes through every log and every process."""
    return f"{argname}-{len(val)}" if isinstance(val, str | bytes) and len(val) > 200 else None


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test has its own CPT_HOME and never reaches for a hub."""
    monkeypatch.setenv("CPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Two-thread pools of several small workers on two cores spin against each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path / "home"
    kill_workers(tmp_path)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny.write_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture
def cpt() -> Command:
    """Run ``cpt`` as a process, no terminal attached."""

    def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from cpt_tui.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=dict(os.environ),
            check=False,
        )

    return run
