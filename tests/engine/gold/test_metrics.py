"""The metrics: known values, published implementations where they are installed, and laws."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.gold.example import Example
from engine.gold.metrics import (
    METRICS,
    Answer,
    Metric,
    f1_values,
    item_scores,
    number_in,
    squad_words,
)
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe


def score(metric: str, pairs: list[tuple[str, str]], **gate: Any) -> list[float]:
    """Scores of (completion, continuation) pairs."""
    gold = [Example("p", completion) for completion, _ in pairs]
    made = Gate.model_validate({"metric": metric, **gate})
    METRICS[metric].check(gold, made)
    return item_scores(gold, [Answer(text=text) for _, text in pairs], made)


@pytest.fixture
def first_letter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new metric: its function and its entry. The recipe is built anew, as at a start."""

    def score(gold: Any, answers: Any, gate: Any) -> list[float]:
        pairs = zip(gold, answers, strict=True)
        return [float(e.completion[:1] == a.text[:1]) for e, a in pairs]

    with monkeypatch.context() as patch:
        patch.setitem(METRICS, "first_letter", Metric(score, "share of right first letters"))
        for section in (Gate, Recipe):
            section.model_rebuild(force=True)
        yield
    for section in (Gate, Recipe):
        section.model_rebuild(force=True)


@pytest.mark.usefixtures("first_letter")
def test_a_new_metric_is_one_entry() -> None:
    assert score("first_letter", [("ab", "ac"), ("ab", "b")]) == [1.0, 0.0]
    values = {"model": {"id": "m"}, "corpus": {"path": "c"}, "gate": {"metric": "first_letter"}}
    assert Recipe.model_validate(values).gate.metric == "first_letter"


def test_a_metric_without_an_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="Input should be 'choice', 'choice_norm'"):
        Gate.model_validate({"metric": "first_letter"})


# --- choices ------------------------------------------------------------------------------


def test_length_is_normalised_by_bytes_of_the_choice() -> None:
    """Ten nats for ten bytes beat two nats for one byte; an umlaut has two."""
    example = Example("p", "stone river", ("stone river", "x"))
    answer = Answer((-11.0, -2.0))
    assert item_scores([example], [answer], Gate(metric="choice")) == [0.0]
    assert item_scores([example], [answer], Gate(metric="choice_norm")) == [1.0]
    wide = Example("p", "ä", ("ä", "xy"))
    tie = Answer((-3.0, -3.0))
    assert item_scores([wide], [tie], Gate(metric="choice_norm")) == [1.0]
    assert item_scores([wide], [Answer((-3.1, -3.0))], Gate(metric="choice_norm")) == [0.0]


