"""The fast encoding: the same ids as the tokenizer's for every text, or none at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.corpus.corpus import Corpus
from engine.recipe.sections import Recipe, Source
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, read_all
from engine.runs.run import create_run
from engine.worker.job.context import Context
from engine.worker.tokens import byte_pairs, encoder, store
from engine.worker.tokens.build import build_store, store_folder
from engine.worker.tokens.byte_pairs import Encoding, NotEqualError, make_encoding
from engine.worker.tokens.encoder import TextEncoder
from engine.worker.tokens.proof_texts import PROOF_TEXTS
from engine.worker.tokens.store import Ints, encode_long
from tests import tiny
from tests.material import MATERIAL, needs_material

FAMILIES = ("GPT-2", "SmolLM2", "Llama-3", "Qwen2")
MARKS = ["<|endoftext|>", "<|im_start|>"]
LEARNT = [*tiny.documents(40, 1, domain=True), *(text for text in PROOF_TEXTS if len(text) > 30)]


def bytes_of(*splits: Any, regex: bool) -> Any:
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    return pre_tokenizers.Sequence([*splits, last]) if splits else last


def split_by(pattern: str) -> Any:
    return bytes_of(pre_tokenizers.Split(Regex(pattern), "isolated"), regex=False)


def trained(split: Any, alphabet: list[str] | None = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split
    letters = pre_tokenizers.ByteLevel.alphabet() if alphabet is None else alphabet
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=MARKS, initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator(LEARNT, trainer)
    return tokenizer


def unreached(tokenizer: Tokenizer, words: list[str]) -> str:
    """Two tokens side by side that merge into others, so that no merge would reach the two."""
    sides = [w for w in words if w.isascii() and w.isalpha() and len(set(w)) > 2]
    whole = (left + right for left in sides for right in sides)
    return next(w for w in whole if len(tokenizer.model.tokenize(w)) > 2 and w not in words)


def closed(tokenizer: Tokenizer) -> Tokenizer:
    """As Llama-3's: every two tokens that make up a third are a merge, and whole words go first."""
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    words = sorted((w for w in vocabulary if w not in MARKS), key=vocabulary.__getitem__)
    words.append(unreached(tokenizer, words))
    kept = {word: place for place, word in enumerate(words)}
    merges = [
        (word[:at], word[at:])
        for word in words
        for at in range(1, len(word))
        if word[:at] in kept and word[at:] in kept
    ]
    made = Tokenizer(models.BPE(vocab=kept, merges=merges, ignore_merges=True))
    made.pre_tokenizer = tokenizer.pre_tokenizer
    return made


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=MARKS[0], additional_special_tokens=MARKS[1:]
    )


def made(family: str) -> Tokenizer:
    if family == "GPT-2":
        return trained(bytes_of(regex=True))
    if family == "SmolLM2":
        digits = pre_tokenizers.Digits(individual_digits=True)
        return trained(bytes_of(digits, regex=True), alphabet=[])
    if family == "Llama-3":
        return closed(trained(split_by(byte_pairs.LLAMA3)))
    tokenizer = trained(split_by(byte_pairs.QWEN2))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    return tokenizer


@pytest.fixture(scope="module")
def families() -> dict[str, tuple[PreTrainedTokenizerFast, Encoding]]:
    found = {}
    for family in FAMILIES:
        tokenizer = wrapped(made(family))
        found[family] = tokenizer, make_encoding(tokenizer)
    return found


def check(pair: tuple[PreTrainedTokenizerFast, Encoding], texts: list[str]) -> int:
    """Assert that no text's ids differ; returns how many took the fast path."""
    tokenizer, encoding = pair
    fast = [encoding.encode(text) for text in texts]
    for text, ids, sure in zip(texts, fast, encode_long(tokenizer, texts, "uint16"), strict=True):
        assert ids is None or ids.tolist() == sure.tolist(), text
    return sum(ids is not None for ids in fast)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_proof_texts_are_the_same(family: str, families: Any) -> None:
    taken = check(families[family], list(PROOF_TEXTS))
    # SmolLM2's kind here has no tokens for bytes that its text did not hold.
    assert taken > 0.99 * len(PROOF_TEXTS)


PIECES = st.sampled_from(
    [*" \n\t\r'\"1Aaeszé.,-_²٣", "  ", "'S", "'ll", "\r\n", "the", " river", "漢字",
     "e\u0301", "👩\u200d👧", "\u00a0", "\u2028", "\x1c", "\x85", "<think>", *MARKS]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=25).map("".join))


@settings(deadline=None, max_examples=100)
@given(texts=st.lists(TEXTS, max_size=4))
def test_any_text_is_the_same(texts: list[str], families: Any) -> None:
    for pair in families.values():
        check(pair, texts)


