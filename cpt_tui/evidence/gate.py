"""The gate's files: what they can show, and what of them stands in the corpus."""

from __future__ import annotations

from typing import Any

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Found, Limits
from cpt_tui.safe import clean_line
from engine.summary.findings import dig


def draw(page: Page, found: Found, limits: Limits, width: int) -> None:
    """MDE beside the plausible gain, the files in numbers, contamination."""
    gate = found.get("gate")
    if gate:
        page.heading("Could the gate answer? Points of its metric")
        _detectable(page, gate, width)
        page.pair("gold items", f"{gate['gold_items']:,}, {gate['metric']}, {gate['seeds']} seeds")
        page.pair("SFT examples", f"{gate['sft_examples']:,}")
        page.pair("constant guess", f"{gate['majority_rate']:.0%} of the answers are the same")
        if gate["overlap_items"]:
            page.pair("in the SFT data", f"{gate['overlap_items']:,} gold prompts", "yellow")
    _contamination(page, gate or {}, dig(found, "scan", "contamination"), limits, width)


def _detectable(page: Page, gate: dict[str, Any], width: int) -> None:
    """The smallest effect it can see and the gain hoped for, as two bars."""
    mde, hoped = gate["mde"], gate["plausible_gain"]
    for label, value in (("MDE", mde), ("plausible gain", hoped)):
        page.put(f"{label:<18}", "dim")
        page.draw(bar(value, max(mde, hoped), min(40, width - 40)))
        page.add(f" {value:.1f} points", "bold")
    if mde <= hoped:
        page.add("What it can see (80% power) is below the gain hoped for.", "green")
    else:
        page.add("It cannot see the gain hoped for: more items or seeds.", "bold yellow")


def _contamination(
    page: Page,
    gate: dict[str, Any],
    overlap: dict[str, Any] | None,
    limits: Limits,
    width: int,
) -> None:
    """Gold items and held-out documents that the corpus also holds."""
    if not gate and not overlap:
        return
    page.heading("Contamination, by 13 words in a row")
    share = gate.get("contaminated_share")
    numbers = list(gate.get("contaminated_items") or (overlap or {}).get("gold_in_corpus") or [])
    if share is not None:
        style = "bold yellow" if share > limits["contamination"] else "green"
        page.put(f"{'gold and corpus':<18}", "dim").put(f"{share:.1%} of gold items", style)
        page.add(f" (noted above {limits['contamination']:.1%})", "dim")
    if numbers:
        more = f" and {len(numbers) - 12} more" if len(numbers) > 12 else ""
        listed = ", ".join(str(number + 1) for number in numbers[:12])
        page.item("items", f"{listed}{more}; the verdict is also given without them", width, "", 18)
    common, short = len((overlap or {}).get("gold_common") or []), (overlap or {}).get("gold_short")
    if common:
        page.pair("common wording", f"{common:,} items in words of many documents", "dim")
    if short:
        page.pair("too short", f"{short:,} items, not looked for", "dim")
    if overlap and overlap.get("heldout_documents"):
        held, leaked = overlap["heldout_documents"], overlap["heldout_in_train"]
        page.pair("held-out and rest", f"{leaked:,} of {held:,} held-out documents")
    for example in ((overlap or {}).get("examples") or [])[:3]:
        page.quote(f'"{clean_line(example, 140)}"', width)
