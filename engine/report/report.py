"""The report: a page to read and an appendix to check, as Markdown and as one HTML file.

Written from artifacts and the log alone, so the worker and ``cpt report`` write the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.files import private_dir, write_atomic
from engine.recipe.sections import Recipe
from engine.recipe.toml import load_recipe
from engine.report import charts
from engine.report.appendix import appendix
from engine.report.front_page import front
from engine.report.html import page
from engine.runs.log_times import LogTimes, history
from engine.runs.run import Run
from engine.thresholds import effective

CHARTS = "charts"
"""Folder of the run that holds the pictures which ``report.md`` shows."""


def html_path(run: Run) -> Path:
    return run.path / "report.html"


def write_report(run: Run, recipe: Recipe, made: dict[str, Any]) -> Path:
    """Write ``report.md``, its charts and ``report.html`` from the stages' artifacts.

    Returns the path of ``report.md``.
    """
    log = history(run)
    drawn = draw(recipe, made, log)
    shown = {name: f"![{told}]({CHARTS}/{name}.svg)" for name, (told, _) in drawn.items()}
    text = front(run, recipe, made, log, shown) + "\n" + appendix(run, recipe, made, shown)
    if drawn:
        private_dir(run.path / CHARTS)
    for name, (_, svg) in drawn.items():
        write_atomic(run.path / CHARTS / f"{name}.svg", svg)
    pictures = {f"{CHARTS}/{name}.svg": svg for name, (_, svg) in drawn.items()}
    write_atomic(html_path(run), page(text, pictures))
    write_atomic(run.report_path, text)
    return run.report_path


def rewrite(run: Run) -> Path:
    """``write_report`` from what the run's folder holds. InputError for an unreadable recipe."""
    return write_report(run, load_recipe(run.recipe_path)[0], run.artifacts())


def draw(recipe: Recipe, made: dict[str, Any], log: LogTimes) -> dict[str, tuple[str, str]]:
    """Every chart that there is data for: its name, what it shows, and the SVG."""
    drawn: dict[str, tuple[str, str]] = {}
    if gate := made.get("gate"):
        values = (gate["estimate"], gate["low"], gate["high"], gate["margin"])
        level = 1 - recipe.gate.alpha
        drawn["interval"] = ("CPT minus base, its interval", charts.interval(*values, level))
        seeds = _seeds(recipe, gate)
        told = "Score of both arms, by seed"
        drawn["seeds"] = (told, charts.pairs(seeds, gate["base_scores"], gate["cpt_scores"]))
    if len(log.domain) > 1 and len(log.generic) > 1:
        drawn["losses"] = ("Held-out loss by step", charts.losses(log.domain, log.generic))
        limits = effective(recipe.probe.thresholds)
        edges = (limits["forgetting_green"], limits["forgetting_amber"])
        told = "Generic loss since the start, in the guard's bands"
        drawn["forgetting"] = (told, charts.forgetting(log.generic, *edges))
    return drawn


def _seeds(recipe: Recipe, gate: dict[str, Any]) -> list[int]:
    """The gate's seeds; their numbers in order where the recipe names others."""
    count = len(gate["base_scores"])
    return recipe.gate.seeds if len(recipe.gate.seeds) == count else list(range(count))
