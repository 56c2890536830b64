"""What the scan saw of the text's quality, in words, for the rules on shape, size and facts."""

from __future__ import annotations

from engine.decision_case import size
from engine.evidence import Quality, SideScan


def remarks(side: SideScan, limits: dict[str, float]) -> list[str]:
    """What is odd about the text; empty where nothing is."""
    found = side.quality
    said = []
    if found and found.odd_words_share >= limits["odd_words"]:
        said.append(
            f"{found.odd_words_share:.1%} of the words look like OCR noise or hashes (clean text "
            f"stays below {limits['odd_words']:.1%}): the base may be surprised by the noise alone"
        )
    if found and found.odd_characters_share >= limits["odd_characters"]:
        said.append(
            f"{found.odd_characters_share:.1%} of the characters are broken or control characters"
        )
    if found and found.boilerplate_share >= limits["boilerplate"]:
        said.append(f"{found.boilerplate_share:.0%} of the bytes are lines that many share")
    if side.mojibake_documents > limits["mojibake"] * max(1, side.documents):
        said.append(
            f"{side.mojibake_documents:,} documents look wrongly decoded "
            "(corpus.repair_mojibake repairs them)"
        )
    return said


def near_share(found: Quality | None) -> float:
    """Share of the documents that are near-duplicates of another one."""
    return found.near_duplicate_documents / max(1, found.documents) if found else 0.0


def unique(side: SideScan) -> str:
    """``2.1M unique tokens (0.4M in 310 near-duplicates left out)``"""
    text = f"{size(side.effective_tokens)} unique tokens"
    found = side.quality
    if not found or not found.near_duplicate_documents:
        return text
    left = f"{size(found.near_duplicate_tokens)} in {found.near_duplicate_documents:,}"
    return f"{text} ({left} near-duplicates left out)"


def repeats(side: SideScan) -> str:
    """``7 exact duplicates removed, 31% of the rest are near-duplicates``"""
    text = f"{side.duplicate_documents:,} exact duplicates removed"
    if side.quality is None:
        return text
    return f"{text}, {near_share(side.quality):.0%} of the rest are near-duplicates"
