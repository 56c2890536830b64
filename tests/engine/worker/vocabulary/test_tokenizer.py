"""New tokens in real tokenizers: what is read comes back, cut where the base cuts; and new rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as token_models
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.tokens.store import encode
from engine.worker.vocabulary import merges as choosing
from engine.worker.vocabulary import tokenizer as vocab
from engine.worker.vocabulary.merges import Word
from tests import tiny
from tests.material import MATERIAL, needs_material

REAL = ("models/novel3m", "models/stories260k", "tokenizers/smollm2")
TEXTS = [
    "Glioblastoma multiforme is an astrocytoma; glioblastomas are glial tumours. " * 8,
    "  The\tglioblastoma\n\nGlioblastoma-like \u03b1-synuclein, \u03b1\u03b2\u03b3 42. " * 8,
    "Na\u00efve glioblastoma's don't caf\u00e9\u0301 astrocytoma\u2014astrocytoma <|im_end|></s> "
    * 8,
]
WORDS = st.sampled_from(
    [
        " glioblastoma",
        "Glioblastoma",
        "astro",
        "cytoma",
        "\u03b1",
        "\u03b1\u03b2",
        "\u795e\u7d4c",
        " ",
        "\n",
        "'s",
        "-",
        "7",
    ]
)
MIXED = st.lists(WORDS | st.text(max_size=6), max_size=12).map("".join)
LOOK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Store:
    """A token store in memory, as far as counting words reads one."""

    def __init__(self, documents: Sequence[Sequence[int]]) -> None:
        self._documents = [np.array(ids, dtype=np.uint16) for ids in documents]
        self.order = np.arange(len(documents))

    def document(self, index: int) -> Any:
        return self._documents[index]


class Wider:
    """A tokenizer before and after, and the old pieces of each new token."""

    def __init__(self, before: Any, folder: Path, texts: list[str], least: int = 4) -> None:
        self.before = before
        known = vocab.pieces_of(before)
        store: Any = Store(encode(before, texts))
        self.words = known.words(store, store.order)
        self.found = choosing.merges(self.words, known.texts, 500, least, set(known.texts))
        self.stands_for = choosing.pieces(self.found)
        vocab.write_tokenizer(before, known, self.found, folder)
        self.after = AutoTokenizer.from_pretrained(folder)

    def check(self, text: str) -> None:
        """Same characters back, and cut where the base cuts."""
        (old,), (new,) = encode(self.before, [text]), encode(self.after, [text])
        assert [p for token in new for p in self.stands_for.get(token, (token,))] == old
        told = [
            t.decode(ids, clean_up_tokenization_spaces=False)
            for t, ids in ((self.before, old), (self.after, new))
        ]
        assert told[0] == told[1]


@pytest.fixture(scope="module", params=REAL)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Wider:
    if MATERIAL is None:
        pytest.skip("real material is absent (set CPT_MATERIAL to its folder)")
    before = AutoTokenizer.from_pretrained(MATERIAL / request.param)
    with (MATERIAL / "domains/medical/corpus.jsonl").open() as lines:
        medical = [json.loads(next(lines))["text"] for _ in range(60)]
    return Wider(before, tmp_path_factory.mktemp("wider"), TEXTS + medical)


@needs_material
@LOOK
@given(text=MIXED)
@example(text=TEXTS[0])
@example(text=TEXTS[1])
@example(text=TEXTS[2])
def test_a_real_tokenizer_reads_back_what_it_read(real: Wider, text: str) -> None:
    real.check(text)


@needs_material
def test_a_real_tokenizer_reads_shorter_and_keeps_its_special_tokens(real: Wider) -> None:
    assert len(real.found) > 50
    assert len(real.after) == len(real.before) + len(real.found)
    old, new = ([len(ids) for ids in encode(t, TEXTS)] for t in (real.before, real.after))
    assert sum(new) < 0.9 * sum(old)
    for name in ("bos_token_id", "eos_token_id", "all_special_ids"):
        assert getattr(real.after, name) == getattr(real.before, name)
    end = real.before.eos_token
    assert real.after(f"a{end}b")["input_ids"] == real.before(f"a{end}b")["input_ids"]


def trained(split: Any, decoder: Any, **options: Any) -> Any:
    """A small BPE tokenizer whose special tokens stand outside its vocabulary, behind it."""
    made = Tokenizer(token_models.BPE(**options))
    made.pre_tokenizer, made.decoder = split, decoder
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(tiny.documents(40, 0), trainer)
    made.add_special_tokens(
        [AddedToken("<|begin|>", special=True), AddedToken("<|end|>", special=True)]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", made.token_to_id("<|begin|>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|begin|>", eos_token="<|end|>"
    )


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
KINDS = {
    "specials behind the vocabulary": lambda: trained(BYTES, decoders.ByteLevel()),
    "whole words first (Llama 3)": lambda: trained(BYTES, decoders.ByteLevel(), ignore_merges=True),
    "a blank's mark (Llama 2)": lambda: trained(pre_tokenizers.Metaspace(), decoders.Metaspace()),
    "a blank before the text": lambda: trained(pre_tokenizers.ByteLevel(), decoders.ByteLevel()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_bpe(kind: str, tmp_path: Path) -> None:
    texts = tiny.documents(30, 1, domain=True)
    wider = Wider(KINDS[kind](), tmp_path, texts)
    assert wider.found
    assert len(wider.after) == len(wider.before) + len(wider.found)
    for text in texts[:10]:
        wider.check(text)
    for name in ("bos_token_id", "eos_token_id"):
        assert getattr(wider.after, name) == getattr(wider.before, name)
    assert wider.after("<|end|>")["input_ids"] == wider.before("<|end|>")["input_ids"]
    assert min(wider.stands_for) > max(wider.before.get_vocab().values())
    vocab.prove(wider.before, wider.after, texts)


def test_a_tokenizer_that_has_no_merges_is_refused(tmp_path: Path) -> None:
    unigram = Tokenizer(token_models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    words = Tokenizer(token_models.BPE({"a": 0, "b</w>": 1}, [], end_of_word_suffix="</w>"))
    for made, said in ((unigram, "Unigram"), (words, "end_of_word_suffix")):
        with pytest.raises(InputError, match=said):
            vocab.pieces_of(PreTrainedTokenizerFast(tokenizer_object=made))


def test_a_tokenizer_that_would_read_back_something_else_is_refused(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    other = AutoTokenizer.from_pretrained(tiny_model)
    other.add_tokens([AddedToken("river", lstrip=True, normalized=False)])  # eats the blank
    with pytest.raises(InputError, match="reads its own text back as"):
        vocab.prove(tokenizer, other, ["the river"])


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_new_rows_are_the_mean_of_their_pieces(tmp_path: Path, tied: bool) -> None:
    """In embeddings and head, tied as before; all old logits stay as they are."""
    folder = tiny.write_model(tmp_path / "m", tied=tied)
    base = models.resolve(recipes.Model(id=str(folder)))
    known = vocab.pieces_of(base.tokenizer)
    store: Any = Store(encode(base.tokenizer, tiny.documents(30, 1, domain=True)))
    words: dict[Word, int] = known.words(store, store.order)
    found = choosing.merges(words, known.texts, 30, 5, set(known.texts))
    stands_for = choosing.pieces(found)
    wide = vocab.write_base(base, known, found, stands_for, tmp_path / "wide")
    old, new = models.load(base), AutoModelForCausalLM.from_pretrained(wide.folder)
    same = new.get_input_embeddings().weight is new.get_output_embeddings().weight
    assert same == tied
    for getter in ("get_input_embeddings", "get_output_embeddings"):
        before, after = (getattr(m, getter)().weight for m in (old, new))
        assert torch.equal(after[: len(before)], before)
        for token, word in stands_for.items():
            assert torch.allclose(after[token], before[list(word)].mean(dim=0), atol=1e-7)
    ids = torch.tensor(encode(base.tokenizer, tiny.documents(1, 2)))
    with torch.no_grad():
        logits = [m(input_ids=ids, use_cache=False).logits for m in (old, new)]
    assert torch.equal(logits[0], logits[1][..., : len(known.texts)])
