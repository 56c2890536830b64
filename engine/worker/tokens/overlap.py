"""A side's token store and its overlap with the gold set, each read from the cache or made.

Both come out of one pass over the text. A gold set that is new to a store already built costs
one more reading, without tokenising.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.corpus.corpus import Corpus
from engine.files import digest, write_json
from engine.gold.example import Example
from engine.quality.contamination import Overlap, Overlapped
from engine.quality.shingles import words_of
from engine.worker.job.context import Context
from engine.worker.tokens.batches import Reading
from engine.worker.tokens.build import build_store, store_folder
from engine.worker.tokens.store import TokenStore

OVERLAP_VERSION = 1


def open_store(
    context: Context, corpus: Corpus, tokenizer: Any, label: str, gold: Sequence[Example]
) -> tuple[TokenStore, Overlapped | None]:
    """The token store of a corpus and what it holds of the gold items (None without any)."""
    folder = store_folder(corpus, tokenizer)
    kept = folder / f"overlap-{_identity(gold)}.json"
    overlap = Overlap(gold) if gold and not kept.is_file() else None
    if (folder / "meta.json").is_file():
        store = TokenStore(folder)
        if overlap:
            _reread(context, corpus, overlap, f"comparing the {label} with the gold set")
    else:
        store = build_store(context, corpus, tokenizer, folder, label, overlap)
    if overlap:
        write_json(kept, asdict(overlap.found()))
    return store, _load(kept) if gold else None


def _identity(gold: Sequence[Example]) -> str:
    return digest([OVERLAP_VERSION, *((item.prompt, item.completion) for item in gold)])[:32]


def _load(path: Path) -> Overlapped:
    return Overlapped(**json.loads(path.read_text()))


def _reread(context: Context, corpus: Corpus, overlap: Overlap, label: str) -> None:
    for batch in Reading(corpus).batches():
        overlap.feed(words_of(batch.texts))
        ledger = corpus.ledger
        context.progress(label, ledger.bytes_read, ledger.bytes_total, "bytes")
