"""Panel 1: what was measured, and the decision with its whole path."""

from __future__ import annotations

from rich.text import Text

from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from cpt_tui.evidence.drawings import IN_ORDER
from cpt_tui.panels.panel import Panel, put_unreadable
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence, Step, Verdict
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


class EvidencePanel(Panel):
    """Verdict first, then the path, then the numbers."""

    def written(self, view: RunView, width: int) -> Text:
        page, made = Page(), view.made
        if made.decide:
            verdict(page, made.decide, width)
        elif "decide" not in made.unreadable:
            page.add("Decision: not made yet. It needs the scan and the probe.", "dim")
            for name in ("scan", "probe", "decide"):
                progress = view.stages[name].progress
                if progress:
                    page.add(f"{name}: {progress_words(progress, view.at_work)}", "bold")
        put_unreadable(page, made, ("decide", "scan", "probe"), width)
        if made.decide:
            path(page, made.decide.path, width)
        numbers(page, made.evidence, view.limits, width)
        facts(page, view, width)
        return page.text


def verdict(page: Page, decided: Verdict, width: int) -> None:
    """The outcome, its sentence, and what to do instead."""
    page.put("Verdict: ", "bold").state(decided.outcome).add()
    page.quote(decided.sentence, width, indent=0, limit=1000)
    if decided.instead:
        page.item("Instead:", clean_line(decided.instead), width, "bold", at=9)
    if decided.override:
        page.put("Overridden, because: ", "bold yellow").add(clean_line(decided.override))
    moved(page, decided.thresholds_overridden)


def moved(page: Page, overridden: Limits) -> None:
    """Each threshold that the recipe moved, with its default; nothing where none was."""
    for name, value in overridden.items():
        default = THRESHOLDS[name].value if name in THRESHOLDS else float("nan")
        text = f"Threshold moved by the recipe: {name} = {value:g} (default {default:g})"
        page.add(text, "bold yellow")


def path(page: Page, steps: list[Step], width: int) -> None:
    """Every node of the tree with what it found."""
    page.heading("The path taken")
    styles = {"go": "green", "not_yet": "bold yellow", "no_go": "bold red"}
    for step in steps:
        word = OUTCOME_WORDS.get(step.outcome, step.outcome)
        page.put(f"{word:<15}", styles.get(step.outcome, "dim"))
        page.add(clean_line(step.question), "bold")
        page.item("", clean_line(step.answer, 400), width)


def numbers(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """The measurements, as numbers beside small drawings."""
    for draw in IN_ORDER:
        draw(page, found, limits, width)


def facts(page: Page, view: RunView, width: int) -> None:
    """What is really on, per stage."""
    for stage in view.stages.values():
        if stage.facts:
            page.heading(f"What is on: {stage.name}")
            for key, value in stage.facts.items():
                page.item(clean_line(key, 17), clean_line(value, 300), width, "dim", at=18)
