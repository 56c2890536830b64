"""The gate's files: what they can show, and what of them stands in the corpus."""

from __future__ import annotations

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.artifacts.gate import GateFiles
from engine.artifacts.scan import Contamination


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """MDE beside the plausible gain, the files in numbers, contamination."""
    gate = found.gate
    if gate:
        page.heading("Could the gate answer? Points of its metric")
        _detectable(page, gate, width)
        page.pair("gold items", f"{gate.gold_items:,}, {gate.metric}, {gate.seeds} seeds")
        page.pair("SFT examples", f"{gate.sft_examples:,}")
        page.pair("constant guess", f"{gate.majority_rate:.0%} of the answers are the same")
        if gate.overlap_items:
            page.pair("in the SFT data", f"{gate.overlap_items:,} gold prompts", "yellow")
    overlap = found.scan.contamination if found.scan else None
    _contamination(page, gate, overlap, limits, width)


def _detectable(page: Page, gate: GateFiles, width: int) -> None:
    """The smallest effect it can see and the gain hoped for, as two bars."""
    mde, hoped = gate.mde, gate.plausible_gain
    for label, value in (("MDE", mde), ("plausible gain", hoped)):
        page.put(f"{label:<18}", "dim")
        page.draw(bar(value, max(mde, hoped), min(40, width - 40)))
        page.add(f" {value:.1f} points", "bold")
    if mde <= hoped:
        page.add("What it can see (80% power) is below the gain hoped for.", "green")
    else:
        page.add("It cannot see the gain hoped for: more items or seeds.", "bold yellow")


def _contamination(
    page: Page, gate: GateFiles | None, overlap: Contamination | None, limits: Limits, width: int
) -> None:
    """Gold items and held-out documents that the corpus also holds."""
    if gate is None and overlap is None:
        return
    page.heading("Contamination, by 13 words in a row")
    if gate is not None:
        most, share = limits["contamination"], gate.contaminated_share
        style = "bold yellow" if share > most else "green"
        page.put(f"{'gold and corpus':<18}", "dim").put(f"{share:.1%} of gold items", style)
        page.add(f" (noted above {most:.1%})", "dim")
    numbers = gate.contaminated_items if gate else []
    _listed(page, numbers or (overlap.gold_in_corpus if overlap else []), width)
    if overlap is not None:
        _overlap(page, overlap, width)


def _listed(page: Page, numbers: list[int], width: int) -> None:
    """The first of the gold items that stand in the corpus."""
    if numbers:
        more = f" and {len(numbers) - 12} more" if len(numbers) > 12 else ""
        listed = ", ".join(str(number + 1) for number in numbers[:12])
        page.item("items", f"{listed}{more}; the verdict is also given without them", width, "", 18)


def _overlap(page: Page, overlap: Contamination, width: int) -> None:
    """What else the search found: common wording, short items, held-out documents, examples."""
    if common := len(overlap.gold_common):
        page.pair("common wording", f"{common:,} items in words of many documents", "dim")
    if overlap.gold_short:
        page.pair("too short", f"{overlap.gold_short:,} items, not looked for", "dim")
    if overlap.heldout_documents:
        held, leaked = overlap.heldout_documents, overlap.heldout_in_train
        page.pair("held-out and rest", f"{leaked:,} of {held:,} held-out documents")
    for example in overlap.examples[:3]:
        page.quote(f'"{clean_line(example, 140)}"', width)
