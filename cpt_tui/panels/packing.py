"""Panel 2: the ledger that balances to the token, and seams as the model will see them."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.panels.panel import Panel
from cpt_tui.safe import clean_line
from engine.formatting import format_count
from engine.runs.view import RunView
from engine.summary.log_lines import progress_words

SUMS = (
    (
        "documents",
        "documents in",
        ("exact duplicates dropped", "held out", "left out by the token cap", "packed documents"),
    ),
    ("tokens", "domain tokens packed", ("text tokens", "EOS tokens", "BOS tokens")),
)
"""Each total of the ledger and the lines that must add up to it."""


class PackingPanel(Panel):
    """What went into the rows, and that nothing was lost."""

    def written(self, view: RunView, width: int) -> Text:
        page = Page()
        found = view.evidence("pack")
        if not found:
            page.add("Packing: not done yet.", "bold")
            if progress := view.stages["pack"].progress:
                page.add(progress_words(progress))
            page.add("Documents are separated by EOS and packed into full rows; nothing is")
            page.add("truncated, and no document can see its neighbour.")
            return page.text
        head(page, found, width)
        ledger(page, found.get("ledger") or {})
        seams(page, found.get("seams") or [])
        return page.text


def head(page: Page, found: dict[str, Any], width: int) -> None:
    """Rows, tokens and the share of generic text."""
    rows, length = found.get("rows", 0), found.get("sequence_length", 0)
    page.add(f"{rows:,} rows of {length:,} tokens", "bold")
    page.add(f"{rows * length:,} places, {format_count(found.get('tokens'))} real tokens in them")
    mix = float(found.get("achieved_mix") or 0)
    page.put("mix-back ").draw(bar(mix, 1.0, min(30, width - 40)), "dim")
    page.add(f" {100 * mix:.2f}% of tokens are generic", "bold")


def ledger(page: Page, table: dict[str, int]) -> None:
    """Every line of the ledger, sums with their proof."""
    page.heading("Ledger")
    shown: set[str] = set()
    for noun, total, parts in SUMS:
        if total not in table or not any(part in table for part in parts):
            continue
        page.put(f"  {total:<28}").add(f"{table[total]:>16,}", "bold")
        for part in (p for p in parts if p in table):
            page.put(f"    {part:<26}", "dim").add(f"{table[part]:>16,}")
        _proof(page, noun, table[total], sum(table.get(part, 0) for part in parts))
        shown |= {total, *parts}
    for key, value in table.items():
        if key not in shown:
            page.put(f"  {clean_line(key, 28):<28}").add(f"{value:>16,}")


def _proof(page: Page, noun: str, total: int, parts: int) -> None:
    if total == parts:
        page.put(f"    {'balances':<26}", "green").add(f"{'to the ' + noun[:-1]:>16}", "green")
    else:
        page.put(f"    {'DOES NOT BALANCE':<26}", "bold red").add(
            f"{total - parts:>+16,}", "bold red"
        )


def seams(page: Page, found: list[str]) -> None:
    """Borders between documents, decoded."""
    if not found:
        return
    page.heading("Seams: the end of one document | the next one's start")
    for seam in found[:12]:
        page.put("  ").add(clean_line(seam, 300))
