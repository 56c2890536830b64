"""Every stage has all that a stage needs: a forgotten part is named here, not found by a user."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cpt_tui.panels.stage_rail import PANEL_OF
from engine.artifacts.all_stages import RECORDS, Artifacts
from engine.stages import CHECK_STAGES, EXTEND, LATER_STAGES, STAGES, VERSIONS
from engine.summary.findings import TELLERS

ALL = (*STAGES, EXTEND, *LATER_STAGES)
ROOT = Path(__file__).parent.parent


def stage_names() -> set[str]:
    """The ``name`` of every class of a stage in the worker; read, not imported (torch is heavy)."""
    found = set()
    for path in (ROOT / "engine" / "worker").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and ast.unparse(node).startswith(
                f"class {node.name}(Stage["
            ):
                names = [ast.unparse(n.value) for n in node.body if isinstance(n, ast.Assign)]
                found |= {name.strip("'\"") for name in names}
    return {EXTEND if name == "EXTEND" else name for name in found}


def test_each_stage_is_one_object_of_the_worker() -> None:
    assert stage_names() == set(ALL)


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_has_a_record_a_version_a_teller_and_a_panel(stage: str) -> None:
    assert stage in VERSIONS
    assert Artifacts.model_fields[stage].annotation == RECORDS[stage] | None
    assert stage in TELLERS
    assert PANEL_OF[stage] in (1, 2, 3, 4)


def test_nothing_is_said_of_stages_that_are_none() -> None:
    assert set(RECORDS) == set(VERSIONS) == set(TELLERS) == set(ALL)
    assert set(CHECK_STAGES) <= set(STAGES)
