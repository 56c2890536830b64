"""Size: tokens that count, against the thresholds, with everything that was dropped."""

from __future__ import annotations

from typing import Any

from cpt_tui.drawing.bars import Mark, log_scale
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Found, Limits
from engine import formatting
from engine.formatting import format_bytes, format_count
from engine.summary.findings import dig, effective_tokens

ZONES = (("tokens_noise", "noise"), ("tokens_small", "too little"), ("tokens_marginal", "marginal"))


def draw(page: Page, found: Found, limits: Limits, width: int) -> None:
    """The corpus on a scale of sizes, what was dropped, and both sides as a table."""
    domain, generic = dig(found, "scan", "domain"), dig(found, "scan", "generic")
    if not domain or not generic:
        return
    page.heading("Effective tokens against the thresholds")
    _scale(page, domain, limits, width)
    _dropped(page, domain, width)
    _table(page, domain, generic)
    page.item("generic side", generic.get("source", ""), width, "dim", at=18)
    for note in (domain.get("notes") or [])[:5]:
        page.item("note", formatting.one_line(note)[:200], width, "yellow", at=18)


def _scale(page: Page, domain: dict[str, Any], limits: Limits, width: int) -> None:
    """Where the corpus stands, on a logarithmic scale."""
    effective = effective_tokens(domain)
    below = next((zone for name, zone in ZONES if effective < limits[name]), "enough")
    marks = [Mark(limits[name], _round(limits[name])) for name, _ in ZONES]
    pointer, line, *names = log_scale(float(effective), marks, min(72, width - 4))
    label = f" {format_count(effective)}: {below}"
    room = width - 4 - len(pointer)
    at_end = f"{pointer}{label}" if len(label) <= room else f"{label[1:]:>{len(pointer)}}"
    page.put("  ").draw(at_end, "bold").add()
    page.put("  ").draw(line, "dim").add()
    for row in names:
        page.put("  ").add(row, "dim")


def _round(value: float) -> str:
    """``0.2M``, ``850k``."""
    return f"{value / 1e6:g}M" if value >= 1e5 else format_count(value)


def _dropped(page: Page, domain: dict[str, Any], width: int) -> None:
    """From what was read to what counts."""
    quality = domain.get("quality")
    copies = domain.get("duplicate_documents", 0)
    left_out = format_bytes(domain.get("duplicate_bytes"))
    page.item("exact copies", f"{copies:,} documents ({left_out}) left out", width, "dim", at=18)
    page.pair("tokens", format_count(domain["tokens"]))
    if quality:
        tokens = quality["near_duplicate_tokens"]
        share = f"{tokens / max(1, domain['tokens']):.1%}"
        counted = f"{quality['near_duplicate_documents']:,} documents"
        page.pair("near-duplicates", f"-{format_count(tokens)} tokens ({share}), {counted}")
        page.pair("effective tokens", format_count(effective_tokens(domain)), "bold")
    else:
        page.pair("near-duplicates", "not looked for in this run", "dim")
    for reason, pieces in sorted((domain.get("skipped") or {}).items(), key=lambda kv: -kv[1]):
        page.item(
            "skipped", f"{pieces:,} for: {formatting.one_line(reason)[:160]}", width, "dim", at=18
        )
    if domain.get("skipped_bytes"):
        page.pair("skipped in all", format_bytes(domain["skipped_bytes"]))


def _table(page: Page, domain: dict[str, Any], generic: dict[str, Any]) -> None:
    page.add()
    page.add(f"{'':<18}{'domain':>12}{'generic':>12}", "dim")
    for label, key, show in (
        ("documents", "documents", format_count),
        ("bytes", "bytes", format_bytes),
        ("tokens", "tokens", format_count),
        ("held out (tokens)", "heldout_tokens", format_count),
        ("median document", "median_tokens", format_count),
    ):
        page.put(f"{label:<18}", "dim")
        page.add(f"{show(domain.get(key)):>12}{show(generic.get(key)):>12}")
