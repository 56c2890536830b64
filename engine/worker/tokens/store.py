"""TokenStore: a text source tokenised once, memory-mapped, keyed by content.

Files, one entry a document unless they say otherwise: ``tokens.bin`` (uint16 or uint32,
documents back to back, no special tokens), ``lengths.bin`` and ``nbytes.bin`` (int64),
``hashes.bin`` (uint64, of the content), ``origins.bin`` (uint32: file, line), ``sources.bin``
(uint8: which of the side's sources), ``files.json`` (the files' names), ``heldout.npy`` (mask),
``leaked.npy`` and ``dropped.npy`` (document numbers), ``meta.json`` (the SideScan fields).
``engine.worker.tokens.build`` writes them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.files import digest
from engine.worker.model.identity import tokenizer_parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


MIN_HELDOUT = 40
"""Held-out documents wanted, where they are no more than a quarter of all."""


LARGE = 10
"""A group of near-duplicates larger than a tenth of the held-out side is never held out."""


CLEAN_SHARE = 0.25
"""Of the held-out documents: where fewer do not leak, the leaking ones stay too."""


LONGEST = 1 << 20
"""Characters tokenised at once; a longer document is tokenised in parts."""


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
    def lengths(self) -> Ints:
        """Tokens of each document [n]."""
        return np.fromfile(self.folder / "lengths.bin", dtype=np.int64)

    @cached_property
    def offsets(self) -> Ints:
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.lengths)])

    @cached_property
    def nbytes(self) -> Ints:
        return np.fromfile(self.folder / "nbytes.bin", dtype=np.int64)

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Hash of each document's content."""
        return np.fromfile(self.folder / "hashes.bin", dtype=np.uint64)

    @cached_property
    def sources(self) -> npt.NDArray[np.uint8]:
        """Which of the side's sources each document is of [n]."""
        return np.fromfile(self.folder / "sources.bin", dtype=np.uint8)

    @cached_property
    def _tokens(self) -> Ints:
        if self.offsets[-1] == 0:
            return np.zeros(0, dtype=self.meta["dtype"])
        return np.memmap(self.folder / "tokens.bin", dtype=self.meta["dtype"], mode="r")

    def __len__(self) -> int:
        return len(self.lengths)

    def document(self, index: int) -> Ints:
        """Token ids of one document, without special tokens."""
        return self._tokens[self.offsets[index] : self.offsets[index + 1]]

    def origin(self, index: int) -> str:
        """``file:line`` of one document."""
        place = np.fromfile(self.folder / "origins.bin", np.uint32, count=2, offset=8 * index)
        return f"{self._files[place[0]]}:{place[1]}"

    @cached_property
    def _files(self) -> list[str]:
        names: list[str] = json.loads((self.folder / "files.json").read_text())
        return names

    @cached_property
    def heldout(self) -> npt.NDArray[np.bool_]:
        """Mask [n] of the held-out documents, see ``heldout_mask``."""
        mask: npt.NDArray[np.bool_] = np.load(self.folder / "heldout.npy")
        return mask

    @cached_property
    def leaked(self) -> Ints:
        """Documents chosen to be held out of which most 13-grams stand in training documents.

        They have left the held-out side, unless hardly another one would have stayed.
        """
        numbers: Ints = np.load(self.folder / "leaked.npy")
        return numbers

    @cached_property
    def dropped(self) -> Ints:
        """Near-duplicates of another document: on neither side, unless the recipe keeps them."""
        numbers: Ints = np.load(self.folder / "dropped.npy")
        return numbers

    def side(self, heldout: bool) -> Ints:
        """Indices of the held-out or of the training documents."""
        mask = self.heldout == heldout
        mask[self.dropped] = False
        return np.flatnonzero(mask)


