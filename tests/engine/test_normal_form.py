"""Normal forms: however a text is encoded, comparisons find it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.corpus.text import content_hash
from engine.gold.checks import taught
from engine.gold.example import Example
from engine.gold.metrics import METRICS, Answer
from engine.normal_form import composed, normal_text, normal_words
from engine.quality.boilerplate import Boilerplate
from engine.quality.contamination import Overlap
from engine.quality.heldout_leaks import Leaks
from engine.quality.near_duplicates import Signatures
from engine.quality.shingles import words_of
from engine.recipe.gate import Gate
from tests.engine.quality.test_contamination import prose

WIDE = {code - 0xFEE0: code for code in range(0xFF01, 0xFF5F)}
FORMS = {
    "nfd": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: text.translate(WIDE),
}


def accented(words: int, seed: int) -> str:
    """Made-up words with letters that both forms write in another way."""
    return prose(words, seed).replace("e", "é").replace("o", "ö").replace("u", "ü")


@pytest.mark.parametrize("form", FORMS)
def test_copies_in_another_form_are_exact_copies(form: str) -> None:
    text = accented(40, 1)
    other = FORMS[form](text)
    assert other != text
    assert content_hash(other) == content_hash(text)
    assert content_hash(other + " x") != content_hash(text)


@pytest.mark.parametrize("form", FORMS)
def test_gold_twins_and_leaks_are_found_in_another_form(form: str, tmp_path: Path) -> None:
    gold = [Example(accented(40, seed), " ja") for seed in range(5)]
    texts = [accented(60, 50), *(FORMS[form](item.prompt) for item in gold), gold[0].prompt]
    overlap, leaks, near = Overlap(gold), Leaks(tmp_path), Signatures(tmp_path)
    batch = words_of(texts)
    for search in (overlap, leaks, near):
        search.feed(batch)
    assert overlap.found().contaminated == [0, 1, 2, 3, 4]
    assert near.clusters().dropped.tolist() == [6]
    held = np.arange(7) == 1
    assert leaks.leaked(held, ~held)[0].tolist() in ([1], [])  # too few sampled runs say nothing
    grams = batch.grams(13)
    mine = [set(grams[0][batch.owners[grams[1]] == n].tolist()) for n in (1, 6)]
    assert mine[0] == mine[1]


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_right_in_another_form(form: str) -> None:
    gate = Gate(metric="regex", pattern=r"über (\d+)")
    gold = [Example("?", " Über 12 Größen, über 12")]
    given = [Answer(text=FORMS[form](gold[0].completion))]
    for name in ("exact_match", "token_f1", "rouge_l", "numeric"):
        assert METRICS[name].score(gold, given, gate) == [1.0], name
    composing = [Answer(text=FORMS["nfd"](gold[0].completion))]
    assert METRICS["regex"].score(gold, composing, gate) == [1.0]
    assert METRICS["exact_match"].score(gold, [Answer(text="über 12 größen, über 12")], gate) == [0]
    assert taught(gold, [Example(FORMS[form]("?"), "x")]) == [0]


def test_a_footer_is_one_line_in_every_form() -> None:
    footer = "Alle Rechte vorbehalten, größere Städte über alles."
    lines = Boilerplate()
    for form in (str, *FORMS.values()):
        lines.feed([f"{prose(20, hash(form) % 100)}\n{form(footer)}"])
    assert lines.lines()[0].documents == 3


def test_what_a_sign_means_stays_apart_where_the_text_counts() -> None:
    assert normal_text("x² ﬁ") == "x² ﬁ"
    assert normal_words("x² ﬁ co\u00adoperate Straße") == "x2 fi cooperate straße"
    assert normal_text("ｶﾞ\u3000Ａ１") == "ガ A1"
    assert composed("Ａe\u0301") == "Ａé"


@given(st.text())
def test_a_normal_form_is_its_own(text: str) -> None:
    assert normal_text(normal_text(text)) == normal_text(text)
    for form in ("NFC", "NFD"):
        assert normal_text(unicodedata.normalize(form, text)) == normal_text(text)
