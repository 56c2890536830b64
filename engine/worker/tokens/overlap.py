"""A side's token store and its overlap with the gold set, each read from the cache or made.

Both come out of one pass over the text. A gold set that is new to a store already built costs
one more reading, without tokenising.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.corpus.corpus import Corpus
from engine.corpus.files.seals import discard_folder, find_damage, hold_folder
from engine.files import digest, read_sealed_json, write_sealed_json
from engine.gold.example import Example
from engine.quality.contamination import Overlap, Overlapped
from engine.quality.shingles import words_of
from engine.runs.events import Alarm
from engine.worker.job.context import Context
from engine.worker.tokens.build import build_store, store_folder
from engine.worker.tokens.store import TokenStore
from engine.worker.tokens.unique_documents import Reading

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


OVERLAP_VERSION = 1


def open_store(
    context: Context,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    label: str,
    gold: Sequence[Example],
) -> tuple[TokenStore, Overlapped | None]:
    """The token store of a corpus and what it holds of the gold items (None without any)."""
    folder = store_folder(corpus, tokenizer)
    kept = folder / f"overlap-{_identity(gold)}.json"
    known = _load(kept) if gold else None
    overlap = Overlap(gold) if gold and known is None else None
    if is_whole(context, folder, label):
        store = TokenStore(folder)
        if overlap:
            _reread(context, corpus, overlap, f"comparing the {label} with the gold set")
    else:
        store = build_store(context, corpus, tokenizer, folder, label, overlap)
    if overlap:
        known = overlap.found()
        write_sealed_json(kept, asdict(known))
    return store, known


def is_whole(context: Context, folder: Path, label: str) -> bool:
    """Whether there is a store that can be believed; a damaged one is said and taken away."""
    if not folder.is_dir():
        return False
    hold_folder(folder)
    damage = find_damage(folder)
    if damage:
        message = f"the cached tokens of the {label} are damaged ({damage}): the text is read anew"
        context.emit(Alarm(level="amber", stage=context.stage, message=message))
        discard_folder(folder)
    return not damage


def _identity(gold: Sequence[Example]) -> str:
    return digest([OVERLAP_VERSION, *((item.prompt, item.completion) for item in gold)])[:32]


def _load(path: Path) -> Overlapped | None:
    """What was found of a gold set; None where it is not kept, or not as it was written."""
    found = read_sealed_json(path)
    try:
        return None if found is None else Overlapped(**found)
    except TypeError:
        return None


def _reread(context: Context, corpus: Corpus, overlap: Overlap, label: str) -> None:
    for batch in Reading(corpus).batches():
        overlap.feed(words_of(batch.texts))
        ledger = corpus.ledger
        context.progress(label, ledger.bytes_read, ledger.bytes_total, "bytes")
