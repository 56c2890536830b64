"""Still clocks, plain surroundings, and no environment in failure reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_textual_snapshot

from cpt_tui import feed, run_list
from cpt_tui.panels import machine_row
from tests.cpt_tui import worlds

_DIFF = pytest_textual_snapshot.SvgSnapshotDiff


def _without_environment(**fields: Any) -> Any:
    """The plugin writes ``os.environ`` into its report, secrets and all; this does not."""
    return _DIFF(**{**fields, "environment": {}})


pytest_textual_snapshot.SvgSnapshotDiff = _without_environment  # type: ignore[misc]


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NO_COLOR", "CPT_THEME", "CPT_MOUSE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CPT_ASCII", "0")
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> float:
    """One hour and a bit after the worlds begin; the screens' clock stands there."""
    stopped = worlds.T0 + 3700
    monkeypatch.setattr(feed, "now", lambda: stopped)
    monkeypatch.setattr(run_list, "now", lambda: stopped)
    monkeypatch.setattr(machine_row.Machine, "look", lambda self: False)  # as a clock's, its words
    return stopped


def age(path: Path, seconds: float = 100) -> None:
    """Set a file's times to ``seconds`` after the worlds begin."""
    os.utime(path, (worlds.T0 + seconds, worlds.T0 + seconds))
