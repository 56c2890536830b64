"""Where the user's corpus stands among reference corpora under this base.

Scored once for each base and kept; a slow machine scores less of each, or none, and says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine.artifacts.probe import Reference
from engine.corpus.corpus import Corpus
from engine.errors import InputError
from engine.files import digest, home, private_dir, write_json
from engine.recipe.sections import Source
from engine.runs.events import Alarm
from engine.worker.job.context import Context
from engine.worker.measure.reference_texts import VERSION, reference_texts
from engine.worker.scoring.documents import Scorer, with_bos
from engine.worker.tokens.store import encode

TOKENS = 4_000
"""Tokens read of each reference."""
OWN_DOCUMENTS = 50
SECONDS = 60.0
"""A slower machine leaves the references out."""


def score_references(context: Context, scorer: Scorer, seconds_per_token: float) -> list[Reference]:
    """Bits per byte of every reference corpus, from the cache where it was scored before."""
    texts = {**reference_texts(), **_own(context)}
    folder = private_dir(home() / "cache" / "references")
    found, waiting = [], {}
    for name, documents in texts.items():
        path = folder / f"{_key(scorer, name, documents)}.json"
        if (kept := _kept(path)) is not None:
            found.append(kept)
        else:
            waiting[name] = (path, documents)
    expected = len(waiting) * TOKENS * seconds_per_token
    if expected > SECONDS:
        message = f"{len(waiting)} reference corpora not scored: about {expected:,.0f} s here"
        context.emit(Alarm(level="note", stage="probe", message=message))
        return found
    for number, (name, (path, documents)) in enumerate(waiting.items(), 1):
        if (reference := _score(scorer, name, documents)) is not None:
            write_json(path, reference.model_dump())
            found.append(reference)
        context.progress("reference corpora", number, len(waiting), "corpora")
    return sorted(found, key=lambda reference: reference.bits_per_byte)


def percentile(bits_per_byte: float, references: list[Reference]) -> float | None:
    """Share of the references with fewer bits per byte, 0 to 100; None without references."""
    if not references:
        return None
    return 100 * sum(r.bits_per_byte < bits_per_byte for r in references) / len(references)


def _own(context: Context) -> dict[str, list[str]]:
    """The recipe's own references: the first documents of each."""
    made = {}
    for path in context.recipe.probe.references:
        corpus = Corpus(Source(path=path, max_documents=OWN_DOCUMENTS))
        try:
            made[corpus.label] = [document.text for document in corpus.documents()]
        except InputError as error:
            context.emit(
                Alarm(level="amber", stage="probe", message=f"reference left out: {error}")
            )
    return made


def _key(scorer: Scorer, name: str, documents: list[str]) -> str:
    parts = [VERSION, scorer.base.identity, scorer.window, scorer.context, TOKENS]
    return digest([*parts, scorer.precision.name, name, documents])[:32]


def _kept(path: Path) -> Reference | None:
    try:
        return Reference.model_validate(json.loads(path.read_text()))
    except (OSError, ValueError, ValidationError):
        return None


def _score(scorer: Scorer, name: str, documents: list[str]) -> Reference | None:
    """One reference: documents cut to two windows until ``TOKENS`` are read."""
    chosen: list[list[int]] = []
    size = 0
    for ids in encode(scorer.base.tokenizer, documents):
        if size >= TOKENS:
            break
        chosen.append(with_bos(scorer.base, ids[: 2 * scorer.window]))
        size += len(chosen[-1])
    nats, bytes_ = 0.0, 0
    for ids, nll in zip(chosen, scorer.score(chosen), strict=True):
        nats += float(np.nansum(nll))
        bytes_ += scorer.text_bytes(ids, nll)
    if not bytes_:
        return None
    value: Any = nats / np.log(2) / bytes_
    return Reference(name=name, bits_per_byte=round(float(value), 4), documents=len(chosen))
