"""Fast byte-level BPE: a tiktoken encoding made of a tokenizer's own vocabulary and merges.

tiktoken takes about a sixth of the time of ``tokenizers`` for the same ids, where they are the
same. ``make_encoding`` refuses, with the reason, whatever it cannot show to be the same:

- *Pieces.* The pre-tokenizer must be one of those for which an equal pattern is known here. What
  decides is which characters are letters, numbers and white space, and the two libraries carry
  tables of different Unicode versions: each character is compared once, before it is used.
- *Merges.* ``tokenizers`` merges by pairs, tiktoken by the bytes that come out. Where a token's own
  bytes merge into it, two neighbours that make up its bytes are always the last pair of those
  merges: the two orders are then one. A token whose bytes do not merge into it never comes out, so
  it is left out; ``ignore_merges`` makes exceptions, of which each is looked at.
- *Texts.* ``Encoding.encode`` returns None for a text that holds what only ``tokenizers`` knows how
  to read: an added token, a byte without a token, a character that was found to differ.

``engine.worker.tokens.encoder`` compares the two on real text besides.
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tiktoken
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import BPE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


GPT2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)  # fmt: skip
"""What ``ByteLevel`` splits by; also written out as a ``Split``."""
LLAMA3, QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + numbers + r"| ?"
    r"[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for numbers in (r"\p{N}{1,3}", r"\p{N}")
)
DIGITS = (
    r"'s|'t|'re|'ve|'m|'ll|'d|{}| ?\p{{L}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?=\p{{N}})|\s+(?!\S)|\s+"
)
"""``Digits`` before ``ByteLevel``: white space before a digit ends a text of its own, so that
none of it is left for the digit."""
SPLITS = (GPT2, LLAMA3, QWEN2)
CLASSES = (r"\p{L}+", r"\p{N}+", r"\s+", r"(?i:[sdmtlrve])+")
"""What the patterns ask of a character."""
LONGEST_BLANK = 10_000
"""tiktoken's regular expressions give up on about a million blanks in a row: their stack."""
BLOCK = 256
"""Characters that are compared together."""
CODES = 0x110000
NEVER = "\0 no text's special token \0"
"""tiktoken looks for special tokens at every character where it is given none. None is allowed."""

Pair = tuple[str, str]
Near = tuple[dict[str, list[str]], dict[str, list[str]]]
"""What a part is merged with before it, and after it."""
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint32]


class NotEqualError(Exception):
    """The fast path cannot be shown to give the same tokens; says why."""


