"""Quality: near-duplicates, boilerplate, repetition, odd words, languages."""

from __future__ import annotations

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.artifacts.scan import Quality

SHOWN_PAIRS = 3
SHOWN_LINES = 3


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """The block of one side's quality; nothing where it was not measured."""
    quality = _quality(found)
    if quality is None:
        return
    page.heading("What the text is like")
    _near(page, quality, limits, width, _source(found))
    _lines(page, quality, width)
    _shares(page, quality, found.scan.generic.quality if found.scan else None, width)
    languages = [f"{clean_line(x.name, 16)} {x.share:.0%}" for x in quality.languages[:5]]
    if languages:
        page.item("languages", ", ".join(languages), width, "dim", at=18)
    for note in quality.notes:
        page.item("by a sample", clean_line(note, 200), width, "dim", at=18)


def draw_copies(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """Only the duplicates: is anything said more than once, and is it said differently?"""
    quality = _quality(found)
    if quality is not None:
        page.heading("Duplicates: the same wording again is no second wording")
        _near(page, quality, limits, width, _source(found))


def draw_odd(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """Words that are none, against their thresholds: what the shape's rule looks at."""
    quality = _quality(found)
    if quality is None:
        return
    share, most = quality.odd_words_share, limits["odd_most"]
    style = "bold red" if share >= most else "yellow" if share >= limits["odd_words"] else "bold"
    page.put("odd words   ", "dim").put(f"{share:.1%}", style)
    page.add(f", noted from {limits['odd_words']:.0%}, NOT YET from {most:.0%}", "dim")


def _quality(found: Evidence) -> Quality | None:
    return found.scan.domain.quality if found.scan else None


def _source(found: Evidence) -> str:
    return found.scan.domain.source if found.scan else ""


def _origin(origin: str, source: str, limit: int = 40) -> str:
    """A document's place below the corpus; of a long one the end, which tells files apart."""
    name = clean_line(origin.removeprefix(source).lstrip("/") or origin, 400)
    return name if len(name) <= limit else f"...{name[3 - limit :]}"


def _near(page: Page, quality: Quality, limits: Limits, width: int, source: str) -> None:
    dropped, documents = quality.near_duplicate_documents, quality.documents
    share = dropped / max(1, documents)
    style = "bold yellow" if share >= limits["near_duplicates"] else ""
    page.put("near-duplicates   ", "dim").draw(bar(share, 1.0, max(4, min(20, width - 52))))
    page.put(f" {share:.1%} of documents", style)
    page.add(f" ({dropped:,} of {documents:,})", "dim")
    for pair in quality.near_pairs[:SHOWN_PAIRS]:
        names = f"{_origin(pair.dropped, source)} like {_origin(pair.kept, source)}"
        page.quote(f'{pair.similarity:.2f}  {names}: "{clean_line(pair.text, 90)}"', width)
    for example in quality.exact_examples[:SHOWN_PAIRS]:
        first, repeats, other = example.partition(" repeats ")
        both = f"{_origin(first, source)}{repeats}{_origin(other, source) if other else ''}"
        page.quote(f"same  {both}", width)


def _lines(page: Page, quality: Quality, width: int) -> None:
    """Lines that many documents share."""
    share = quality.boilerplate_share
    page.put("boilerplate       ", "dim").draw(bar(share, 1.0, max(4, min(20, width - 52))))
    page.add(f" {share:.1%} of bytes in shared lines")
    for line in quality.boilerplate[:SHOWN_LINES]:
        page.quote(f'{line.documents:,}x  "{clean_line(line.text, 110)}"', width)


def _shares(page: Page, quality: Quality, generic: Quality | None, width: int) -> None:
    """Numbers of one line, beside the generic side's where it was measured."""
    theirs = (None, None, None) if generic is None else _numbers(generic)
    for (label, meaning), own, its in zip(SHARES, _numbers(quality), theirs, strict=True):
        page.put(f"{label:<18}", "dim").put(f"{own:>6}", "bold")
        if its is not None:
            page.put(f"  generic {its:>6}")
            page.add(f"  {meaning}" if width > 76 else "", "dim")
        else:
            page.add(f"  {meaning}", "dim")


SHARES = (
    ("gzip ratio", "English about 0.4; less repeats"),
    ("odd words", "like no word (OCR, hashes)"),
    ("odd characters", "no letters, signs or spaces"),
)
"""Names and meanings of ``_numbers``."""


def _numbers(quality: Quality) -> tuple[str, str, str]:
    return (
        f"{quality.gzip_ratio:.2f}",
        f"{quality.odd_words_share:.1%}",
        f"{quality.odd_characters_share:.2%}",
    )
