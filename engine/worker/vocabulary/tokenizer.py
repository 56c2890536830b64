"""Vocabulary extension of a tokenizer and of a model's embeddings and head.

New tokens are merges ranked behind all old ones in ``tokenizer.json``, never *added tokens*:
those are cut out of the raw text before normalisation and splitting, inside words too, eat or
lose blanks, and a byte-level decoder reads their letters as bytes. So BPE only; byte-level (GPT,
Llama 3, Qwen) and with a blank's mark (Llama 2, Gemma). New rows of embeddings and head start as
the mean of the old pieces' rows (Hewitt 2021 for why not at random: their logits would swamp the
others').
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerBase

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model.embeddings import token_rows
from engine.worker.tokens.store import Ints, TokenStore, encode
from engine.worker.vocabulary.merges import Merge, Word

NOT_A_WORD, BEGINS, GOES_ON = range(3)
LONGEST_WORD = 24
"""Pieces of a word that is looked at; longer ones are no words."""
CHUNK_TOKENS = 4_000_000
BLANK = "\u2581"
"""How SentencePiece writes a blank."""
STALE = ("tokenizer.model", "vocab.json", "merges.txt")
"""Older forms of a tokenizer, which would contradict ``tokenizer.json``."""


def _byte_letters() -> dict[str, int]:
    """The letter with which byte-level BPE writes each byte (Radford 2019)."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in plain]
    made = {chr(byte): byte for byte in plain}
    made |= {chr(256 + number): byte for number, byte in enumerate(others)}
    assert set(made) == set(ByteLevel.alphabet())
    return made


@dataclass(frozen=True)
class Pieces:
    """A BPE tokenizer's pieces by id, and how they form words."""

    backend: Any
    """The ``tokenizers.Tokenizer``."""
    state: dict[str, Any]
    """Its ``tokenizer.json``."""
    texts: list[str]
    """As the tokenizer writes them; empty where an id is not used."""
    bytes: list[bytes]
    """Their text in UTF-8, maybe a part of a character; empty for what is no text."""
    kinds: Ints
    """``BEGINS`` with a blank and letters, ``GOES_ON`` with letters or part of one, or neither."""

    def words(self, store: TokenStore, order: Ints) -> dict[Word, int]:
        """Words of two and more pieces in these documents, as pieces, and how often they stand.

        Letters only: digits and punctuation keep the base's own way.
        """
        counts: Counter[Word] = Counter()
        for ids in _chunks(store, order):
            for runs in _runs(ids, self.kinds):
                found, times = np.unique(runs, axis=0, return_counts=True)
                for run, count in zip(found.tolist(), times.tolist(), strict=True):
                    counts[tuple(run)] += count
        split: Counter[Word] = Counter()
        for run, count in counts.items():
            for word in self._split(run):
                split[word] += count
        return {word: count for word, count in split.items() if len(word) > 1}

    def text(self, word: Iterable[int]) -> str:
        """The text of pieces that form whole characters, for show."""
        return b"".join(self.bytes[piece] for piece in word).decode(errors="replace")

    def _split(self, run: Word) -> list[Word]:
        """The parts that the tokenizer itself splits a run into before it merges anything."""
        try:
            text = b"".join(self.bytes[piece] for piece in run).decode()
        except UnicodeDecodeError:
            return []
        if not _letters(text.removeprefix(" ")):
            return []
        if self.backend.pre_tokenizer is None:
            return [run]
        if self.backend.normalizer is not None:
            text = self.backend.normalizer.normalize_str(text)
        parts = [part for part, _ in self.backend.pre_tokenizer.pre_tokenize_str(text)]
        made: list[Word] = []
        left = list(run)
        for part in parts:
            word, written = [], ""
            while left and len(written) < len(part):
                word.append(left.pop(0))
                written += self.texts[word[-1]]
            if written != part:
                return []
            made.append(tuple(word))
        return made if not left else []


def _letters(text: str) -> bool:
    return all(c.isalpha() or unicodedata.category(c).startswith("M") for c in text)


def _chunks(store: TokenStore, order: Ints) -> Iterator[Ints]:
    """Token ids of documents, each with a gap (-1) behind it, in arrays of bounded size."""
    waiting: list[Ints] = []
    size = 0
    for index in order:
        waiting += [store.document(int(index)).astype(np.int64), np.array([-1])]
        size += len(waiting[-2])
        if size > CHUNK_TOKENS:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _runs(ids: Ints, kinds: Ints) -> Iterator[Ints]:
    """Runs of pieces that may form a word, those of one length [n, length] at a time."""
    kind = np.where(ids < 0, NOT_A_WORD, kinds[ids])
    inside = kind != NOT_A_WORD
    begins = inside & ((kind == BEGINS) | ~np.concatenate([[False], inside[:-1]]))
    starts = np.flatnonzero(begins)
    lengths = np.bincount(np.cumsum(begins)[inside] - 1, minlength=len(starts))
    for length in range(2, LONGEST_WORD + 1):
        chosen = starts[lengths == length]
        if len(chosen):
            yield ids[chosen[:, None] + np.arange(length)]