@dataclass
class Characters:
    """Which characters both libraries take for the same thing; compared as they come."""

    digits: bool
    composed: bool
    """Whether texts are composed (NFC): Python's tables say which already are."""
    _known: Mask = field(default_factory=lambda: np.zeros(CODES, dtype=np.bool_))
    _differ: Mask = field(default_factory=lambda: np.zeros(CODES, dtype=np.bool_))

    def agree(self, codes: Codes) -> bool:
        """Whether all of them, none a surrogate, are the same to both."""
        if not self._known[codes].all():
            blocks = np.unique(codes[~self._known[codes]] // BLOCK)
            self._compare((blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel())
        return not self._differ[codes].any()

    def _compare(self, codes: npt.NDArray[np.integer[Any]]) -> None:
        self._known[codes] = True
        codes = codes[(codes < 0xD800) | (codes > 0xDFFF)]
        text = codes.astype("<u4").tobytes().decode("utf-32-le")
        for pattern in CLASSES:
            self._differ |= _in_tiktoken(pattern, text) ^ _in_tokenizers(pattern, text)
        if self.digits:
            pieces = pre_tokenizers.Digits(individual_digits=False).pre_tokenize_str("a" + text)
            numbers = _mask("".join(piece for piece, _ in pieces[1::2]))
            self._differ |= numbers ^ _in_tiktoken(r"\p{N}+", text)
        if self.composed:
            unassigned = [ord(one) for one in text if unicodedata.category(one) == "Cn"]
            self._differ[unassigned] = True


def _in_tiktoken(pattern: str, text: str) -> Mask:
    """The characters of ``text`` that match: tiktoken leaves the others out."""
    single = {bytes([byte]): byte for byte in range(256)}
    found = _encoding(pattern, single).encode_to_numpy(text, disallowed_special=())
    return _mask(found.astype(np.uint8).tobytes().decode())


def _in_tokenizers(pattern: str, text: str) -> Mask:
    pieces = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(text)
    return _mask(text) & ~_mask("".join(piece for piece, _ in pieces))


def _mask(text: str) -> Mask:
    mask = np.zeros(CODES, dtype=np.bool_)
    mask[_codes(text)] = True
    return mask


def _codes(text: str) -> Codes:
    """Raises UnicodeEncodeError for a lone surrogate."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _encoding(pattern: str, ranks: dict[bytes, int]) -> tiktoken.Encoding:
    """An encoding that never makes a special token, as all calls allow none."""
    special = {NEVER: max(ranks.values()) + 1}
    return tiktoken.Encoding("", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


@dataclass(frozen=True)
class Encoding:
    """A tokenizer's ids by tiktoken."""

    ids: npt.NDArray[np.int64]
    """The tokenizer's id of each rank; -1 where the text is not for us."""
    core: tiktoken.Encoding
    characters: Characters
    added: tuple[str, ...]
    """Added tokens that ``tokenizers`` finds in a text."""
    compose: Callable[[str], str] | None

    def encode(self, text: str) -> npt.NDArray[np.int64] | None:
        """The ids of a text, no special tokens; None where they are not known to be the same."""
        if not self._reads(text):
            return None
        if self.compose and not unicodedata.is_normalized("NFC", text):
            text = self.compose(text)
            if not self._reads(text):
                return None
        try:
            ranks = self.core.encode_to_numpy(text, disallowed_special=())
        except ValueError:  # a pattern that needs more room than it is given
            return None
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # the same, before 0.14; no Exception
                return None
            raise
        found: npt.NDArray[np.int64] = self.ids[ranks]
        return found if found.size == 0 or found.min() >= 0 else None

    def _reads(self, text: str) -> bool:
        """Whether the text's characters and stretches are the same to both libraries."""
        try:
            same = text.isascii() or self.characters.agree(_codes(text))
        except UnicodeEncodeError:
            return False
        blank = _has_blank_stretch(text)
        return same and not blank and not any(one in text for one in self.added)


def _has_blank_stretch(text: str) -> bool:
    """Whether a stretch of ``LONGEST_BLANK`` characters, by a fixed grid, is all white space."""
    starts = range(0, len(text) - LONGEST_BLANK + 1, LONGEST_BLANK)
    return any(text[start : start + LONGEST_BLANK].isspace() for start in starts)


def make_encoding(tokenizer: PreTrainedTokenizerBase) -> Encoding:
    """The encoding that gives this tokenizer's ids. NotEqualError where it cannot be shown to."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise NotEqualError("it is not a tokenizer of the library tokenizers")
    state: dict[str, Any] = json.loads(backend.to_str())
    steps = _flat(state["pre_tokenizer"], "pretokenizers")
    pattern, composed = _pattern(steps), _is_composed(state["normalizer"])
    characters = Characters(steps[0]["type"] == "Digits", composed)
    if not characters.agree(np.arange(128, dtype=np.uint32)):
        raise NotEqualError("the two libraries' character classes differ in ASCII")
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    ranks, ids = _ranks(state, backend, special)
    normalizer = backend.normalizer
    added = {one["content"] for one in state["added_tokens"] if not one["special"]}
    if composed:
        added |= {normalizer.normalize_str(one) for one in added}
    return Encoding(
        ids=ids,
        core=_encoding(pattern, ranks),
        characters=characters,
        added=tuple(sorted(added)),
        compose=normalizer.normalize_str if composed else None,
    )


def _is_composed(normalizer: dict[str, Any] | None) -> bool:
    """Whether texts are normalised to NFC; otherwise not at all."""
    kinds = [each["type"] for each in _flat(normalizer, "normalizers")]
    if kinds not in ([], ["NFC"]):
        raise NotEqualError(f"its normalizer ({', '.join(kinds)}) is not NFC alone")
    return bool(kinds)


def _flat(step: dict[str, Any] | None, inside: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    if step["type"] != "Sequence":
        return [step]
    return [each for one in step[inside] for each in _flat(one, inside)]


def _pattern(steps: list[dict[str, Any]]) -> str:
    """One pattern that gives the pre-tokenizer's pieces."""
    kinds = [each["type"] for each in steps]
    if kinds[-1:] != ["ByteLevel"] or steps[-1]["add_prefix_space"]:
        raise NotEqualError("its tokens are not bytes of the text as it stands")
    first, splits = steps[0], steps[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and splits:
        return GPT2
    if kinds == ["Digits", "ByteLevel"] and splits:
        return DIGITS.format(r"\p{N}" if first["individual_digits"] else r"\p{N}+")
    if kinds == ["Split", "ByteLevel"] and not splits:
        pattern = first["pattern"].get("Regex")
        whole = (first["behavior"], first["invert"]) in (("Isolated", False), ("Removed", True))
        if pattern in SPLITS and whole:
            return str(pattern)
    raise NotEqualError(f"its pre-tokenizer ({', '.join(kinds)}) has no pattern that is known here")


# --- merges --------------------------------------------------------------------------------


def _ranks(
    state: dict[str, Any], backend: Tokenizer, special: set[int]
) -> tuple[dict[bytes, int], npt.NDArray[np.int64]]:
    """tiktoken's ranks, in the order of the merges, and the tokenizer's id of each.

    A byte without a token and a special token's id are -1: ``tokenizers`` reads such a text.
    """
    model = state["model"]
    _check_model(model)
    vocabulary: dict[str, int] = model["vocab"]
    merges: list[Pair] = [(left, right) for left, right in model["merges"]]
    order = _order(merges)
    whole = bool(model.get("ignore_merges"))
    bpe = BPE(vocabulary, merges) if whole else backend.model
    chars = _alphabet()
    letters = set(chars)
    reached: list[str] = []
    unreached: list[str] = []
    for word in vocabulary:
        if letters.issuperset(word):
            alone = [one.value for one in bpe.tokenize(word)] == [word]
            (reached if alone else unreached).append(word)
    if whole:
        reached += _looked_up(unreached, merges, order, vocabulary, backend)
    table = {ord(char): byte for char, byte in chars.items()}
    ranks = {bytes([byte]): byte for byte in range(256)}
    ids = [vocabulary.get(char, -1) for char in sorted(chars, key=chars.__getitem__)]
    for word in sorted((one for one in reached if len(one) > 1), key=order.__getitem__):
        ranks[word.translate(table).encode("latin-1")] = len(ids)
        ids.append(vocabulary[word])
    return ranks, np.array([-1 if one in special else one for one in ids], dtype=np.int64)


def _check_model(model: dict[str, Any]) -> None:
    if model["type"] != "BPE":
        raise NotEqualError(f"its model is {model['type']}, not BPE")
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    for name in odd:
        if model.get(name):
            raise NotEqualError(f"its BPE has {name}")


def _order(merges: list[Pair]) -> dict[str, int]:
    """The place of each merged token among the merges; those of one token must stand together."""
    if len(set(merges)) != len(merges):
        raise NotEqualError("a merge stands twice")
    order: dict[str, int] = {}
    last = ""
    for place, pair in enumerate(merges):
        token = "".join(pair)
        if token != last and token in order:
            raise NotEqualError("the merges of one token do not stand together")
        order.setdefault(token, place)
        last = token
    return order


def _looked_up(
    unreached: Sequence[str],
    merges: list[Pair],
    order: dict[str, int],
    vocabulary: dict[str, int],
    backend: Tokenizer,
) -> list[str]:
    """Tokens that only ``ignore_merges`` makes, of a piece that is the whole of them.

    tiktoken would merge two neighbours into one as well: so must ``tokenizers``, whichever the
    two, and of several such pairs in one piece the order must not matter.
    """
    chars, pairs, kept = _alphabet(), set(merges), []
    near: Near = defaultdict(list), defaultdict(list)
    for left, right in merges:
        near[0][right].append(left)
        near[1][left].append(right)
    for word in unreached:
        text = bytes(chars[char] for char in word).decode(errors="replace")
        if "\ufffd" not in text and len(backend.pre_tokenizer.pre_tokenize_str(text)) > 1:
            continue  # never one piece
        cuts = [(word[:at], word[at:]) for at in range(1, len(word))]
        cuts = [cut for cut in cuts if cut[0] in vocabulary and cut[1] in vocabulary]
        if (
            word not in order
            or not pairs.issuperset(cuts)
            or _order_matters(word, cuts, order, near)
        ):
            raise NotEqualError(f"token {vocabulary[word]} comes of whole words alone")
        kept.append(word)
    return kept


def _order_matters(word: str, cuts: list[Pair], order: dict[str, int], near: Near) -> bool:
    """Whether, of two pairs in one piece that both make ``word``, it matters which goes first.

    ``tokenizers`` takes the earlier merge first, tiktoken the one further left. Pairs that share a
    part matter. So does a token that ranks before the word, and is made of one that holds the word
    and of the near part of the other pair.
    """
    if len(cuts) < 2:
        return False
    if any(one != other and one[1] == other[0] for one in cuts for other in cuts):
        return True
    before, after = near
    made = {left + right for right, _ in cuts for left in before[right] if word in left}
    made |= {left + right for _, left in cuts for right in after[left] if word in right}
    return any(order[token] < order[word] for token in made)


def _alphabet() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (GPT-2)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(256 + place): byte for place, byte in enumerate(hidden)
    }
