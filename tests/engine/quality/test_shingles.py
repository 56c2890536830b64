"""Words and shingles of a batch: the same as the plain definition, whatever the text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.quality.shingles import LONG, NEAR, Words, words_of

STABLE = 7003702146407501101
"""The same in every process and on every machine."""

TEXTS = st.lists(
    st.text(alphabet=st.sampled_from("abÄß1 .,\n—“漢字_"), max_size=60), min_size=0, max_size=6
)


def words(batch: Words, text: int) -> list[str]:
    codes = batch.codes[batch.starts[text] : batch.starts[text + 1]]
    return [batch.distinct[code] for code in codes]


def test_case_punctuation_and_scripts() -> None:
    batch = words_of(["Hello, “World”—naïve 漢字", "", "?!", "don't x_y B12"])
    assert words(batch, 0) == ["hello", "world", "naïve", "漢", "字"]
    assert words(batch, 1) == words(batch, 2) == []
    assert words(batch, 3) == ["don", "t", "x", "y", "b12"]
    assert batch.lengths.tolist() == [5, 0, 0, 5]


def test_grams_are_stable_and_depend_on_order() -> None:
    grams, places = words_of(["one two three four five six", "six five four three two one"]).grams(
        NEAR
    )
    assert places.tolist() == [0, 1, 6, 7]
    assert len(set(grams.tolist())) == 4
    assert grams[0] == STABLE


@settings(deadline=None, max_examples=60)
@given(TEXTS)
def test_grams_equal_the_plain_definition(texts: list[str]) -> None:
    batch = words_of(texts)
    for length in (NEAR, LONG):
        grams, places = batch.grams(length)
        runs = [
            (text, tuple(words(batch, text)[at : at + length]))
            for text in range(len(texts))
            for at in range(len(words(batch, text)) - length + 1)
        ]
        assert batch.owners[places].tolist() == [text for text, _ in runs]
        known: dict[tuple[str, ...], int] = {}
        for (_, run), gram in zip(runs, grams.tolist(), strict=True):
            assert known.setdefault(run, gram) == gram
        assert len(set(known.values())) == len(known)


@given(TEXTS)
@settings(deadline=None, max_examples=30)
def test_a_text_has_the_same_grams_in_any_batch(texts: list[str]) -> None:
    together, places = words_of(texts).grams(NEAR)
    owners = words_of(texts).owners[places]
    for number, text in enumerate(texts):
        assert words_of([text]).grams(NEAR)[0].tolist() == together[owners == number].tolist()
