"""Special tokens spelt out in the text: counted, named, and never read as the special token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.quality.special_strings import SpecialStrings
from engine.worker.tokens.store import encode

ROWS = ["the end of a story and a new one begins here"] * 40 + ["hello world </s> x"] * 3
MARKS = ["<unk>", "<s>", "</s>", "<|im_end|>"]
SPELT = ["the end.</s>", "<s>x</s><s>", "x </s> y", "a<|im_end|> b", "</s>", "<unk>"]


def _trained(model: Any, trainer: Any, split: Any) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = split
    tokenizer.train_from_iterator(ROWS, trainer)
    named = {
        "unk_token": "<unk>",
        "eos_token": "</s>",
        "bos_token": "<s>",
        "pad_token": "<|im_end|>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def _tokenizer(kind: str, tiny_model: Path) -> Any:
    if kind == "byte-level BPE":
        return AutoTokenizer.from_pretrained(tiny_model)
    if kind == "Unigram":
        trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=MARKS, unk_token="<unk>")
        return _trained(models.Unigram(), trainer, pre_tokenizers.Metaspace())
    if kind == "BPE":
        trainer = trainers.BpeTrainer(special_tokens=MARKS, vocab_size=100)
        split = pre_tokenizers.WhitespaceSplit()
        return _trained(models.BPE(unk_token="<unk>"), trainer, split)
    trainer = trainers.WordLevelTrainer(special_tokens=MARKS)
    split = pre_tokenizers.WhitespaceSplit()
    return _trained(models.WordLevel(unk_token="<unk>"), trainer, split)


@pytest.mark.parametrize("kind", ["byte-level BPE", "Unigram", "BPE", "WordLevel"])
def test_a_spelling_is_never_the_special_token(kind: str, tiny_model: Path) -> None:
    """Unigram, and BPE trained on text that holds the spelling, make it one by themselves."""
    tokenizer = _tokenizer(kind, tiny_model)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert special
    spelt = [*SPELT, *(f"a{mark} b" for mark in tokenizer.all_special_tokens)]
    for text, ids in zip(spelt, encode(tokenizer, spelt), strict=True):
        assert ids, text
        assert special.isdisjoint(ids), text


def test_the_documents_that_hold_one_are_counted() -> None:
    found = SpecialStrings(["<|odd one|>", "</s>", "!", "pad"])
    found.feed(
        ["a</s>", "b </s> c </s>", "an <|odd one|>", "<|im_end|>", "pad! [1] < 2 >", "plain"]
    )
    counts = {one.text: (one.documents, one.at_end, one.own) for one in found.found()}
    assert counts == {
        "</s>": (2, 2, True),
        "<|odd one|>": (1, 1, True),
        "<|im_end|>": (1, 1, False),
    }
