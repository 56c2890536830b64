"""Panel 2: the ledger that balances to the token, and seams as the model will see them."""

from __future__ import annotations

from rich.text import Text

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.panels.panel import Panel, put_unreadable
from cpt_tui.safe import clean_line
from engine.artifacts.training import PackArtifact, PackingLedger
from engine.formatting import format_count
from engine.runs.view import RunView
from engine.summary.log_lines import progress_words

SUMS = (
    (
        "document",
        "documents_in",
        (
            "exact_duplicates",
            "near_duplicates",
            "held_out",
            "capped_documents",
            "packed_documents",
        ),
    ),
    ("token", "domain_tokens", ("text_tokens", "eos_tokens", "bos_tokens")),
)
"""Each total of the ledger and the fields that must add up to it."""


class PackingPanel(Panel):
    """What went into the rows, and that nothing was lost."""

    def written(self, view: RunView, width: int) -> Text:
        page = Page()
        found = view.made.pack
        put_unreadable(page, view.made, ("pack",), width)
        if found is None:
            if "pack" in view.made.unreadable:
                return page.text
            page.add("Packing: not done yet.", "bold")
            if progress := view.stages["pack"].progress:
                page.add(progress_words(progress, view.at_work))
            page.add("Documents are separated by EOS and packed into full rows; nothing is")
            page.add("truncated, and no document can see its neighbour.")
            return page.text
        head(page, found, width)
        ledger(page, found.ledger)
        seams(page, found.seams)
        return page.text


def head(page: Page, found: PackArtifact, width: int) -> None:
    """Rows, tokens and the share of generic text."""
    rows, length, mix = found.rows, found.sequence_length, found.achieved_mix
    page.add(f"{rows:,} rows of {length:,} tokens", "bold")
    page.add(f"{rows * length:,} places, {format_count(found.tokens)} real tokens in them")
    page.put("mix-back ").draw(bar(mix, 1.0, min(30, width - 40)), "dim")
    page.add(f" {100 * mix:.2f}% of tokens are generic", "bold")


def ledger(page: Page, table: PackingLedger) -> None:
    """Every line of the ledger, sums with their proof."""
    page.heading("Ledger")
    left = table.entries()
    for noun, total, parts in SUMS:
        if total not in left or not any(part in left for part in parts):
            continue
        words, whole = left.pop(total)
        page.put(f"  {words:<28}").add(f"{whole:>16,}", "bold")
        addends = [left.pop(part) for part in parts if part in left]
        for words, number in addends:
            page.put(f"    {words:<26}", "dim").add(f"{number:>16,}")
        _proof(page, noun, whole, sum(number for _, number in addends))
    for words, number in left.values():
        page.put(f"  {words:<28}").add(f"{number:>16,}")


def _proof(page: Page, noun: str, total: int, parts: int) -> None:
    if total == parts:
        page.put(f"    {'balances':<26}", "green").add(f"{'to the ' + noun:>16}", "green")
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
