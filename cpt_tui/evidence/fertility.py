"""Fertility: what a word costs in tokens, and the words that are split the most."""

from __future__ import annotations

from cpt_tui.drawing.bars import Mark, bar, interval_scale
from cpt_tui.drawing.page import Page, padded
from cpt_tui.evidence.drawer import Limits
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.artifacts.scan import Fertility
from engine.formatting import format_count

SHOWN_TERMS = 12


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """Bars of both sides, the ratio against its thresholds, the worst terms."""
    fertile = found.fertility
    if fertile is None:
        return
    page.heading("Tokens per word, both sides")
    sides = (
        ("domain", fertile.domain_tokens_per_word, fertile.domain_tokens_per_byte),
        ("generic", fertile.generic_tokens_per_word, fertile.generic_tokens_per_byte),
    )
    longest = max(per_word for _, per_word, _ in sides)
    for name, per_word, per_byte in sides:
        page.put(f"{name:<10}", "dim")
        page.draw(bar(per_word, longest, min(40, width - 42)))
        page.put(f" {per_word:.2f}", "bold")
        page.add(f"  {per_byte:.3f} tokens/byte", "dim")
    _ratio(page, fertile.ratio, limits, width)
    _terms(page, fertile, width)


def _ratio(page: Page, ratio: float, limits: Limits, width: int) -> None:
    note, problem = limits["fertility_note"], limits["fertility_problem"]
    marks = [
        Mark(1.0, "1 same"),
        Mark(note, f"{note:g} noted"),
        Mark(problem, f"{problem:g} problem"),
    ]
    line, *names = interval_scale((ratio, ratio, ratio), marks, min(60, width - 12))
    page.put("ratio     ", "dim").put(f"{ratio:.2f}", "bold").add()
    page.put("          ").draw(line).add()
    for row in names:
        page.put("          ").add(row, "dim")


def _terms(page: Page, fertile: Fertility, width: int) -> None:
    """The terms that a token of their own would help most."""
    if not fertile.worst_terms:
        return
    saving = fertile.whole_word_saving
    total = f"; tokens of their own would save {saving:.1%}" if saving else ""
    page.heading(f"Most split terms{total}")
    page.add(f"{'term':<20}{'times':>8}{'saved':>9}  pieces", "dim")
    for term in fertile.worst_terms[:SHOWN_TERMS]:
        page.put(padded(clean_line(term.term, 19), 20))
        saved = format_count(term.saved) if term.saved else "-"
        page.put(f"{term.count:>8,}{saved:>9}  ")
        pieces = " | ".join(clean_line(piece, 20) for piece in term.pieces)
        page.add(clean_line(pieces, max(12, width - 40)), "dim")