def pieces_of(tokenizer: PreTrainedTokenizerBase) -> Pieces:
    """The pieces of a tokenizer. InputError unless its merges can be gone on with."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    model = state.get("model", {})
    odd = [k for k in ("continuing_subword_prefix", "end_of_word_suffix") if model.get(k)]
    if model.get("type") != "BPE" or odd:
        kind = f"BPE with {odd[0]}" if odd else model.get("type", type(tokenizer).__name__)
        raise InputError(
            f"[vocab] extend goes on with a tokenizer's BPE merges, and this one is {kind}; "
            "leave [vocab] extend out"
        )
    added = {token["id"]: token["content"] for token in state["added_tokens"]}
    named = {number: text for text, number in model["vocab"].items()} | added
    texts = [named.get(number, "") for number in range(max(named) + 1)]
    level = "ByteLevel" in json.dumps([state["decoder"], state["pre_tokenizer"]])
    letters = _byte_letters() if level else None
    read = [b"" if n in added else _bytes(text, letters) for n, text in enumerate(texts)]
    return Pieces(backend, state, texts, read, np.array([_kind(piece) for piece in read]))


def _bytes(text: str, letters: dict[str, int] | None) -> bytes:
    if letters is not None:
        return bytes(letters[c] for c in text) if all(c in letters for c in text) else b""
    if text.startswith("<0x") and text.endswith(">"):
        return b""  # a decoder knows a byte by its name, and would not know two joined ones
    return text.replace(BLANK, " ").encode()


def _kind(piece: bytes) -> int:
    rest = piece.removeprefix(b" ")
    if not piece or not (_part(rest) or _letters(rest.decode())):
        return NOT_A_WORD
    return BEGINS if piece.startswith(b" ") else GOES_ON


def _part(text: bytes) -> bool:
    """Whether bytes hold a part of a character."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def write_tokenizer(
    tokenizer: PreTrainedTokenizerBase, known: Pieces, found: Sequence[Merge], folder: Path
) -> None:
    """The tokenizer with the merges behind its own, as ``tokenizer.json`` and its settings."""
    tokenizer.save_pretrained(folder)
    state = json.loads(json.dumps(known.state))
    model = state["model"]
    # Ids of special tokens outside the model would be counted anew, behind the new ones.
    model["vocab"] |= {token["content"]: token["id"] for token in state["added_tokens"]}
    model["vocab"] |= {merge.text: merge.id for merge in found}
    texts = known.texts + [merge.text for merge in found]
    joined = [[texts[merge.left], texts[merge.right]] for merge in found]
    plain = bool(model["merges"]) and isinstance(model["merges"][0], str)
    model["merges"] += [" ".join(pair) for pair in joined] if plain else joined
    (folder / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False))
    for name in STALE:
        (folder / name).unlink(missing_ok=True)


def prove(
    before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, texts: list[str]
) -> None:
    """InputError unless both tokenizers read every text back to the same characters."""
    pairs = zip(encode(before, texts), encode(after, texts), strict=True)
    for one, other in pairs:
        told = [
            t.decode(i, clean_up_tokenization_spaces=False)
            for t, i in ((before, one), (after, other))
        ]
        if told[0] != told[1]:
            at = next((n for n, (a, b) in enumerate(zip(*told, strict=False)) if a != b), 0)
            raise InputError(
                "[vocab] extend: with new tokens this tokenizer reads its own text back as "
                f"{told[1][at : at + 20]!r} instead of {told[0][at : at + 20]!r}; leave it out"
            )


@torch.no_grad()
def extended_model(base: models.Base, size: int, stands_for: dict[int, Word]) -> torch.nn.Module:
    """The base with ``size`` tokens at least; new rows are the mean of their old pieces' rows."""
    model = models.load(base)
    resize: Any = model.resize_token_embeddings
    rows = max(size, int(models.text_config(models.config_of(model)).vocab_size))
    resize(rows, mean_resizing=False)
    for weight in token_rows(model):
        for token, word in stands_for.items():
            weight[token] = weight[list(word)].mean(dim=0)
    return model


def write_base(
    base: models.Base,
    known: Pieces,
    found: Sequence[Merge],
    stands_for: dict[int, Word],
    folder: Path,
) -> models.Base:
    """The base with new tokens as a model folder of its own, written aside and renamed."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model: Any = extended_model(base, len(known.texts) + len(found), stands_for)
    models.config_of(model).use_cache = getattr(base.config, "use_cache", True)
    model.save_pretrained(temporary)
    write_tokenizer(base.tokenizer, known, found, temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return open_base(base, folder)


def open_base(base: models.Base, folder: Path) -> models.Base:
    """The extended base in ``folder``, under the base's own name."""
    made = models.resolve(recipes.Model.model_validate({"id": str(folder)}))
    new = len(made.tokenizer) - len(base.tokenizer)
    return replace(made, name=f"{base.name} with {new:,} new tokens")
