"""The report of a run: its files, its text, its facts."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from cpt_tui.safe import clean
from engine.errors import InputError
from engine.report.report import html_path, mend_report
from engine.runs.run import Run


def report_files(run: Run) -> tuple[Path, Path]:
    """(Markdown, HTML) of a run; a page that an older version did not write is written now."""
    if not run.report_path.is_file():
        raise InputError(f"Run {run.id} has no report yet; watch it with: cpt watch {run.id}")
    if said := mend_report(run):
        typer.echo(f"cpt: {clean(said)}", err=True)
    return run.report_path, html_path(run)


def print_report(run: Run, html: bool, json_: bool) -> None:
    """The report's text, or the page's path, or both paths and the verdict as JSON."""
    if json_:
        typer.echo(json.dumps(report_facts(run)))
        return
    markdown, page = report_files(run)
    typer.echo(clean(str(page) if html else markdown.read_text(errors="replace")))


def report_facts(run: Run) -> dict[str, str]:
    """Where the report is, and its verdict, for ``--json``."""
    markdown, html = report_files(run)
    made = run.read_artifacts("gate", "decide")
    faults = [made.describe_unreadable(stage) for stage in ("gate", "decide")]
    judged = made.gate or (None if "gate" in made.unreadable else made.decide)
    return {
        "run": run.id,
        "markdown": str(markdown),
        "html": str(html),
        "outcome": judged.outcome if judged else "",
        "label": made.gate.label if made.gate else "",
        "sentence": judged.sentence if judged else "",
        "fault": "; ".join(fault for fault in faults if fault),
    }
