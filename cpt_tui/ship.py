"""What ``cpt finish``, ``cpt export`` and ``cpt report`` check and prepare before a worker runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import hub_push, launch
from engine.errors import InputError
from engine.recipe_io import amend
from engine.report import html_path, rewrite
from engine.run import Run
from engine.shipping import SOURCES, check_source, check_target, whole


def prepare_finish(run: Run, asked: dict[str, Any]) -> None:
    """Write stage two's intent into the run's recipe. InputError before there is a verdict."""
    if run.read_artifact("gate") is None:
        raise InputError(
            f"Run {run.id} has no verdict yet, and stage two begins at one; go on with: "
            f"cpt resume {run.id}"
        )
    _must_rest(run)
    kept = {name: value for name, value in asked.items() if value not in (None, "")}
    amend(run.recipe_path, {"finish": {"run": True, **kept}})


def order_export(run: Run, folder: Path, what: str, push: str, anyway: str) -> None:
    """Leave the order for the worker; what can be refused at once is refused here.

    Raises InputError, and NotEarned for a CPT checkpoint against its verdict.
    """
    what = what or ("task" if run.read_artifact("finish") else "cpt")
    if what not in SOURCES:
        raise InputError(f"--what {what}: give {' or '.join(SOURCES)}")
    _must_rest(run)
    check_source(run, what, anyway)
    if push:
        hub_push.check(push)
    target = folder.expanduser().resolve()
    before = run.read_artifact("export")
    if before is None or before["path"] != str(target) or not whole(before):
        check_target(target, run.path)
    run.request("export", to=str(target), what=what, push=push, anyway=anyway)


def _must_rest(run: Run) -> None:
    if launch.read_status(run).alive:
        raise InputError(f"Run {run.id} is being worked on; watch it with: cpt watch {run.id}")


def report_files(run: Run) -> tuple[Path, Path]:
    """(Markdown, HTML) of a run; a page that an older version did not write is written now."""
    if not run.report_path.is_file():
        raise InputError(f"Run {run.id} has no report yet; watch it with: cpt watch {run.id}")
    if not html_path(run).is_file():
        rewrite(run)
    return run.report_path, html_path(run)


def report_facts(run: Run) -> dict[str, Any]:
    """Where the report is, and its verdict, for ``--json``."""
    markdown, html = report_files(run)
    gate, decision = run.read_artifact("gate") or {}, run.read_artifact("decide") or {}
    judged = gate or decision
    return {
        "run": run.id,
        "markdown": str(markdown),
        "html": str(html),
        "outcome": judged.get("outcome", ""),
        "label": gate.get("label", ""),
        "sentence": judged.get("sentence", ""),
    }
