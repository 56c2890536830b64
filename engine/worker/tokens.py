"""TokenStore: a text source tokenised once, memory-mapped, keyed by content.

Files: ``tokens.bin`` (uint16 or uint32, documents back to back, no special tokens),
``offsets.npy`` int64 [n+1], ``nbytes.npy`` int64 [n], ``hashes.npy`` uint64 [n],
``meta.json`` (the SideScan fields). Memory is flat but for about 40 bytes a document.
"""

from __future__ import annotations

import array
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.corpus import Corpus, Document, content_hash
from engine.errors import InputError
from engine.run import digest, home, private_dir, write_json
from engine.worker.context import Context

STORE_VERSION = 1
BATCH_DOCUMENTS = 256
MIN_HELDOUT = 40
"""Held-out documents wanted, where they are no more than a quarter of all."""
MAX_TERMS = 200_000
"""Distinct words counted at most; the rarest are dropped when the table is full."""

_WORD = re.compile(r"[^\W\d_]{4,}")

Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class TokenStore:
    """Read side: documents as token arrays, and the held-out split."""

    folder: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "meta.json").read_text())
        return loaded

    @cached_property
    def offsets(self) -> Ints:
        return np.load(self.folder / "offsets.npy")

    @cached_property
    def nbytes(self) -> Ints:
        return np.load(self.folder / "nbytes.npy")

    @cached_property
    def _tokens(self) -> Ints:
        if self.offsets[-1] == 0:
            return np.zeros(0, dtype=self.meta["dtype"])
        return np.memmap(self.folder / "tokens.bin", dtype=self.meta["dtype"], mode="r")

    @property
    def lengths(self) -> Ints:
        """Tokens of each document [n]."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> Ints:
        """Token ids of one document, without special tokens."""
        return self._tokens[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def heldout(self) -> npt.NDArray[np.bool_]:
        """Mask [n]: the documents with the lowest hashes, at least one where there are two.

        By content hash, so the split survives reordering and added files. A small corpus
        gives up to a quarter of its documents: an interval from three of them says nothing.
        """
        hashes = np.load(self.folder / "hashes.npy")
        mask = np.zeros(len(hashes), dtype=bool)
        if len(hashes) >= 2:
            asked = round(self.meta["heldout_share"] * len(hashes))
            count = max(1, asked, min(MIN_HELDOUT, len(hashes) // 4))
            mask[np.argsort(hashes, kind="stable")[:count]] = True
        return mask

    def side(self, heldout: bool) -> Ints:
        """Indices of the held-out or of the training documents."""
        return np.flatnonzero(self.heldout == heldout)


@dataclass
class _Writer:
    """Accumulates one store; everything but counters goes straight to disk."""

    folder: Path
    dtype: str
    offsets: array.array[int] = field(default_factory=lambda: array.array("q", [0]))
    nbytes: array.array[int] = field(default_factory=lambda: array.array("q"))
    hashes: array.array[int] = field(default_factory=lambda: array.array("Q"))
    seen: set[bytes] = field(default_factory=set)
    terms: Counter[str] = field(default_factory=Counter)
    words: int = 0
    duplicates: int = 0
    duplicate_bytes: int = 0

    def fresh(self, document: Document) -> bool:
        """Whether the document is new; an exact duplicate is counted and dropped."""
        key = content_hash(document.text)
        if key in self.seen:
            self.duplicates += 1
            self.duplicate_bytes += len(document.text.encode())
            return False
        self.seen.add(key)
        self.hashes.append(int.from_bytes(key[:8], "big"))
        return True

    def add(self, document: Document, ids: list[int], out: Any) -> None:
        out.write(np.asarray(ids, dtype=self.dtype).tobytes())
        self.offsets.append(self.offsets[-1] + len(ids))
        self.nbytes.append(len(document.text.encode()))
        self.words += len(document.text.split())
        self.terms.update(word.lower() for word in _WORD.findall(document.text))
        if len(self.terms) > MAX_TERMS:
            self.terms = Counter(dict(self.terms.most_common(MAX_TERMS // 2)))

    def finish(self, extra: dict[str, Any]) -> None:
        np.save(self.folder / "offsets.npy", np.array(self.offsets, dtype=np.int64))
        np.save(self.folder / "nbytes.npy", np.array(self.nbytes, dtype=np.int64))
        np.save(self.folder / "hashes.npy", np.array(self.hashes, dtype=np.uint64))
        write_json(
            self.folder / "meta.json",
            {
                "dtype": self.dtype,
                "words": self.words,
                "duplicates": self.duplicates,
                "duplicate_bytes": self.duplicate_bytes,
                "terms": dict(self.terms.most_common(2000)),
                **extra,
            },
        )


def build_store(context: Context, corpus: Corpus, tokenizer: Any, label: str) -> TokenStore:
    """The token store of a corpus, from the cache or tokenised now.

    Raises InputError if nothing readable was found; Interrupted on a stop.
    """
    source = corpus.source
    fingerprint = digest(
        [
            STORE_VERSION,
            corpus.fingerprint(),
            tokenizer_identity(tokenizer),
            source.heldout_share,
        ]
    )
    folder = home() / "cache" / "tokens" / fingerprint[:32]
    if (folder / "meta.json").is_file():
        return TokenStore(folder)
    temporary = folder.with_suffix(".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    private_dir(temporary)
    writer = _Writer(temporary, "uint16" if len(tokenizer) <= 1 << 16 else "uint32")
    started = time.monotonic()
    with (temporary / "tokens.bin").open("wb") as out:
        for batch in _batches(corpus, writer):
            texts = [document.text for document in batch]
            for document, ids in zip(batch, encode(tokenizer, texts), strict=True):
                writer.add(document, ids, out)
            ledger = corpus.ledger
            context.progress(
                f"reading {label}", ledger.bytes_read, ledger.bytes_total, "bytes", started
            )
    if not len(writer.nbytes):
        raise InputError(
            f"{corpus.label}: no readable text was found; give a folder or file with text"
        )
    writer.finish(
        {
            "fingerprint": fingerprint,
            "source": corpus.label,
            "heldout_share": source.heldout_share,
            "files": corpus.ledger.files,
            "skipped": corpus.ledger.skipped,
            "skipped_bytes": corpus.ledger.skipped_bytes,
            "notes": corpus.ledger.notes,
            "text_column": corpus.ledger.text_column,
        }
    )
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return TokenStore(folder)


def _batches(corpus: Corpus, writer: _Writer) -> Iterator[list[Document]]:
    batch: list[Document] = []
    for document in corpus.documents():
        if not writer.fresh(document):
            continue
        batch.append(document)
        if len(batch) == BATCH_DOCUMENTS:
            yield batch
            batch = []
    if batch:
        yield batch


def encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, no special tokens added, none parsed out of the text.

    WikiText's literal ``<unk>`` would otherwise be read as a special token.
    """
    encoded: list[list[int]] = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    return encoded


def tokenizer_identity(tokenizer: Any) -> str:
    """sha256 of the tokenizer's full state: another vocabulary is another store."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return digest([state, tokenizer.eos_token_id, tokenizer.bos_token_id])
