"""Building a token store: one pass that tokenises and looks at the text's quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.artifacts.scan import Quality
from engine.corpus.corpus import Corpus
from engine.corpus.files.seals import build_sealed, hold_folder
from engine.corpus.mixture import open_corpus
from engine.errors import InputError
from engine.files import cache_folder, digest, write_json
from engine.quality.boilerplate import Boilerplate
from engine.quality.contamination import Overlap
from engine.quality.heldout_leaks import Leaks
from engine.quality.near_duplicates import Clusters, Signatures
from engine.quality.shingles import Words, words_of
from engine.quality.special_strings import SpecialStrings
from engine.quality.text_edits import TextEdits
from engine.quality.text_quality import TextQuality
from engine.runs.events import Alarm
from engine.worker.job.context import Context
from engine.worker.tokens import repeats
from engine.worker.tokens.encoder import TextEncoder
from engine.worker.tokens.store import (
    Ints,
    TokenStore,
    split_documents,
    tokenizer_identity,
    without_leaks,
)
from engine.worker.tokens.unique_documents import Batch, Reading

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


STORE_VERSION = 5
MAX_TERMS = 200_000
"""Distinct words counted at most; the rarest are dropped when the table is full."""
TERMS = 5000
"""Most frequent words kept, for the fertility report."""
LOOKED_AT = 4_000_000
"""Characters of one document searched for duplicates and gold items: bounds the memory."""
COMPANIONS = 50
"""Names of files beside the corpus that are kept."""
COLUMNS = ("tokens", "lengths", "nbytes", "hashes", "origins", "sources")

Tick = Callable[[int, int], None]


def store_folder(corpus: Corpus, tokenizer: PreTrainedTokenizerBase) -> Path:
    """Where the store of this text, tokenizer and split is, or will be."""
    identity = tokenizer_identity(tokenizer)
    parts = [STORE_VERSION, corpus.fingerprint(), identity, *corpus.source.handling]
    return cache_folder() / "tokens" / digest(parts)[:32]


def build_store(
    context: Context,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    label: str,
    overlap: Overlap | None = None,
) -> TokenStore:
    """Read the corpus into ``folder``, feeding ``overlap`` on the way.

    Raises InputError if nothing readable was found; Interrupted on a stop.
    """
    with build_sealed(folder) as temporary:
        reading = Reading(corpus, _edits(context, corpus, f"comparing the lines of the {label}"))
        with ExitStack() as stack:
            writer = _Writer(temporary, tokenizer, overlap, stack)
            _read(context, reading, writer, f"reading {label}")
            if writer.encoder.reason:
                _say_slow(context, label, writer.encoder)
            if writer.encoder.is_wrong:
                _encode_again(context, reading, writer, f"tokenising the {label} again")
            if not writer.documents:
                raise InputError(
                    f"{corpus.label}: no readable text was found; give a folder or file with text"
                )
            what = f"comparing the documents of the {label}"
            writer.finish(reading, folder.name, lambda done, of: context.progress(what, done, of))
        if store_folder(open_corpus(corpus.source), tokenizer) != folder:
            raise InputError(
                f"{corpus.label}: changed while it was read; go on with {context.go_on} once it "
                "stays as it is"
            )
    hold_folder(folder)
    return TokenStore(folder)


def _edits(context: Context, corpus: Corpus, label: str) -> TextEdits | None:
    """What the recipe changes in the texts; shared lines take a reading of their own."""
    source = corpus.source
    if not (source.drop_shared_lines or source.mask_contacts):
        return None
    edits = TextEdits(mask=source.mask_contacts)
    if source.drop_shared_lines:
        lines = Boilerplate()
        for batch in Reading(corpus, edits).batches():
            lines.feed(batch.texts)
            context.progress(label, corpus.ledger.bytes_read, corpus.ledger.bytes_total, "bytes")
        edits = TextEdits(lines.shared_keys(), source.mask_contacts)
    return edits


def _read(context: Context, reading: Reading, writer: _Writer, label: str) -> None:
    """All batches; while one is tokenised in a thread, its text is looked at."""
    waiting: tuple[Batch, Future[list[Ints]]] | None = None
    with ThreadPoolExecutor(1) as pool:
        try:
            for batch in reading.batches():
                coming = pool.submit(writer.encode, batch)
                writer.look(batch)
                context.raise_if_stopped()
                if waiting:
                    writer.add(waiting[0], waiting[1].result())
                waiting = batch, coming
                ledger = reading.corpus.ledger
                context.progress(label, ledger.bytes_read, ledger.bytes_total, "bytes")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        if waiting:
            writer.add(waiting[0], waiting[1].result())


def _say_slow(context: Context, label: str, encoder: TextEncoder) -> None:
    """Why the fast way to tokenise was not taken, or left."""
    again = ": the text is tokenised again" if encoder.is_wrong else ""
    message = f"the {label} is tokenised without tiktoken: {encoder.reason}{again}"
    level = "amber" if encoder.is_wrong else "note"
    context.emit(Alarm(level=level, stage=context.stage, message=message))


def _encode_again(context: Context, reading: Reading, writer: _Writer, label: str) -> None:
    """Every document's tokens, by the tokenizer alone, in place of those written."""
    corpus = open_corpus(reading.corpus.source)
    edits = reading.edits and reading.edits.anew()
    writer.forget_tokens()
    for batch in Reading(corpus, edits).batches():
        writer.add_tokens(writer.encode(batch))
        context.progress(label, corpus.ledger.bytes_read, corpus.ledger.bytes_total, "bytes")


