"""Quality: near-duplicates, boilerplate, repetition, odd words, languages."""

from __future__ import annotations

from typing import Any

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Found, Limits
from cpt_tui.safe import clean_line
from engine.summary.findings import dig

SHOWN_PAIRS = 3
SHOWN_LINES = 3


def draw(page: Page, found: Found, limits: Limits, width: int) -> None:
    """The block of one side's quality; nothing where it was not measured."""
    quality, source = dig(found, "scan", "domain", "quality"), _source(found)
    if not quality:
        return
    page.heading("What the text is like")
    _near(page, quality, limits, width, source)
    _lines(page, quality, width)
    _shares(page, quality, dig(found, "scan", "generic", "quality") or {}, width)
    languages = [f"{clean_line(x['name'], 16)} {x['share']:.0%}" for x in quality["languages"][:5]]
    if languages:
        page.item("languages", ", ".join(languages), width, "dim", at=18)
    for note in quality.get("notes") or []:
        page.item("by a sample", clean_line(note, 200), width, "dim", at=18)


def draw_copies(page: Page, found: Found, limits: Limits, width: int) -> None:
    """Only the duplicates: is anything said more than once, and is it said differently?"""
    quality = dig(found, "scan", "domain", "quality")
    if quality:
        page.heading("Duplicates: the same wording again is no second wording")
        _near(page, quality, limits, width, _source(found))


def draw_odd(page: Page, found: Found, limits: Limits, width: int) -> None:
    """Words that are none, against their thresholds: what the shape's rule looks at."""
    quality = dig(found, "scan", "domain", "quality")
    if not quality:
        return
    share, most = quality["odd_words_share"], limits["odd_most"]
    style = "bold red" if share >= most else "yellow" if share >= limits["odd_words"] else "bold"
    page.put("odd words   ", "dim").put(f"{share:.1%}", style)
    page.add(f", noted from {limits['odd_words']:.0%}, NOT YET from {most:.0%}", "dim")


def _source(found: Found) -> str:
    return str(dig(found, "scan", "domain", "source") or "")


def _origin(origin: object, source: str, limit: int = 40) -> str:
    """A document's place below the corpus; of a long one the end, which tells files apart."""
    name = clean_line(str(origin).removeprefix(source).lstrip("/") or str(origin), 400)
    return name if len(name) <= limit else f"...{name[3 - limit :]}"


def _near(page: Page, quality: dict[str, Any], limits: Limits, width: int, source: str) -> None:
    dropped, documents = quality["near_duplicate_documents"], quality["documents"]
    share = dropped / max(1, documents)
    style = "bold yellow" if share >= limits["near_duplicates"] else ""
    page.put("near-duplicates   ", "dim").draw(bar(share, 1.0, max(4, min(20, width - 52))))
    page.put(f" {share:.1%} of documents", style)
    page.add(f" ({dropped:,} of {documents:,})", "dim")
    for pair in (quality.get("near_pairs") or [])[:SHOWN_PAIRS]:
        names = f"{_origin(pair['dropped'], source)} like {_origin(pair['kept'], source)}"
        page.quote(f'{pair["similarity"]:.2f}  {names}: "{clean_line(pair["text"], 90)}"', width)
    for example in (quality.get("exact_examples") or [])[:SHOWN_PAIRS]:
        first, repeats, other = str(example).partition(" repeats ")
        both = f"{_origin(first, source)}{repeats}{_origin(other, source) if other else ''}"
        page.quote(f"same  {both}", width)


def _lines(page: Page, quality: dict[str, Any], width: int) -> None:
    """Lines that many documents share."""
    share = quality["boilerplate_share"]
    page.put("boilerplate       ", "dim").draw(bar(share, 1.0, max(4, min(20, width - 52))))
    page.add(f" {share:.1%} of bytes in shared lines")
    for line in (quality.get("boilerplate") or [])[:SHOWN_LINES]:
        page.quote(f'{line["documents"]:,}x  "{clean_line(line["text"], 110)}"', width)


def _shares(page: Page, quality: dict[str, Any], generic: dict[str, Any], width: int) -> None:
    """Numbers of one line, beside the generic side's where it was measured."""
    rows = (
        ("gzip ratio", "gzip_ratio", "{:.2f}", "English about 0.4; less repeats"),
        ("odd words", "odd_words_share", "{:.1%}", "like no word (OCR, hashes)"),
        ("odd characters", "odd_characters_share", "{:.2%}", "no letters, signs or spaces"),
    )
    for label, key, shape, meaning in rows:
        page.put(f"{label:<18}", "dim").put(f"{shape.format(quality[key]):>6}", "bold")
        if key in generic:
            page.put(f"  generic {shape.format(generic[key]):>6}")
            page.add(f"  {meaning}" if width > 76 else "", "dim")
        else:
            page.add(f"  {meaning}", "dim")
