"""Terms: what the base writes about a surprising term, beside what the corpus says of it."""

from __future__ import annotations

import re

from cpt_tui.drawing.page import Page, column_width, wrapped
from cpt_tui.evidence.drawer import Limits
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.artifacts.probe import Continuation

BASE_HEAD = "The base goes on (model output)"
CORPUS_HEAD = "Your corpus says"
PASSAGES = 3
LONGEST = 400
MARK_WORDS = {"passable": "passable", "not_passable": "not passable"}
MARK_STYLES = {"passable": "bold red", "not_passable": "bold green"}
"""Red speaks against training: a base that explains the terms knows the domain."""


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """All of them in short, for the evidence panel."""
    terms = found.explanations
    if terms:
        page.heading("What the base writes about your terms (model output)")
    for item in terms[:6]:
        page.quote(f'{clean_line(item.prompt, 60)}: "{clean_line(item.text, 240)}"', width)
        for passage in item.passages[:1]:
            page.item("    corpus:", clean_line(passage, 160), width, "dim", at=12)


def draw_one(
    page: Page,
    terms: list[Continuation],
    at: int,
    marks: dict[str, str],
    width: int,
    side_by_side: bool,
) -> None:
    """One term: the base's continuation and the corpus's passages; every term's mark."""
    if not terms:
        return
    item = terms[at % len(terms)]
    mark = marks.get(item.term.strip(), "")
    page.heading(f"Term {at % len(terms) + 1} of {len(terms)}: {clean_line(item.term, 40)}")
    page.text.right_crop(1)
    page.put(f"  {MARK_WORDS.get(mark, 'not marked')}", MARK_STYLES.get(mark, "dim"))
    page.add("   t next, T before" if len(terms) > 1 else "", "dim")
    said = f'{clean_line(item.prompt, 80)}: "{clean_line(item.text, LONGEST)}"'
    passages = [clean_line(p, LONGEST) for p in item.passages[:PASSAGES]]
    if side_by_side:
        _beside(page, said, passages, width)
    else:
        page.add(BASE_HEAD)
        page.quote(said, width, limit=2 * LONGEST)
        page.add(CORPUS_HEAD)
        for passage in passages or ["(no passage was kept in this run)"]:
            page.quote(f"- {passage}", width, limit=2 * LONGEST)
    page.add()
    for i, other in enumerate(terms):
        mark = marks.get(other.term.strip(), "")
        page.put("> " if i == at % len(terms) else "  ", "bold")
        page.put(f"{clean_line(other.term, 28):<30}", "bold" if i == at % len(terms) else "dim")
        page.add(MARK_WORDS.get(mark, "not marked"), MARK_STYLES.get(mark, "dim"))
    if term := clean_line(item.term, 40):
        page.text.highlight_regex("(?i)" + re.escape(term), "bold")


def _beside(page: Page, said: str, passages: list[str], width: int) -> None:
    room = column_width(width)
    left = [BASE_HEAD, *wrapped(said, room)]
    right = [CORPUS_HEAD]
    for passage in passages or ["(no passage was kept in this run)"]:
        right += wrapped(f"- {passage}", room)
    page.beside(left, right, width)
