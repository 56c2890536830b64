"""The report: a page to read and an appendix to check, as Markdown and as one HTML file.

Written from artifacts and the log alone, so the worker and ``cpt report`` write the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.gate import GateVerdict
from engine.artifacts.shipping import ReportArtifact
from engine.files import digest, private_dir, write_atomic
from engine.gate.recheck import registered_recipe
from engine.recipe.sections import Recipe
from engine.report import charts
from engine.report.appendix import render_appendix
from engine.report.front_page import render_front_page
from engine.report.html import render_html
from engine.runs.history import History
from engine.runs.run import Run
from engine.runs.view import Curve, RunView
from engine.thresholds import effective

CHARTS = "charts"
"""Folder of the run that holds the pictures which ``report.md`` shows."""


@dataclass(frozen=True)
class ReportChart:
    """A picture of the report."""

    title: str
    """What it shows."""
    svg: str


def html_path(run: Run) -> Path:
    return run.path / "report.html"


def write_report(run: Run, recipe: Recipe, made: Artifacts) -> Path:
    """Write ``report.md``, its charts and ``report.html`` from the stages' artifacts.

    Returns the path of ``report.md``.
    """
    log = History(run.events_path).catch_up()
    drawn = draw_charts(recipe, made, log)
    images = {name: f"![{chart.title}]({CHARTS}/{name}.svg)" for name, chart in drawn.items()}
    front = render_front_page(run, recipe, made, log, images)
    text = front + "\n" + render_appendix(run, recipe, made, images)
    if drawn:
        private_dir(run.path / CHARTS)
    for name, chart in drawn.items():
        write_atomic(run.path / CHARTS / f"{name}.svg", chart.svg)
    pictures = {f"{CHARTS}/{name}.svg": chart.svg for name, chart in drawn.items()}
    write_atomic(html_path(run), render_html(text, pictures))
    write_atomic(run.report_path, text)
    return run.report_path


def written_files(run: Run) -> list[Path]:
    """The files of a report that is written, for its manifest."""
    charts_ = sorted((run.path / CHARTS).glob("*.svg"))
    return [path for path in (run.report_path, html_path(run), *charts_) if path.is_file()]


def publish_report(run: Run, recipe: Recipe, made: Artifacts) -> Path:
    """``write_report``, and the hashes of what it wrote, outside of a walk of the stages."""
    path = write_report(run, recipe, made)
    value = ReportArtifact(path=str(path)).to_json()
    run.write_artifact("report", value, digest(time.time()), written_files(run))
    return path


def rewrite(run: Run) -> Path:
    """``publish_report`` from what the run's folder holds. InputError for an unreadable recipe."""
    return publish_report(run, registered_recipe(run), run.read_artifacts())


def mend_report(run: Run) -> str:
    """Write a report anew that is not as it was written; returns what was wrong, or nothing."""
    fault = run.find_fault("report")
    if fault or not html_path(run).is_file():
        rewrite(run)
    return f"{fault}: the report is written anew" if fault else ""


def draw_charts(recipe: Recipe, made: Artifacts, log: RunView) -> dict[str, ReportChart]:
    """Every chart that there is data for, by its name."""
    drawn = _draw_verdict(recipe, made.gate) if made.gate else {}
    return {**drawn, **_draw_training(recipe, log)}


def _draw_verdict(recipe: Recipe, gate: GateVerdict) -> dict[str, ReportChart]:
    level = 1 - (gate.alpha or recipe.gate.alpha)
    interval = charts.interval(gate.estimate, gate.low, gate.high, gate.margin, level)
    seeds = charts.pairs(_seed_numbers(recipe, gate), gate.base_scores, gate.cpt_scores)
    return {
        "interval": ReportChart("CPT minus base, its interval", interval),
        "seeds": ReportChart("Score of both arms, by seed", seeds),
    }


def _draw_training(recipe: Recipe, log: RunView) -> dict[str, ReportChart]:
    curve = log.curves.get("train", Curve())
    domain, generic = curve.domain.points(), curve.generic.points()
    if min(len(domain), len(generic)) < 2:
        return {}
    limits = effective(recipe.probe.thresholds)
    edges = limits["forgetting_green"], limits["forgetting_amber"]
    bands = charts.forgetting(generic, *edges)
    return {
        "losses": ReportChart("Held-out loss by step", charts.losses(domain, generic)),
        "forgetting": ReportChart("Generic loss since the start, in the guard's bands", bands),
    }


def _seed_numbers(recipe: Recipe, gate: GateVerdict) -> list[int]:
    """The gate's seeds; their numbers in order where the recipe names others."""
    count = len(gate.base_scores)
    return recipe.gate.seeds[:count] if len(recipe.gate.seeds) >= count else list(range(count))
