"""The text of an interview page: the rule, what was found, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from string import Formatter

from rich.text import Text

from cpt_tui.drawing.page import Page
from cpt_tui.evidence import cost
from cpt_tui.evidence import terms as term_page
from cpt_tui.evidence.drawer import Limits
from cpt_tui.evidence.drawings import BY_NODE
from cpt_tui.interview.questions import Question
from cpt_tui.panels.evidence import moved
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence, Step, Verdict
from engine.summary.findings import unanswered
from engine.thresholds import THRESHOLDS

WORDS = {"go": "ok", "note": "noted", "not_yet": "NOT YET", "no_go": "NO-GO", "open": "open"}
STYLES = {"go": "green", "note": "", "not_yet": "bold yellow", "no_go": "bold red", "open": "dim"}


@dataclass(frozen=True)
class Scene:
    """What a page is drawn from besides its question."""

    found: Evidence
    limits: Limits
    width: int
    moved: Limits = field(default_factory=dict)
    """Thresholds that the recipe moved."""
    marks: dict[str, str] = field(default_factory=dict)
    """The user's mark for each term."""
    term: int = 0
    side_by_side: bool = False
    unreadable: str = ""
    """What of the measurements cannot be read."""


def question_text(question: Question, number: str, step: Step | None, scene: Scene) -> Text:
    """The page: question, finding, the rule with its numbers, evidence, source."""
    page = Page()
    page.put(f"{number}  ", "dim").put(question.title, "bold")
    if step is not None:
        page.put(f"  {WORDS.get(step.outcome, step.outcome)}", STYLES.get(step.outcome, ""))
        page.put("  unverified: your word, not a measurement" if step.unverified else "", "yellow")
    page.add()
    if scene.unreadable and (question.node in BY_NODE or question.id == "explain"):
        page.item("Fault", scene.unreadable, scene.width, "bold yellow", at=9)
    if question.id == "explain":
        _terms(page, scene)
    if step is not None:
        page.item("Found", step.answer, scene.width, "dim", at=9)
        if step.instead:
            page.item("Instead", step.instead, scene.width, "dim", at=9)
    page.item("Rule", step.rule if step else question.rule, scene.width, "dim", at=9)
    _moved_here(page, question.node, scene)
    for draw in BY_NODE.get(question.node, ()):
        draw(page, scene.found, scene.limits, scene.width)
    if step is not None and step.source:
        page.add().item("Source", step.source, scene.width, "dim", at=9)
    page.text.rstrip()
    return page.text


def thresholds_of(node_id: str) -> list[str]:
    """The thresholds that a node's rule names."""
    from engine.decision.tree import NODES

    templates = [node.rule_template for node in NODES if node.id == node_id]
    return [name for text in templates for _, name, _, _ in Formatter().parse(text) if name]


def _moved_here(page: Page, node: str, scene: Scene) -> None:
    """Numbers of this rule that are the recipe's, not the default."""
    for name in thresholds_of(node):
        if name in scene.moved:
            default = THRESHOLDS[name].value
            text = f"{name} = {scene.moved[name]:g} by this recipe; the default is {default:g}"
            page.item("Moved", text, scene.width, "bold yellow", at=9)


def _terms(page: Page, scene: Scene) -> None:
    terms = scene.found.explanations
    width, beside = scene.width, scene.side_by_side
    term_page.draw_one(page, terms, scene.term, scene.marks, width, beside)
    if terms:
        page.add()


def verdict_text(verdict: Verdict, scene: Scene) -> Text:
    """The last page: outcome, reasons, what to do instead, the price."""
    page, width = Page(), scene.width
    page.put("Verdict  ", "dim").state(verdict.outcome).add()
    page.item("", verdict.sentence, width, at=9)
    if verdict.instead:
        page.item("Instead", verdict.instead, width, "bold", at=9)
    if scene.unreadable:
        page.item("Fault", scene.unreadable, width, "bold yellow", at=9)
    moved(page, verdict.thresholds_overridden)
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
    if nodes := unanswered(verdict.path):
        page.heading("Not answered")
        page.quote(", ".join(nodes), width)
    cost.draw(page, scene.found, scene.limits, width)
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


def trail_strip(items: list[tuple[str, str, str]], current: str, width: int) -> Text:
    """The path on a few lines, for narrow terminals: ``?`` open, ``ok`` for it, bare noted."""
    text, used = Text(), 0
    for name, word, style in _without_setup(items, current):
        known = word in WORDS.values() or name == "verdict"
        sign = {"open": "?", "": "?", "noted": ""}.get(word, word) if known or not word else "ok"
        name_shown, sign = SHORT.get(name, name), f" {sign}" if sign else ""
        length = len(name_shown) + len(sign)
        if used and used + 2 + length > width:
            text.append("\n")
            used = 0
        text.append("  " if used else "")
        text.append(name_shown, "bold reverse" if name == current else "")
        text.append(sign, style)
        used += length + (2 if used else 0)
    return text


SHORT = {"vocabulary": "vocab"}
SETUP_PAGES = ("model", "corpus", "generic", "gold", "sft")


def _without_setup(items: list[tuple[str, str, str]], current: str) -> list[tuple[str, str, str]]:
    """The first five pages as one word, once they are answered and left behind."""
    setup = [item for item in items if item[0] in SETUP_PAGES]
    if current in SETUP_PAGES or not all(word for _, word, _ in setup):
        return items
    return [("setup", "ok", "green"), *(item for item in items if item not in setup)]


def trail_rail(items: list[tuple[str, str, str]], current: str, width: int) -> Text:
    """The path down the left edge, for wide terminals."""
    page = Page()
    page.add("The path", "bold")
    for number, (name, word, style) in enumerate(items, 1):
        page.put(f"{number:>2} ", "dim")
        page.put(f"{name:<11}", "bold reverse" if name == current else "")
        page.add(" " + clean_line(word or "-", width - 16), style)
    return page.text
