"""The text of an interview page: the rule, what was found, and the evidence for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.text import Text

from cpt_tui.pages import Question
from cpt_tui.safe import clean_line
from cpt_tui.widgets import evidence_panel as shown
from cpt_tui.widgets.page import Page
from engine.evidence import Step, Verdict
from engine.view import RunView

Drawer = Callable[[Page, dict[str, Any], RunView, int], None]
WORDS = {"go": "ok", "note": "noted", "not_yet": "NOT YET", "no_go": "NO-GO", "open": "open"}
STYLES = {"go": "green", "note": "", "not_yet": "bold yellow", "no_go": "bold red", "open": "dim"}

DRAWERS: dict[str, Drawer] = {
    "shape": lambda page, found, view, width: shown.size(page, found, view.limits, width),
    "size": lambda page, found, view, width: shown.size(page, found, view.limits, width),
    "surprise": lambda page, found, view, width: shown.losses(page, found, width),
    "fertility": lambda page, found, view, width: shown.fertility(page, found, view.limits, width),
    "explain": lambda page, found, view, width: shown.explanations(page, found),
    "gate": lambda page, found, view, width: shown.gate_files(page, found),
    "cost": lambda page, found, view, width: shown.cost(page, found),
    "verdict": lambda page, found, view, width: shown.cost(page, found),
}


def question_text(
    question: Question,
    number: str,
    step: Step | None,
    found: dict[str, Any],
    view: RunView,
    width: int,
) -> Text:
    """The page: question, rule, finding with its source, evidence."""
    page = Page()
    page.put(f"{number}  ", "dim").put(question.title, "bold")
    if step is not None:
        page.put(f"  {WORDS.get(step.outcome, step.outcome)}", STYLES.get(step.outcome, ""))
        page.put("  unverified: your word, not a measurement" if step.unverified else "", "yellow")
    page.add()
    rule = step.rule if step else question.rule
    page.item("Rule", rule, width, "dim", at=9)
    if step is not None:
        page.item("Found", step.answer, width, "dim", at=9)
        if step.instead:
            page.item("Instead", step.instead, width, "dim", at=9)
        if step.source:
            page.item("Source", step.source, width, "dim", at=9)
    if drawer := DRAWERS.get(question.id):
        drawer(page, found, view, width)
    page.text.rstrip()
    return page.text


def verdict_text(verdict: Verdict, found: dict[str, Any], view: RunView, width: int) -> Text:
    """The last page: outcome, reasons, what to do instead, the price."""
    page = Page()
    page.put("Verdict  ", "dim").state(verdict.outcome).add()
    page.item("", verdict.sentence, width, at=9)
    if verdict.instead:
        page.item("Instead", verdict.instead, width, "bold", at=9)
    against = [s for s in verdict.path if s.outcome in ("no_go", "not_yet", "open") or s.unverified]
    reasons = [s for s in against if s.node != verdict.deciding_node]
    if reasons:
        page.heading("What else stands against it")
    for step in reasons:
        page.item(
            f"{WORDS[step.outcome]}", f"{step.node}: {step.answer}", width, STYLES[step.outcome], 9
        )
        if step.instead:
            page.item("", f"instead: {step.instead}", width, at=9)
    if verdict.outcome == "GO":
        page.heading("What speaks for it")
        for step in verdict.path:
            if step.outcome == "go":
                page.item("ok", f"{step.node}: {step.answer}", width, "green", 9)
    shown.cost(page, found)
    page.text.rstrip()
    return page.text


def trail_items(
    questions: tuple[Question, ...], answers: dict[str, str], steps: dict[str, Step]
) -> list[tuple[str, str, str]]:
    """Each page with its state: (id, word, style)."""
    items = []
    for question in questions:
        step = steps.get(question.node)
        if step is not None:
            items.append((question.id, WORDS[step.outcome], STYLES[step.outcome]))
        else:
            answer = answers.get(question.id, "")
            items.append((question.id, answer, "green" if answer else "dim"))
    return items


def trail_strip(items: list[tuple[str, str, str]], current: str) -> Text:
    """The path on a few lines, for narrow terminals; open pages without a word."""
    text = Text()
    for name, word, style in items:
        known = word in WORDS.values() or name == "verdict"
        shown_word = "" if word in ("open", "") else f" {word}" if known else " ok"
        text.append(name, "bold reverse" if name == current else "")
        text.append(shown_word, style)
        text.append("  ")
    return text


def trail_rail(items: list[tuple[str, str, str]], current: str, width: int) -> Text:
    """The path down the left edge, for wide terminals."""
    page = Page()
    page.add("The path", "bold")
    for number, (name, word, style) in enumerate(items, 1):
        page.put(f"{number:>2} ", "dim")
        page.put(f"{name:<11}", "bold reverse" if name == current else "")
        page.add(" " + clean_line(word or "-", width - 16), style)
    return page.text
