"""Separators: marks between documents are borders; the same marks in a sentence are text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.corpus.corpus import Corpus
from engine.corpus.separators import separators
from engine.recipe.sections import Source

TEXTS = [f"Text number {n} is about rivers. It ends here." for n in range(12)]
JOINED = {
    "inline": "<|endoftext|>".join(TEXTS),
    "with a blank": " <|endoftext|> ".join(TEXTS),
    "on lines": "\n<|endoftext|>\n".join(TEXTS) + "\n",
    "at line ends": "</s>\n".join(TEXTS) + "</s>\n",
    "in pairs": "".join(f"<s> {text} </s>" for text in TEXTS),
    "begun": "".join(f"<|begin_of_text|>{text}\n" for text in TEXTS),
    "another model's": "<｜end▁of▁sentence｜>".join(TEXTS),
    "a turn's end": "<|im_end|>\n".join(TEXTS) + "<|im_end|>",
    "gpt-2-simple": "".join(f"<|startoftext|>{text}<|endoftext|>\n" for text in TEXTS),
}


@pytest.mark.parametrize("joined", JOINED.values(), ids=JOINED)
def test_documents_are_split_where_marks_stand_regularly(tmp_path: Path, joined: str) -> None:
    (tmp_path / "a.txt").write_text(joined)
    corpus = Corpus(Source(path=str(tmp_path / "a.txt")))
    assert [document.text.strip() for document in corpus.documents()] == TEXTS
    assert sum(corpus.ledger.separators.values()) >= len(TEXTS) - 1


def test_beside_marks_on_lines_of_their_own_a_quoted_one_is_text(tmp_path: Path) -> None:
    texts = [*TEXTS, "Code may hold EOS = '<|endoftext|>' within a line."]
    (tmp_path / "a.txt").write_text("\n<|endoftext|>\n".join(texts) + "\n")
    assert [d.text for d in Corpus(Source(path=str(tmp_path / "a.txt"))).documents()] == texts


@pytest.mark.parametrize("mark", ["</s>", "<|endoftext|>", "<|im_end|>", "[EOS]"])
def test_a_mark_at_the_end_of_every_record_is_dropped(tmp_path: Path, mark: str) -> None:
    """The second record holds two documents."""
    rows = [TEXTS[0] + mark, TEXTS[1] + mark + TEXTS[2] + mark, *(t + mark for t in TEXTS[3:])]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    corpus = Corpus(Source(path=str(path)))
    assert [document.text for document in corpus.documents()] == TEXTS
    assert corpus.ledger.separators == {mark: len(TEXTS)}


TEXT = {
    "quoted": "The `<|endoftext|>` token ends a text, and `</s>` does for Llama. " * 9,
    "in a sentence": "We use <|endoftext|> as EOS and <|im_end|> as the end of a turn. " * 9,
    "struck": "The price is <s>ten</s> eight, then <s>eight</s> six, <s>six</s> four. " * 9,
    "a conversation": "<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\nHi.<|im_end|>\n"
    * 9,
    "WikiText's": "the <unk> of the <unk> was built . " * 9,
    "a list": "specials = ['<s>', '</s>', '<eos>', '[EOS]']\n" * 9,
    "none": "a < b and [1] are no marks. " * 9,
}


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
def test_a_mark_in_a_sentence_is_text(text: str) -> None:
    assert separators(text) == ()


def test_code_is_never_split(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('EOS = """\n<|endoftext|>\n"""\n' * 20)
    (tmp_path / "b.py").write_text("x = 1\n")
    assert len(list(Corpus(Source(path=str(tmp_path))).documents())) == 2
