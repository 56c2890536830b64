"""A verdict that its scores do not give is found, and the difference is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.gate.recheck import find_difference
from engine.release.policy import check_source, check_verdict
from engine.runs.run import Run, create_run
from tests.gate_world import FIXED, RECIPE, judged_run

OTHERS = (0.4, 1.0)
"""p of two other tries."""


def forge(run: Run, stage: str, **changes: Any) -> None:
    """An artifact edited by another hand, which writes a new manifest too."""
    values = json.loads(run.artifact_path(stage).read_text())
    run.write_artifact(stage, {**values, **changes}, run.fingerprint(stage))


@pytest.mark.parametrize("others", [(), OTHERS])
def test_an_honest_verdict_is_what_its_scores_give(
    tmp_path: Path, others: tuple[float, ...]
) -> None:
    run = judged_run(tmp_path, others)
    assert run.read_artifact("gate")["outcome"] == "EARNED"
    assert find_difference(run) == ""
    check_source(run, "cpt", "")


@pytest.mark.parametrize(
    ("stage", "changes", "named"),
    [
        ("gate", {"estimate": 30.0}, "estimate 30 instead of"),
        ("gate", {"low": 11.0, "high": 13.0}, "low 11 instead of"),
        ("gate", {"outcome": "HURT"}, "outcome HURT instead of EARNED"),
        ("gate", {"label": "at a cost"}, "label at a cost instead of none"),
        ("gate", {"generic_rise": 0.5}, "instead of"),
        ("gate", {"cpt_scores": [100.0] * 5}, "cpt_scores [100, 100, 100] instead of"),
        ("gate", {"margin": 0.1}, "margin 0.1 instead of 2"),
        ("gate", {"items": 6000}, "items 6000 instead of 60"),
        ("gate", {"p_adjusted": 1e-9}, "after correction for tries"),
        ("gate", {"per_item": [[1.0] * 60] * 5}, "estimate"),
        ("gate", {"per_item": [[1.0] * 60] * 4}, "cannot be judged"),
        ("gate", {"per_item": []}, "not there"),
        ("baseline", {"per_item": [[0.0] * 60] * 5}, "estimate"),
        ("train", {"model_sha256": "11"}, "other weights"),
    ],
)
def test_what_was_edited_is_named_and_refused(
    tmp_path: Path, stage: str, changes: dict[str, Any], named: str
) -> None:
    run = judged_run(tmp_path)
    forge(run, stage, **changes)
    assert named in find_difference(run)
    with pytest.raises(InputError, match=r"cpt gate .*--anyway"):
        check_verdict(run, "export")


def test_an_edited_tie_is_not_shipped(tmp_path: Path) -> None:
    """Scores without a difference under an outcome that another hand wrote."""
    run = judged_run(tmp_path)
    base = json.loads(run.artifact_path("baseline").read_text())["per_item"]
    forge(run, "gate", per_item=base)
    with pytest.raises(InputError, match="outcome EARNED instead of TIE"):
        check_source(run, "cpt", "")
    check_source(run, "cpt", "all the same")


def test_a_recipe_edited_after_the_verdict_does_not_change_what_was_registered(
    tmp_path: Path,
) -> None:
    run = judged_run(tmp_path)
    gate = FIXED.model_dump()
    registered = {f"gate.{key}": value for key, value in gate.items()}
    run.artifact_path("registration").write_text(json.dumps(registered))
    run.recipe_path.write_text(RECIPE + "margin = 50\nalpha = 0.001\n")
    assert find_difference(run) == ""


def test_without_a_verdict_there_is_nothing_to_differ(tmp_path: Path) -> None:
    assert find_difference(create_run("new", RECIPE, tmp_path)) == ""
