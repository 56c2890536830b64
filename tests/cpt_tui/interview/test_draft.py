"""The draft of an interview: answers on disk, and the measurements that belong to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpt_tui.interview.draft import Draft
from engine.errors import InputError
from engine.files import write_atomic
from engine.runs import events as ev
from engine.runs.view import RunView
from tests.cpt_tui import measured, worlds


def measured_view(quality: object) -> RunView:
    """A view of a scan with this quality, and of a whole probe."""
    view, scan = RunView(), measured.scan()
    scan["scan"]["domain"]["quality"] = quality
    view.apply(ev.StageDone(stage="scan", seconds=1, evidence=scan))
    view.apply(ev.StageDone(stage="probe", seconds=1, evidence=measured.probe()))
    return view


def test_a_stage_that_cannot_be_read_is_named_until_it_is_stale(tmp_path: Path) -> None:
    draft, view = Draft(worlds.draft(tmp_path), tmp_path), measured_view(3)
    draft.remember_measured()
    found = draft.evidence(view)
    assert found.scan is None
    assert found.fluency is not None
    words = draft.describe_unreadable(view)
    assert words.startswith("scan: its evidence cannot be read (scan.domain.quality: ")
    assert words.endswith("; measure again")
    assert draft.describe_unreadable(measured_view(None)) == ""
    draft.set({"corpus.path": "/other"})
    assert draft.describe_unreadable(view) == ""
    assert draft.evidence(view).fluency is None


def test_an_answer_below_a_value_is_refused(tmp_path: Path) -> None:
    """A recipe edited by hand may hold a value where an answer needs a table."""
    draft = Draft(worlds.draft(tmp_path), tmp_path)
    write_atomic(draft.run.recipe_path, "corpus = 3\n")
    with pytest.raises(InputError, match=r"corpus is a value; make it a table: \[corpus\]"):
        draft.set({"corpus.path": "/data"})
    assert draft.get("corpus.path") is None
    assert draft.get("corpus") == 3
