"""Marks on the base's own words: the majority answers, a direct answer wins, none is named."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.decision import Evidence, Step
from engine.artifacts.probe import Continuation
from engine.decision.decide import decide
from engine.recipe.sections import Recipe
from engine.summary.findings import unanswered
from tests.engine.decision.decision_cases import evidence, recipe

TERMS = ("apixaban", "warfarin", "dabigatran", "heparin")
MARKS = st.dictionaries(st.sampled_from(TERMS), st.sampled_from(["passable", "not_passable"]))


def shown(count: int = 4) -> Evidence:
    told = [Continuation(term=t, prompt=f"{t} is", text="a bird") for t in TERMS[:count]]
    return evidence(explanations=told)


def explain(proof: Evidence, plan: Recipe) -> Step:
    return next(step for step in decide(proof, plan).path if step.node == "explain")


def answers(marks: dict[str, str], direct: str | None = None) -> dict[str, Any]:
    return {"explains_terms": direct, "term_marks": marks}


@given(MARKS)
def test_more_than_half_of_the_marked_terms_is_passable(marks: dict[str, str]) -> None:
    step = explain(shown(), recipe(answers(marks)))
    passable = sum(mark == "passable" for mark in marks.values())
    if not marks:
        assert step.answer.startswith("unanswered")
        assert step.outcome == "note"
        return
    assert step.outcome == ("no_go" if passable > len(marks) - passable else "go")
    assert f"{passable} of {len(marks)} marked terms passable" in step.answer
    assert not step.unverified


@given(MARKS, st.sampled_from(["passable", "not_passable"]))
def test_a_direct_answer_wins_over_the_marks(marks: dict[str, str], direct: str) -> None:
    step = explain(shown(), recipe(answers(marks, direct)))
    assert step.outcome == {"passable": "no_go", "not_passable": "go"}[direct]
    assert "your answer for all" in step.answer


def test_marks_of_other_terms_do_not_count() -> None:
    step = explain(shown(2), recipe(answers({"heparin": "passable", "apixaban": "not_passable"})))
    assert "0 of 1 marked terms passable" in step.answer
    assert explain(shown(1), recipe(answers({"heparin": "passable"}))).outcome == "note"


def test_marks_without_a_measurement_are_unverified() -> None:
    step = explain(evidence(explanations=[]), recipe(answers({"heparin": "passable"})))
    assert (step.outcome, step.unverified) == ("no_go", True)


def test_what_nobody_answered_is_named() -> None:
    bare = recipe({"explains_terms": None, "facts_once": None, "distil": None, "hurts": None})
    assert unanswered(decide(shown(), bare).path) == ["hurts", "explain", "facts", "distil"]
    assert unanswered(decide(shown(), recipe()).path) == []