class _Writer:
    """Accumulates one store; everything but counters goes straight to disk."""

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase,
        overlap: Overlap | None,
        stack: ExitStack,
    ) -> None:
        self._folder, self._tokenizer, self._overlap = folder, tokenizer, overlap
        self._dtype = "uint16" if len(tokenizer) <= 1 << 16 else "uint32"
        self.encoder = TextEncoder(tokenizer, self._dtype)
        self._files = {
            name: stack.enter_context((folder / f"{name}.bin").open("wb")) for name in COLUMNS
        }
        self._signatures, self._leaks = Signatures(folder), Leaks(folder)
        stack.callback(self._signatures.close)
        stack.callback(self._leaks.close)
        self._quality = TextQuality()
        self._special = SpecialStrings(tokenizer.all_special_tokens)
        self._unknown_id, self._unknown = tokenizer.unk_token_id, 0
        self._names: dict[str, int] = {}
        self._terms: dict[str, int] = {}
        self._words = 0
        self._long = 0
        self.documents = 0

    def encode(self, batch: Batch) -> list[Ints]:
        """Token ids of each document; may run in a thread."""
        return self.encoder.encode(batch.texts, batch.hashes)

    def look(self, batch: Batch) -> None:
        """Everything that needs the text."""
        words = words_of([text[:LOOKED_AT] for text in batch.texts])
        self._long += sum(len(text) > LOOKED_AT for text in batch.texts)
        for text in batch.texts:
            for start in range(LOOKED_AT, len(text), LOOKED_AT):
                self._count(words_of([text[start : start + LOOKED_AT]]))
        self._signatures.feed(words)
        self._leaks.feed(words)
        self._quality.feed(batch.texts, batch.hashes.tolist())
        self._special.feed(batch.texts)
        if self._overlap is not None:
            self._overlap.feed(words)
        self._count(words)

    def _count(self, words: Words) -> None:
        self._words += len(words.codes)
        terms = self._terms
        counts = np.bincount(words.codes, minlength=len(words.distinct)).tolist()
        for word, count in zip(words.distinct, counts, strict=True):
            if len(word) >= 4 and word.isalpha():
                terms[word] = terms.get(word, 0) + count
        if len(terms) > MAX_TERMS:
            self._terms = _most(terms, MAX_TERMS // 2)

    def add(self, batch: Batch, ids: list[Ints]) -> None:
        """The documents' tokens, and what is known of each document."""
        self.add_tokens(ids)
        self._write("nbytes", batch.sizes)
        self._write("hashes", batch.hashes)
        self._write("sources", batch.sources)
        self._write("origins", np.array([self._place(o) for o in batch.origins], dtype=np.uint32))
        self.documents += len(ids)

    def add_tokens(self, ids: list[Ints]) -> None:
        """The documents' tokens alone."""
        self._write("tokens", *ids)
        self._write("lengths", np.array([len(one) for one in ids], dtype=np.int64))
        if self._unknown_id is not None:
            self._unknown += sum(int((one == self._unknown_id).sum()) for one in ids)

    def forget_tokens(self) -> None:
        """Leave all tokens out that were added so far."""
        for name in ("tokens", "lengths"):
            self._files[name].seek(0)
            self._files[name].truncate()
        self._unknown = 0

    def _write(self, name: str, *arrays: npt.NDArray[Any]) -> None:
        for array in arrays:
            self._files[name].write(array.tobytes())

    def _place(self, origin: str) -> tuple[int, int]:
        """An origin as the file's number and the line."""
        name, _, line = origin.rpartition(":")
        name, line = (name, line) if line.isdecimal() else (origin, "0")
        return self._names.setdefault(name, len(self._names)), int(line)

    def finish(self, reading: Reading, fingerprint: str, tick: Tick) -> None:
        """Find the near-duplicates, split, and write what is left."""
        for file in self._files.values():
            file.flush()
        write_json(self._folder / "files.json", list(self._names))
        write_json(self._folder / "meta.json", {"dtype": self._dtype})
        store, source = TokenStore(self._folder), reading.corpus.source
        clusters = self._signatures.clusters(tick)
        chosen, dropped = split_documents(
            store.hashes, clusters.first, source.heldout_share, source.keep_near_duplicates
        )
        trained = ~chosen
        trained[dropped] = False
        leaked, shared = self._leaks.leaked(chosen, trained, tick)
        np.save(self._folder / "heldout.npy", without_leaks(chosen, leaked))
        np.save(self._folder / "leaked.npy", leaked)
        np.save(self._folder / "dropped.npy", dropped)
        quality = self._measured(store, clusters, reading)
        meta = {
            "fingerprint": fingerprint,
            "dtype": self._dtype,
            "words": self._words,
            "terms": _most(self._terms, TERMS),
            "quality": quality.model_dump(),
            "leaks": repeats.leaks(store, leaked, shared, self._tokenizer),
            "special_strings": [one.model_dump() for one in self._special.found()],
            "unknown_tokens": self._unknown,
            **_read_as(reading),
        }
        write_json(self._folder / "meta.json", meta)

    def _measured(self, store: TokenStore, clusters: Clusters, reading: Reading) -> Quality:
        quality, dropped = self._quality.measure(), clusters.dropped
        cut = f"{self._long:,} documents were searched for repeats and gold items only in their "
        notes = [f"{cut}first {LOOKED_AT:,} characters"] if self._long else []
        twins = np.zeros(len(store), dtype=bool)
        twins[dropped] = True
        again = self._leaks.repeated(twins)
        unique = int(store.lengths[~twins].sum()) * self._leaks.long_words / max(1, self._words)
        return quality.model_copy(
            update={
                "near_duplicate_documents": len(dropped),
                "near_duplicate_tokens": int(store.lengths[dropped].sum()),
                "repeated_passages_share": again.everywhere,
                "repeated_passages_tokens": round(again.kept * unique),
                "near_pairs": repeats.near_pairs(store, clusters, self._tokenizer),
                "exact_examples": repeats.exact(store, reading.repeats),
                "notes": quality.notes + notes,
            }
        )


def _most(counts: dict[str, int], number: int) -> dict[str, int]:
    """The largest counts, in falling order."""
    return dict(Counter(counts).most_common(number))


def _read_as(reading: Reading) -> dict[str, Any]:
    """What the reading says of itself, under the names of SideScan."""
    ledger = reading.corpus.ledger
    return {
        "source": reading.corpus.label,
        "files": ledger.files,
        "duplicates": reading.duplicates,
        "duplicate_bytes": reading.duplicate_bytes,
        "copies_kept": reading.copies_kept,
        "edits": reading.edits.counts.model_dump() if reading.edits else None,
        "skipped": ledger.skipped,
        "skipped_bytes": ledger.skipped_bytes,
        "notes": ledger.notes,
        "text_column": ledger.text_column,
        "companions": ledger.companions[:COMPANIONS],
        "separators": ledger.separators,
        "encodings": getattr(ledger, "encodings", {}),
        "mojibake_documents": getattr(ledger, "mojibake_documents", 0),
    }
