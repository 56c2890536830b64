"""TextEncoder: a corpus's token ids, the fast way where it is proven to be the same.

The first texts are tokenised by ``tokenizers``, so that a small corpus pays for no proof. Then
``byte_pairs`` makes the fast path if it can, which has to give the same ids for these texts and
for ``proof_texts``. From there on a small share of the documents is tokenised both ways. The first
difference ends it: all that the fast path made is to be made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engine.worker.tokens.byte_pairs import Encoding, NotEqualError, make_encoding
from engine.worker.tokens.proof_texts import PROOF_TEXTS
from engine.worker.tokens.store import Ints, encode_long, parts
from engine.worker.tokens.unique_documents import Hashes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


FIRST = 2_000_000
"""Characters tokenised before the proof, which takes what a few million characters take
(``tests/benchmarks/speed.py --only tokens``)."""
SHARE = 64
"""One document in so many, by the hash of its content, is tokenised both ways: a fiftieth of the
time that is won."""


class TextEncoder:
    """Token ids of batches of texts; ``reason`` says why the fast path was not taken, or left."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, dtype: str, fast: bool = True) -> None:
        self._tokenizer, self._dtype = tokenizer, dtype
        self._waiting, self._left = fast, FIRST
        self._first: list[tuple[str, Ints]] = []
        self._encoding: Encoding | None = None
        self.reason = ""
        self.is_wrong = False
        """Whether the fast path was found to differ: what it made has to be made again."""

    @property
    def is_fast(self) -> bool:
        """Whether the fast path was proven, and still stands."""
        return self._encoding is not None

    def encode(self, texts: list[str], hashes: Hashes) -> list[Ints]:
        """The ids of each text, no special tokens. ``hashes`` are of the texts' contents."""
        if self._encoding is not None:
            found = self._encode_fast(self._encoding, texts, hashes % SHARE == 0)
            if found is not None:
                return found
            self._encoding, self.is_wrong = None, True
            self.reason = "it gave other tokens for a document than the tokenizer"
        slow = encode_long(self._tokenizer, texts, self._dtype)
        if self._waiting:
            self._first += zip(texts, slow, strict=True)
            self._left -= sum(map(len, texts))
            if self._left <= 0:
                self._prove()
        return slow

    def _encode_fast(
        self, encoding: Encoding, texts: list[str], checked: npt.NDArray[np.bool_]
    ) -> list[Ints] | None:
        """The ids of each text; None where one differs from what the tokenizer gives."""
        found = [self._ids(encoding, text) for text in texts]
        slow = [i for i, ids in enumerate(found) if ids is None or checked[i]]
        sure = encode_long(self._tokenizer, [texts[i] for i in slow], self._dtype)
        for i, ids in zip(slow, sure, strict=True):
            if not _is_same(found[i], ids):
                return None
            found[i] = ids
        return [ids for ids in found if ids is not None]

    def _ids(self, encoding: Encoding, text: str) -> Ints | None:
        """A document's ids, cut where ``encode_long`` cuts; None where it is not for us."""
        pieces = [encoding.encode(part) for part in parts(text)]
        known = [piece.astype(self._dtype) for piece in pieces if piece is not None]
        return np.concatenate(known) if len(known) == len(pieces) else None

    def _prove(self) -> None:
        """Take the fast path if it can be made, and gives the ids that the tokenizer gave."""
        first, self._first, self._waiting = self._first, [], False
        try:
            encoding = make_encoding(self._tokenizer)
        except NotEqualError as error:
            self.reason = str(error)
            return
        texts = list(PROOF_TEXTS)
        first += zip(texts, encode_long(self._tokenizer, texts, self._dtype), strict=True)
        differ = sum(not _is_same(self._ids(encoding, text), ids) for text, ids in first)
        if differ:
            self.reason = f"it gave other tokens for {differ:,} of {len(first):,} texts"
        else:
            self._encoding = encoding


def _is_same(fast: Ints | None, sure: Ints) -> bool:
    """Whether the fast path left the text alone, or gave what is sure."""
    return fast is None or np.array_equal(fast, sure)