labels = st.sampled_from("abcd")


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_macro_f1_values_average_to_sklearns_macro_f1(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, found = zip(*pairs, strict=True)
    expected = metrics.f1_score(
        truth, found, labels=sorted(set(truth)), average="macro", zero_division=0
    )
    assert np.mean(f1_values(truth, found)) == pytest.approx(expected, abs=1e-12)


def plain_macro_f1(truth: Any, found: Any, weights: Any) -> float:
    """From the definition, with a weight for each item."""
    scores = []
    for name in sorted(set(truth)):
        hit = sum(w for t, f, w in zip(truth, found, weights, strict=True) if t == f == name)
        size = sum(
            w * ((t == name) + (f == name)) for t, f, w in zip(truth, found, weights, strict=True)
        )
        scores.append(2 * hit / size)
    return float(np.mean(scores))


@given(st.lists(st.tuples(labels, labels), min_size=2, max_size=40), st.data())
@settings(deadline=None, max_examples=50)
def test_macro_f1_values_are_the_derivative_in_an_items_weight(
    pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    truth, found = zip(*pairs, strict=True)
    item = data.draw(st.integers(0, len(pairs) - 1))
    weights = np.ones(len(pairs))
    whole = plain_macro_f1(truth, found, weights)
    step = 1e-6
    weights[item] += step
    slope = (plain_macro_f1(truth, found, weights) - whole) / step
    assert f1_values(truth, found)[item] == pytest.approx(
        whole + len(pairs) * slope, rel=1e-3, abs=1e-3
    )


def test_macro_f1_spread_is_the_bootstraps() -> None:
    """The values' standard error against 4,000 resamplings of 400 items, one class in ten."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(400) < 0.1, "rare", "common")
    found = np.where(rng.random(400) < 0.2, "rare", truth)
    values = np.array(f1_values(truth.tolist(), found.tolist()))
    picks = rng.integers(0, 400, (4000, 400))
    drawn = [np.mean(f1_values(truth[p].tolist(), found[p].tolist())) for p in picks[:600]]
    assert values.std() / 20 == pytest.approx(np.std(drawn), rel=0.1)


def test_a_rare_items_value_leaves_the_unit_range() -> None:
    values = f1_values(["a"] + ["b"] * 9, ["a"] + ["b"] * 8 + ["a"])
    assert max(values) > 1
    assert not METRICS["macro_f1"].bounded


def test_macro_f1_reads_labels_and_needs_shared_choices() -> None:
    choices = (" yes", " no", " nope")
    gold = [Example("p", " yes", choices, "y"), Example("q", " no", choices, "n")]
    gold += [Example("r", " nope", choices, "n")]
    answers = [Answer((0.0, -1, -1)), Answer((-1, -1, 0.0)), Answer((-1, 0.0, -1))]
    gate = Gate(metric="macro_f1")
    assert np.mean(item_scores(gold, answers, gate)) == pytest.approx(1)
    with pytest.raises(InputError, match="gold item 2 has other choices"):
        METRICS["macro_f1"].check([gold[0], Example("q", "a", ("a", "b"))], gate)


# --- continuations ------------------------------------------------------------------------


def test_exact_match_is_up_to_outer_white_space() -> None:
    assert score("exact_match", [(" a b", "a b\n"), ("a", "A"), ("a b", "a  b")]) == [1, 0, 0]


def test_token_f1_as_squad_gives_it() -> None:
    pairs = [
        ("The river, stone.", "river stone"),
        ("a river", "the rivers"),
        ("cat sat mat", "cat sat on mat mat"),
        ("the", "an"),
        ("river", ""),
    ]
    assert score("token_f1", pairs) == pytest.approx([1, 0, 0.75, 1, 0])
    assert squad_words("An  Apple's pie") == ["apples", "pie"]


TEXTS = [
    ("The quick brown fox jumps", "the fox quick jumps over"),
    ("a b c d e", "e d c b a"),
    ("police killed the gunman", "the gunman police killed"),
    ("x", "y"),
    ("one two", ""),
]


def test_rouge_l_known_values() -> None:
    """Lin 2004, section 3: "police killed the gunman" has an LCS of two words there."""
    expected = [2 * 3 / 10, 2 / 10, 0.5, 0, 0]
    assert score("rouge_l", TEXTS) == pytest.approx(expected)


words = st.text("ab c.'1", max_size=20)


@given(st.lists(st.tuples(words, words), max_size=5))
@settings(deadline=None)
def test_rouge_l_is_rouge_scores(pairs: list[tuple[str, str]]) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    expected = [scorer.score(a, b)["rougeL"].fmeasure for a, b in TEXTS]
    assert score("rouge_l", TEXTS) == pytest.approx(expected)
    for a, b in pairs:
        mine = METRICS["rouge_l"].score([Example("p", a)], [Answer(text=b)], Gate())[0]
        both_empty = not any(c.isalnum() for c in a + b)
        assert mine == pytest.approx(1.0 if both_empty else scorer.score(a, b)["rougeL"].fmeasure)


def test_pattern_of_the_recipe_compares_what_it_finds() -> None:
    pairs = [("so the answer is B", "I think: answer is B."), ("answer is B", "answer is C")]
    pairs += [("answer is B", "no idea")]
    assert score("regex", pairs, pattern=r"answer is (\w)") == [1, 0, 0]
    assert score("regex", [("B and more", "B"), ("A", "xB")], pattern="[AB]") == [1, 0]


def test_pattern_of_an_item_only_has_to_match() -> None:
    gate = Gate(metric="regex")
    gold = [Example("p", "42 mg", pattern=r"4\d ?mg")] * 2
    METRICS["regex"].check(gold, gate)
    answers = [Answer(text="about 40mg"), Answer(text="50 mg")]
    assert item_scores(gold, answers, gate) == [1, 0]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("", "has no pattern"), ("(", "is no pattern"), ("x", "does not match the completion")],
)
def test_broken_patterns_are_said_before(pattern: str, words: str) -> None:
    gold = [Example("p", "abc", pattern=pattern)]
    with pytest.raises(InputError, match=words):
        METRICS["regex"].check(gold, Gate(metric="regex"))


def test_a_hostile_pattern_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.gold.metrics.PATTERN_SECONDS", 0.2)
    gold = [Example("p", "b", pattern=r"(a|a|b)*c|b$")]
    started = time.monotonic()
    answer = Answer(text="a" * 60 + "!")
    assert item_scores(gold, [answer], Gate(metric="regex")) == [0]
    assert time.monotonic() - started < 3


def test_numbers() -> None:
    found = [number_in(t) for t in ("is 1,234.5 kg", "-3e2", "x .5", "none", "3 of 4", "1,23")]
    assert found == [1234.5, -300, 0.5, None, 4, 23]


def test_numeric_tolerance_is_a_share_of_the_gold_number() -> None:
    pairs = [
        ("100", "so 104"),
        ("100", "106"),
        ("0", "0"),
        ("0", "0.01"),
        ("-2", "-2.2"),
    ]
    assert score("numeric", pairs, tolerance=0.05) == [1, 0, 1, 0, 0]
    assert score("numeric", [("0.3", "0.30"), ("2", "2.001"), ("5", "?")]) == [1, 0, 0]


texts = st.text(max_size=30)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_every_bounded_score_is_a_share_and_the_right_text_has_one(
    pairs: list[tuple[str, str]],
) -> None:
    gold = [Example("p", completion) for completion, _ in pairs]
    for name in ("exact_match", "token_f1", "rouge_l", "numeric"):
        gate = Gate.model_validate({"metric": name})
        scored = item_scores(gold, [Answer(text=text) for _, text in pairs], gate)
        assert all(0 <= value <= 1 for value in scored)
        right = item_scores(gold, [Answer(text=text) for text, _ in pairs], gate)
        told = [name != "numeric" or number_in(text) is not None for text, _ in pairs]
        assert [value for value, tell in zip(right, told, strict=True) if tell] == [1.0] * sum(told)


def test_an_answer_without_a_score_is_nan() -> None:
    assert math.isnan(Answer().logprob)
