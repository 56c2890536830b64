"""Shape: the kinds of data found in the corpus, each with its share, certainty and samples."""

from __future__ import annotations

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.artifacts.scan import Shape, ShapePart, SideScan
from engine.formatting import format_count

SAMPLE = 160


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """Parts by falling share; a run that knew no parts shows its one kind."""
    if found.scan is None:
        return
    shape = found.scan.shape
    page.heading("What kind of data it is, by a sample of the corpus")
    for part in shape.parts or [_only(shape)]:
        _part(page, part, width)
    page.item("why", clean_line(shape.why, 300), width, "dim", at=7)
    _reading(page, found.scan.domain, width)


def _only(shape: Shape) -> ShapePart:
    """The one kind of an older run as a part."""
    return ShapePart(
        kind=shape.kind, share=1.0, confidence=shape.confidence, samples=shape.examples
    )


def _part(page: Page, part: ShapePart, width: int) -> None:
    name = clean_line(part.kind.replace("_", " "), 18)
    page.put(f"{name:<18}", "bold").draw(bar(part.share, 1.0, max(4, min(24, width - 52))))
    page.put(f" {part.share:>6.1%} of bytes", "bold")
    page.add(f", confidence {part.confidence:.2f}", "dim")
    for sample in part.samples[:2]:
        page.quote(f'"{clean_line(sample, SAMPLE)}"', width)


def _reading(page: Page, domain: SideScan, width: int) -> None:
    """How the bytes were read: column, encodings, what looks wrongly decoded."""
    if domain.text_column:
        page.item("column", clean_line(domain.text_column, 80), width, "dim", at=12)
    if domain.encodings:
        by_files = sorted(domain.encodings.items(), key=lambda kv: -kv[1])
        named = ", ".join(f"{clean_line(name, 20)} {files:,}" for name, files in by_files[:6])
        page.item("encodings", f"{named} (files)", width, "dim", at=12)
    if domain.mojibake_documents:
        hurt = format_count(domain.mojibake_documents)
        way = "corpus.repair_mojibake = true in the recipe repairs them"
        page.item("mojibake", f"{hurt} documents look wrongly decoded; {way}", width, "yellow", 12)