@settings(deadline=None, max_examples=100)
@given(one=st.characters(min_codepoint=0x80, exclude_categories=["Cs"]))
def test_any_character_is_the_same(one: str, families: Any) -> None:
    text = f"a{one}a 1{one}1 {one} {one}{one}!{one}\n{one}'{one} '{one}x  {one}"
    for pair in families.values():
        check(pair, [text])


def test_a_character_that_the_libraries_see_differently_is_left_alone() -> None:
    """Each release has characters that one table calls a number and the other does not know."""
    characters = byte_pairs.Characters(digits=True, composed=False)
    characters._compare(np.arange(0x80, 0x3100))
    codes = np.flatnonzero(characters._differ)
    text = "a".join(map(chr, range(0x80, 0x3100)))
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str(f"a{text}a")
    digits = {piece for piece, _ in pieces if len(piece) == 1 and piece != "a"}
    matching = {chr(code) for code in np.flatnonzero(byte_pairs._in_tiktoken(r"\p{N}+", text))}
    assert len(digits) > 500
    assert {ord(one) for one in digits ^ matching} <= set(codes.tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_are_not_read_out_of_a_text(family: str, families: Any) -> None:
    tokenizer, encoding = families[family]
    special = set(tokenizer.all_special_ids)
    for text in (MARKS[0], f"a{MARKS[1]} b", f"{MARKS[0]}{MARKS[0]}", byte_pairs.NEVER):
        ids = encoding.encode(text)
        assert ids is not None or (family == "SmolLM2" and "\0" in text)
        assert ids is None or special.isdisjoint(ids.tolist())
        check((tokenizer, encoding), [text])


def test_a_special_token_that_merges_make_is_left_to_the_tokenizer() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, "<s", "<s>"]
    model = models.BPE(
        vocab={word: n for n, word in enumerate(words)}, merges=[("<", "s"), ("<s", ">")]
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = bytes_of(regex=True)
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<s>")
    encoding = make_encoding(whole)
    assert check((whole, encoding), ["a <s b", "<s>", "x<s>y"]) >= 1


def test_what_only_the_tokenizer_reads_is_left_to_it(families: Any) -> None:
    _, qwen = families["Qwen2"]
    assert qwen.encode("so <think> well") is None
    assert qwen.encode("so <think well") is not None
    for _, encoding in families.values():
        assert encoding.encode("a lone \ud800 surrogate") is None
        assert encoding.encode("x" + " " * 2 * byte_pairs.LONGEST_BLANK) is None
        assert encoding.encode("x" * 50_000) is not None


def test_a_text_that_tiktoken_gives_up_on_is_left_to_the_tokenizer(
    families: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_pairs, "LONGEST_BLANK", 1 << 30)
    _, encoding = families["SmolLM2"]
    assert encoding.encode(" " * 1_100_000 + "x") is None
    assert encoding.encode("x") is not None


def refused(name: str) -> Any:
    tokenizer = made("GPT-2")
    if name == "lower case":
        tokenizer.normalizer = normalizers.Lowercase()
    elif name == "prefix":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    elif name == "pattern":
        tokenizer.pre_tokenizer = split_by(r"\p{L}+|\P{L}+")
    elif name == "dropout":
        tokenizer.model.dropout = 0.1
    elif name == "words":
        tokenizer = closed(made("GPT-2"))
        state = json.loads(tokenizer.to_str())["model"]
        last = max(state["vocab"], key=state["vocab"].__getitem__)
        merges = [(left, right) for left, right in state["merges"] if left + right != last]
        tokenizer.model = models.BPE(vocab=state["vocab"], merges=merges, ignore_merges=True)
    elif name == "apart":
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = {word: n for n, word in enumerate([*letters, "ab", "bc", "abc"])}
        merges = [("a", "bc"), ("a", "b"), ("b", "c"), ("ab", "c")]
        tokenizer.model = models.BPE(vocab=words, merges=merges)
    else:
        tokenizer = Tokenizer(models.WordLevel({"a": 0, MARKS[0]: 1}, unk_token="a"))
        tokenizer.pre_tokenizer = bytes_of(regex=True)
    return wrapped(tokenizer)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lower case", "normalizer"),
        ("prefix", "not bytes"),
        ("pattern", "no pattern that is known"),
        ("dropout", "dropout"),
        ("words", "whole words alone"),
        ("apart", "do not stand together"),
        ("word level", "WordLevel"),
    ],
)
def test_what_cannot_be_shown_is_refused(name: str, reason: str) -> None:
    with pytest.raises(NotEqualError, match=reason):
        make_encoding(refused(name))


