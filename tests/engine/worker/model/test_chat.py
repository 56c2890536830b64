"""Signs of a chat model: its name, its template, its tokens of turns."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.worker.model.chat import chat_signs
from tests.folders import resolved

NAMES = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": "instruct",
    "google/gemma-3-270m-it": "it",
    "TinyLlama-1.1B-Chat-v1.0": "chat",
    "HuggingFaceTB/SmolLM2-135M": "",
    "someone/chatty": "",
    "kit/italian-base": "",
    "chat/base": "",
}


@pytest.mark.parametrize(("name", "word"), NAMES.items())
def test_by_its_name(tiny_model: Path, name: str, word: str) -> None:
    signs = chat_signs(dataclasses.replace(resolved(tiny_model), name=name))
    assert (signs.name, signs.is_chat) == (word, bool(word))


def test_by_its_tokenizer(tiny_model: Path) -> None:
    base = dataclasses.replace(resolved(tiny_model), name="base")
    base.tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    signs = chat_signs(base)
    assert (signs.tokens, signs.template, signs.is_chat) == (["<|im_start|>"], False, False)
    base.tokenizer.chat_template = "{{ messages }}"
    assert chat_signs(base).is_chat