def split_documents(
    hashes: npt.NDArray[np.uint64], groups: Ints, share: float, keep: bool
) -> tuple[npt.NDArray[np.bool_], Ints]:
    """The mask [n] of the held-out documents, and the near-duplicates left out of both sides.

    ``groups`` names the first document of each one's group of near-duplicates. With ``keep``
    none is left out, and a group stays on one side. Nor is any where fewer than two documents
    would be left: a corpus of one text is judged by its size, and needs two sides to be measured.
    """
    _, lead, copy_of = np.unique(hashes, return_index=True, return_inverse=True)
    groups = groups[lead[copy_of]]  # copies that are kept, even those too short to be compared
    first = groups == np.arange(len(groups))
    if keep or first.sum() < 2:
        return heldout_mask(hashes, groups, share), np.zeros(0, dtype=np.int64)
    lowest = np.full(len(hashes), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(lowest, groups, hashes)
    mask = np.zeros(len(hashes), dtype=bool)
    alone = np.arange(int(first.sum()))
    mask[first] = heldout_mask(lowest[first], alone, share)
    return mask, np.flatnonzero(~first)


def without_leaks(mask: npt.NDArray[np.bool_], leaked: Ints) -> npt.NDArray[np.bool_]:
    """The held-out mask without the documents that also stand in the training text.

    They train instead, which they did by their text. Where hardly any would stay, all do.
    """
    clean = mask.copy()
    clean[leaked] = False
    least = max(2, CLEAN_SHARE * mask.sum())
    return clean if clean.sum() >= least else mask


def heldout_mask(
    hashes: npt.NDArray[np.uint64], groups: Ints, share: float
) -> npt.NDArray[np.bool_]:
    """Mask [n]: about ``share`` of the documents, at least one where there are two.

    By content hash, so the split survives reordering and added files. Near-duplicates stay on
    one side: a group goes by its lowest hash, and one too large for the held-out side trains.
    A small corpus gives up to a quarter of its documents: an interval from three of them says
    nothing.
    """
    n = len(hashes)
    mask = np.zeros(n, dtype=bool)
    if n < 2:
        return mask
    wanted = max(1, round(share * n), min(MIN_HELDOUT, n // 4))
    lowest = np.full(n, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(lowest, groups, hashes)
    sizes = np.bincount(groups, minlength=n)
    first = np.flatnonzero((sizes > 0) & (sizes <= max(1, wanted // LARGE)))
    first = first[np.argsort(lowest[first], kind="stable")]
    chosen = first[np.cumsum(sizes[first]) <= wanted]
    if len(chosen):
        mask[chosen] = True
        mask = mask[groups]
    else:  # nothing but large groups: no clean side is to be had
        mask[np.argsort(hashes, kind="stable")[:wanted]] = True
    return mask


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, no special tokens added, none parsed out of the text.

    WikiText's literal ``<unk>`` would otherwise be read as a special token. Some vocabularies hold
    the spelling of their special tokens as pieces of their own (Unigram, whole words): there the
    spelling is broken in two.
    """
    encoded: list[list[int]] = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return [
        ids if special.isdisjoint(ids) else _encode_spelling(tokenizer, text, special)
        for text, ids in zip(texts, encoded, strict=True)
    ]


def _encode_spelling(tokenizer: PreTrainedTokenizerBase, text: str, special: set[int]) -> list[int]:
    """The ids of a text that spells a special token, which is cut behind its first character."""
    marks = sorted(tokenizer.all_special_tokens, key=len, reverse=True)
    inside = "|".join(
        f"(?<={re.escape(mark[0])})(?={re.escape(mark[1:])})" for mark in marks if mark[1:]
    )
    ids: list[int] = []
    for part in re.split(inside, text) if inside else [text]:
        ids += tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [one for one in ids if one not in special]


def encode_long(tokenizer: PreTrainedTokenizerBase, texts: list[str], dtype: str) -> list[Ints]:
    """``encode`` as arrays, in flat memory: a huge document in parts cut at a blank."""
    found: list[Ints] = []
    short: list[str] = []
    for text in texts:
        if len(text) <= LONGEST:
            short.append(text)
            continue
        found += [np.asarray(ids, dtype) for ids in encode(tokenizer, short)] if short else []
        short = []
        pieces = [np.asarray(encode(tokenizer, [part])[0], dtype) for part in parts(text)]
        found.append(np.concatenate(pieces))
    return found + ([np.asarray(ids, dtype) for ids in encode(tokenizer, short)] if short else [])


def parts(text: str) -> list[str]:
    """The text in pieces of at most ``LONGEST`` characters, cut before a blank."""
    found, start = [], 0
    while len(text) - start > LONGEST:
        least, most = start + LONGEST // 2, start + LONGEST
        cut = max(text.rfind(blank, least, most) for blank in " \n")
        cut = cut if cut > 0 else most
        found.append(text[start:cut])
        start = cut
    return [*found, text[start:]]


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 of what decides over a text's tokens: another vocabulary is another store."""
    parts = tokenizer_parts(tokenizer)
    ends = [tokenizer.eos_token_id, tokenizer.bos_token_id]
    return digest([parts["tokenizer"], parts["added tokens"], *ends])
