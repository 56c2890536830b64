"""Panel 1: what was measured, and the decision with its whole path."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cpt_tui.drawing.page import Page
from cpt_tui.evidence import cost, fertility, gate, quality, shape, size, surprise, terms
from cpt_tui.evidence.drawer import Drawer
from cpt_tui.panels.panel import MALFORMED, Panel
from cpt_tui.safe import clean_line
from engine.runs.view import RunView
from engine.summary.log_lines import progress_words
from engine.thresholds import THRESHOLDS

OUTCOME_WORDS = {
    "go": "speaks for it",
    "note": "noted",
    "not_yet": "NOT YET",
    "no_go": "NO-GO",
    "open": "open",
}
DRAWERS: dict[str, Drawer] = {
    "size": size.draw,
    "shape": shape.draw,
    "quality": quality.draw,
    "surprise": surprise.draw,
    "fertility": fertility.draw,
    "terms": terms.draw,
    "gate": gate.draw,
    "cost": cost.draw,
}
"""The measurements in the order of the interview."""


class EvidencePanel(Panel):
    """Verdict first, then the path, then the numbers."""

    def written(self, view: RunView, width: int) -> Text:
        page = Page()
        decided = view.evidence("decide")
        if decided:
            verdict(page, decided, width)
        else:
            page.add("Decision: not made yet. It needs the scan and the probe.", "dim")
            for name in ("scan", "probe", "decide"):
                progress = view.stages[name].progress
                if progress:
                    page.add(f"{name}: {progress_words(progress)}", "bold")
        measured = {**view.evidence("scan"), **view.evidence("probe")}
        if decided:
            path(page, decided.get("path") or [], width)
        numbers(page, measured, view.limits, width)
        facts(page, view, width)
        return page.text


def verdict(page: Page, decided: dict[str, Any], width: int) -> None:
    """The outcome, its sentence, and what to do instead."""
    outcome = str(decided.get("outcome", "?"))
    page.put("Verdict: ", "bold").state(outcome).add()
    page.quote(decided.get("sentence", ""), width, indent=0, limit=1000)
    if decided.get("instead"):
        page.item("Instead:", clean_line(decided["instead"]), width, "bold", at=9)
    if decided.get("override"):
        page.put("Overridden, because: ", "bold yellow").add(clean_line(decided["override"]))
    moved(page, decided.get("thresholds_overridden") or {})


def moved(page: Page, overridden: dict[str, float]) -> None:
    """Each threshold that the recipe moved, with its default; nothing where none was."""
    for name, value in overridden.items():
        default = THRESHOLDS[name].value if name in THRESHOLDS else float("nan")
        text = f"Threshold moved by the recipe: {name} = {value:g} (default {default:g})"
        page.add(text, "bold yellow")


def path(page: Page, steps: list[dict[str, Any]], width: int) -> None:
    """Every node of the tree with what it found."""
    page.heading("The path taken")
    for step in steps:
        outcome = str(step.get("outcome", "open"))
        word = OUTCOME_WORDS.get(outcome, outcome)
        style = {"go": "green", "not_yet": "bold yellow", "no_go": "bold red"}.get(outcome, "dim")
        page.put(f"{word:<15}", style).add(clean_line(step.get("question", "")), "bold")
        page.item("", clean_line(step.get("answer", ""), 400), width)


def numbers(page: Page, found: dict[str, Any], limits: dict[str, float], width: int) -> None:
    """The measurements, as numbers beside small drawings; a part that is odd is named."""
    for name, draw in DRAWERS.items():
        try:
            draw(page, found, limits, width)
        except MALFORMED as error:
            page.add(f"{name}: this log's evidence cannot be shown ({type(error).__name__})")


def facts(page: Page, view: RunView, width: int) -> None:
    """What is really on, per stage."""
    for stage in view.stages.values():
        if stage.facts:
            page.heading(f"What is on: {stage.name}")
            for key, value in stage.facts.items():
                page.item(clean_line(key, 17), clean_line(value, 300), width, "dim", at=18)
