"""Size: tokens that count, against the thresholds, with everything that was dropped."""

from __future__ import annotations

from cpt_tui.drawing.bars import Mark, log_scale
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from engine.artifacts.decision import Evidence
from engine.artifacts.scan import SideScan
from engine.formatting import format_bytes, format_count, one_line

ZONES = (("tokens_noise", "noise"), ("tokens_small", "too little"), ("tokens_marginal", "marginal"))


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """The corpus on a scale of sizes, what was dropped, and both sides as a table."""
    if found.scan is None:
        return
    domain, generic = found.scan.domain, found.scan.generic
    page.heading("Effective tokens against the thresholds")
    _scale(page, domain, limits, width)
    _dropped(page, domain, width)
    _table(page, domain, generic)
    page.item("generic side", generic.source, width, "dim", at=18)
    for note in domain.notes[:5]:
        page.item("note", one_line(note)[:200], width, "yellow", at=18)


def _scale(page: Page, domain: SideScan, limits: Limits, width: int) -> None:
    """Where the corpus stands, on a logarithmic scale."""
    effective = domain.effective_tokens
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


def _dropped(page: Page, domain: SideScan, width: int) -> None:
    """From what was read to what counts."""
    quality, copies = domain.quality, domain.duplicate_documents
    left_out = format_bytes(domain.duplicate_bytes)
    said = f"{copies:,} documents ({left_out}) left out"
    if domain.copies_kept:
        said = f"{domain.copies_kept:,} documents, kept"
    page.item("exact copies", said, width, "dim", at=18)
    page.pair("tokens", format_count(domain.tokens))
    if quality:
        tokens = quality.near_duplicate_tokens
        share = f"{tokens / max(1, domain.tokens):.1%}"
        counted = f"{quality.near_duplicate_documents:,} documents"
        page.pair("near-duplicates", f"-{format_count(tokens)} tokens ({share}), {counted}")
        if passages := quality.repeated_passages_tokens:
            again = f"{quality.repeated_passages_share:.1%} of passages"
            page.pair("said before", f"-{format_count(passages)} tokens ({again})")
        page.pair("effective tokens", format_count(domain.effective_tokens), "bold")
    else:
        page.pair("near-duplicates", "not looked for in this run", "dim")
    for reason, pieces in sorted(domain.skipped.items(), key=lambda kv: -kv[1]):
        page.item("skipped", f"{pieces:,} for: {one_line(reason)[:160]}", width, "dim", at=18)
    if domain.companions:
        page.item("beside it", ", ".join(domain.companions), width, "dim", at=18)
    if domain.unknown_tokens:
        page.pair("unknown tokens", f"{domain.unknown_share:.2%} of the tokens (<unk>)")
    if domain.skipped_bytes:
        page.pair("skipped in all", format_bytes(domain.skipped_bytes))


def _table(page: Page, domain: SideScan, generic: SideScan) -> None:
    page.add()
    page.add(f"{'':<18}{'domain':>12}{'generic':>12}", "dim")
    columns = zip(SIZES, _sizes(domain), _sizes(generic), strict=True)
    for label, ours, theirs in columns:
        page.put(f"{label:<18}", "dim").add(f"{ours:>12}{theirs:>12}")


SIZES = ("documents", "bytes", "tokens", "held out (tokens)", "median document")


def _sizes(side: SideScan) -> tuple[str, ...]:
    return (
        format_count(side.documents),
        format_bytes(side.bytes),
        format_count(side.tokens),
        format_count(side.heldout_tokens),
        format_count(side.median_tokens),
    )
