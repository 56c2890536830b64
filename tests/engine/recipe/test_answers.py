"""A decision's answers are the same exactly as long as no answer changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.recipe.seal import answers_digest
from engine.recipe.toml import write_results
from tests.cpt_tui.worlds import RECIPE


def test_an_answer_changes_it_and_taking_it_back_restores_it() -> None:
    before = answers_digest(RECIPE)
    assert before
    assert answers_digest(RECIPE.replace("unreadable", "format")) != before
    assert answers_digest(RECIPE + "\n[arms]\ncpt_seeds = true\n") == before
    assert answers_digest("# a comment\n" + RECIPE + "\n[train]\n") == before
    assert answers_digest("no [ toml") == ""


def test_what_a_run_adds_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    write_results(path, {"evidence": {"scan": {"tokens": 3}}, "verdict": {}, "provenance": {}})
    assert answers_digest(path.read_text()) == answers_digest(RECIPE)


def test_a_list_of_runs_reads_it_without_the_recipe_s_model() -> None:
    code = "import sys, engine.recipe.seal; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
