"""Answers given while the worker measured are in its decision, or it says that they are not."""

from __future__ import annotations

from pathlib import Path

from engine.recipe.seal import answers_digest
from engine.recipe.toml import load_recipe
from engine.runs.event_log import EventLog
from engine.runs.run import create_run
from engine.worker.job.context import Context
from engine.worker.measure.decide import take_answers

TEXT = '[model]\nid = "owner/name"\n\n[corpus]\npath = "/c"\n\n[interview]\nhurts = "unreadable"\n'


def started(root: Path) -> Context:
    """A worker that read the recipe as it was at the start."""
    run = create_run("late", TEXT, root)
    recipe, _ = load_recipe(run.recipe_path)
    return Context(run, recipe, EventLog(run.events_path))


def test_a_late_answer_is_decided_on(tmp_path: Path) -> None:
    context = started(tmp_path)
    path = context.run.recipe_path
    path.write_text(TEXT + 'fluency_goal = "ward notes"\n')
    assert take_answers(context) == answers_digest(path.read_text())
    assert context.recipe.interview.fluency_goal == "ward notes"


def test_another_input_is_not_taken_and_no_file_has_its_digest(tmp_path: Path) -> None:
    """It would change what was measured: every view then asks for a new measurement."""
    context = started(tmp_path)
    path = context.run.recipe_path
    path.write_text(TEXT.replace('"/c"', '"/other"'))
    assert take_answers(context) != answers_digest(path.read_text())
    assert context.recipe.corpus.path == "/c"
