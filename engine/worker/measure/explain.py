"""Explain-a-term: what the base writes about the most surprising terms, and what the corpus does.

The user reads both and marks; nothing here judges.
"""

from __future__ import annotations

import re

import torch

from engine.artifacts.probe import Continuation, Surprise
from engine.worker.model.base import Base
from engine.worker.model.precision import Precision
from engine.worker.scoring.documents import Scores
from engine.worker.scoring.generate import Call, continuations, nothing

TERMS = 6
PASSAGES = 3
REACH = 110
"""Characters of a passage on each side of the term."""


def explain_terms(
    model: torch.nn.Module,
    base: Base,
    precision: Precision,
    terms: list[Surprise],
    domain: Scores,
    check: Call = nothing,
) -> list[Continuation]:
    """The base's continuation of "TERM is" for each term, beside passages of the corpus."""
    chosen = [term.text for term in terms[:TERMS]]
    prompts = [f"{term[:1].upper()}{term[1:]} is" for term in chosen]
    texts = continuations(model, base, prompts, precision, check)
    found = passages(chosen, domain, base)
    return [
        Continuation(term=term, prompt=prompt, text=text, passages=found[term])
        for term, prompt, text in zip(chosen, prompts, texts, strict=True)
    ]


def passages(terms: list[str], scores: Scores, base: Base) -> dict[str, list[str]]:
    """Up to three passages of the scored documents around each term, one a document."""
    found: dict[str, list[str]] = {term: [] for term in terms}
    patterns = {term: re.compile(rf"\b{re.escape(term)}\b", re.I) for term in terms}
    for ids in scores.ids:
        waiting = [term for term in terms if len(found[term]) < PASSAGES]
        if not waiting:
            break
        text = " ".join(base.tokenizer.decode(ids, skip_special_tokens=True).split())
        for term in waiting:
            if match := patterns[term].search(text):
                found[term].append(_around(text, match.start(), match.end()))
    return found


def _around(text: str, start: int, end: int) -> str:
    """The text around a span, cut at spaces."""
    low, high = max(0, start - REACH), min(len(text), end + REACH)
    if low:
        low = text.find(" ", low, start) + 1 or low
    if high < len(text):
        cut = text.rfind(" ", end, high)
        high = cut if cut > 0 else high
    return ("… " if low else "") + text[low:high] + (" …" if high < len(text) else "")
