"""Contamination: planted gold items are found, frames, templates and common wording are not."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.gold.example import Example
from engine.gold.load import load_examples
from engine.quality.contamination import COMMON, Overlap, Overlapped
from engine.quality.shingles import words_of
from tests.material import MATERIAL, needs_material

RNG = random.Random(0)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prose(count: int, seed: int) -> str:
    """``count`` made-up words."""
    rng = random.Random(seed)
    return " ".join("".join(rng.choices(LETTERS, k=6)) for _ in range(count))


def look(items: list[Example], corpus: list[str], batch: int = 3) -> Overlapped:
    overlap = Overlap(items)
    for at in range(0, len(corpus), batch):
        overlap.feed(words_of(corpus[at : at + batch]))
    return overlap.found()


def items(count: int, size: int = 30) -> list[Example]:
    return [Example(prose(size, seed), " yes") for seed in range(count)]


def test_a_planted_item_is_found_with_its_place_and_words() -> None:
    gold = items(10)
    planted = f"{prose(50, 99)}\n{gold[4].prompt.upper().replace(' ', ', ')}.\n{prose(50, 98)}"
    found = look(gold, [prose(80, 90), prose(80, 91), prose(80, 92), planted])
    assert found.contaminated == [4]
    item, document, said = found.examples[0]
    assert (item, document) == (4, 3)
    assert said == " ".join(gold[4].prompt.split()[:13])


def test_nothing_is_found_where_nothing_is() -> None:
    found = look(items(20), [prose(200, seed) for seed in range(100, 120)])
    assert (found.contaminated, found.common, found.examples) == ([], [], [])


def test_half_of_an_item_is_not_the_item() -> None:
    gold = items(5)
    assert look(gold, [" ".join(gold[0].prompt.split()[:15])]).contaminated == []
    assert look(gold, [" ".join(gold[0].prompt.split()[:25])]).contaminated == [0]


def test_words_may_not_come_from_two_documents() -> None:
    gold = items(3)
    half = gold[0].prompt.split()
    assert look(gold, [" ".join(half[:16]), " ".join(half[14:])]).contaminated == []


def test_a_changed_word_does_not_hide_it() -> None:
    gold = items(3, size=60)
    words = gold[1].prompt.split()
    words[30] = "another"
    assert look(gold, [" ".join(words)]).contaminated == [1]


def test_a_frame_of_all_prompts_is_no_contamination() -> None:
    frame = "Classify the following question into one of these eight types and say why you do so"
    end = "Answer with the name of the type and with nothing else but the name please"
    gold = [Example(f"{frame}: {prose(20, n)}\n{end}:", " a") for n in range(40)]
    corpus = [f"{frame}: {prose(20, 900)}\n{end}:", f"{frame} {end}"]
    assert look(gold, corpus).contaminated == []
    assert look(gold, [*corpus, prose(20, 7)]).contaminated == [7]  # the item without its frame


def test_a_long_template_of_most_prompts_is_no_contamination() -> None:
    shots = prose(300, 500)
    gold = [Example(f"{shots} {prose(20, n)}", " a") for n in range(20)]
    assert look(gold, [shots]).contaminated == []
    assert look(gold, [f"{shots} {prose(20, 3)}"]).contaminated == [3]


def test_a_passage_of_several_questions_is_no_frame() -> None:
    gold = [Example(f"{prose(80, n // 6)} {prose(8, 50 + n)}", " a") for n in range(60)]
    found = look(gold, [f"{prose(20, 300)} {prose(80, 4)}"])
    assert found.contaminated == list(range(24, 30))


def test_wording_of_many_documents_is_common_not_contaminated() -> None:
    gold = [*items(4), Example(prose(30, 77), " yes")]
    corpus = [f"{prose(40, 200 + n)} {prose(30, 77)}" for n in range(COMMON + 1)]
    found = look(gold, corpus)
    assert (found.contaminated, found.common) == ([], [4])
    assert look(gold, corpus[:COMMON]).contaminated == [4]


def test_short_prompts_are_judged_with_their_answers() -> None:
    gold = [Example("What is it?", prose(30, 1)), Example("Why?", " yes")]
    found = look(gold, [f"What is it? {prose(30, 1)}", "Why? yes. Why? yes."])
    assert (found.contaminated, found.short) == ([0], 1)


def test_eight_words_are_enough() -> None:
    gold = [Example(prose(7, 1), " alpha"), Example(prose(5, 2), " beta")]
    found = look(gold, [f"x {prose(7, 1)} alpha y {prose(5, 2)} beta z"])
    assert (found.contaminated, found.short) == ([0], 1)


@settings(deadline=None, max_examples=40)
@given(st.sets(st.integers(0, 19)), st.integers(1, 7), st.randoms(use_true_random=False))
def test_exactly_the_planted_items_in_any_order(
    planted: set[int], batch: int, rng: random.Random
) -> None:
    gold = items(20)
    corpus = [prose(60, 1000 + n) for n in range(10)] + [gold[n].prompt for n in planted]
    rng.shuffle(corpus)
    found = look(gold, corpus, batch)
    assert found.contaminated == sorted(planted)
    assert {document for _, document, _ in found.examples} <= set(range(len(corpus)))


def test_no_items_and_no_corpus() -> None:
    assert look([], [prose(40, 1)]) == Overlapped()
    assert look(items(2), []) == Overlapped()
    assert look(items(2), ["", " "]) == Overlapped()


@cache
def medical() -> tuple[list[Example], list[str], set[int]]:
    """Gold items, the corpus, and the items whose passage really stands in it."""
    assert MATERIAL is not None
    gold = load_examples(MATERIAL / "tasks/medical_question_type/test.jsonl")
    lines = (MATERIAL / "domains/medical/corpus.jsonl").read_text().splitlines()
    corpus = [json.loads(line)["text"] for line in lines]
    return gold, corpus, set(look(gold, corpus, 300).contaminated)


@needs_material
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_planted_in_real_text(share: float) -> None:
    gold, corpus, before = medical()
    planted = set(random.Random(1).sample(range(len(gold)), round(share * len(gold))))
    found = look(gold, corpus + [gold[n].prompt for n in planted], 300)
    assert len(before) <= 0.03 * len(gold)
    assert len(planted & set(found.contaminated)) >= 0.9 * len(planted)
    assert planted <= set(found.contaminated) | set(found.common)
    assert len(set(found.contaminated) - planted - before) <= 0.01 * len(gold)


@needs_material
def test_nothing_in_another_domain() -> None:
    assert MATERIAL is not None
    gold = load_examples(MATERIAL / "tasks/medical_question_type/test.jsonl")
    texts = [p.read_text() for p in sorted(Path(MATERIAL / "domains/legal").rglob("*.md"))[:150]]
    found = look(gold, texts, 50)
    assert (found.contaminated, found.common) == ([], [])