# --- the encoder, and the store ------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "FIRST", 2_000)


def encode_all(tokenizer: Any, texts: list[str]) -> tuple[TextEncoder, list[Ints]]:
    by = TextEncoder(tokenizer, "uint16")
    hashes = np.arange(len(texts), dtype=np.uint64)
    found = [by.encode([text], hashes[i : i + 1])[0] for i, text in enumerate(texts)]
    return by, found


def test_the_fast_path_is_taken_after_the_first_texts(soon: None, families: Any) -> None:
    tokenizer, _ = families["SmolLM2"]
    texts = tiny.documents(20, 3)
    by, found = encode_all(tokenizer, texts)
    assert by.is_fast
    assert not by.reason
    sure = encode_long(tokenizer, texts, "uint16")
    assert [(ids.dtype, ids.tolist()) for ids in found] == [(i.dtype, i.tolist()) for i in sure]
    short, _ = encode_all(tokenizer, texts[:1])
    assert not short.is_fast
    assert not short.reason


def test_a_pattern_that_is_nearly_right_is_not_proven(
    soon: None, families: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White space before a digit, which tiktoken's own patterns know nothing of."""
    monkeypatch.setattr(byte_pairs, "DIGITS", byte_pairs.DIGITS.replace(r"\s+(?=\p{{N}})|", ""))
    by, _ = encode_all(families["SmolLM2"][0], tiny.documents(20, 3))
    assert not by.is_fast
    assert not by.is_wrong
    assert "other tokens for" in by.reason


def test_a_huge_document_is_cut_where_the_tokenizer_is(
    soon: None, families: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LONGEST", 100)
    tokenizer, _ = families["GPT-2"]
    texts = [*tiny.documents(10, 4), "x" * 1000, "1  2 " * 90, " " * 300]
    by, found = encode_all(tokenizer, texts)
    sure = encode_long(tokenizer, texts, "uint16")
    assert by.is_fast
    assert [i.tolist() for i in found] == [i.tolist() for i in sure]


def spoilt(tokenizer: Any) -> Encoding:
    """An encoding that is wrong for a word that no proof text holds."""
    encoding = make_encoding(tokenizer)
    ids = encoding.ids.copy()
    ids[encoding.core.encode_ordinary(" zorvik")] = 5
    return replace(encoding, ids=ids)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "seal.json"}


@pytest.mark.parametrize("spoil", [False, True], ids=["right", "wrong"])
def test_a_store_is_the_same_byte_for_byte(
    spoil: bool, soon: None, families: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the fast path turns out to be wrong half way, too, and texts are edited."""
    tokenizer, _ = families["SmolLM2"]
    plain = [*tiny.documents(30, 5), *(text for text in PROOF_TEXTS if text.strip())]
    texts = [*plain, *tiny.documents(60, 6, domain=True)]
    footer = "\nall rights are reserved by the people of it"
    path = tiny.write_jsonl(tmp_path / "c.jsonl", [{"text": text + footer} for text in texts])
    corpus = {"path": str(path), "drop_shared_lines": True, "heldout_share": 0.1}
    run = create_run("scan", "", tmp_path / "home")
    recipe = Recipe.model_validate({"model": {"id": "m"}, "corpus": corpus, "generic": corpus})
    context = Context(run, recipe, EventLog(run.events_path), stage="scan")

    def build(name: str) -> dict[str, bytes]:
        monkeypatch.setenv("CPT_HOME", str(tmp_path / name))
        source = Corpus(Source.model_validate(corpus))
        folder = store_folder(source, tokenizer)
        build_store(context, source, tokenizer, folder, "domain text")
        return contents(folder)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "FIRST", 1 << 40)
        sure = build("sure")
    monkeypatch.setattr(encoder, "SHARE", 4)
    if spoil:
        monkeypatch.setattr(encoder, "make_encoding", spoilt)
    monkeypatch.setattr("engine.worker.tokens.unique_documents.BATCH_CHARACTERS", 3_000)
    assert build("fast") == sure
    alarms = [one.message for one in read_all(run.events_path) if isinstance(one, Alarm)]
    assert len(alarms) == spoil
    assert all("tokenised again" in one for one in alarms)


@needs_material
def test_a_real_tokenizer_on_real_text() -> None:
    assert MATERIAL
    folder = MATERIAL / "tokenizers/smollm2"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoding = make_encoding(tokenizer)
    texts = []
    for name in ("domains/medical", "domains/solidity", "domains/icelandic"):
        documents = Corpus(Source(path=str(MATERIAL / name))).documents()
        texts += [one.text[:3_000] for _, one in zip(range(20), documents, strict=False)]
    assert check((tokenizer, encoding), texts) == len(texts)
