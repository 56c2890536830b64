"""The guard of a chat model: the worse of generic text and held-out answers decides."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from engine.artifacts.record import Interval
from engine.gate.chat_guard import chat_rise_of, with_chat
from engine.gate.judge import judge
from engine.recipe.gate import Gate
from engine.thresholds import effective

LIMITS = effective({})
BASE = [[0.0] * 40] * 5
CPT = [[1.0] * 38 + [0.0] * 2] * 5


def rise(value: float) -> Interval:
    return Interval(value=value, low=value - 0.005, high=value + 0.005)


@pytest.mark.parametrize(
    ("generic", "chat", "guard", "label", "said"),
    [
        (0.0, 0.0, "green", "", None),
        (0.0, 0.03, "amber", "", "held-out answers rose by 0.030 nats, at most 0.035 (amber)"),
        (0.0, 0.2, "red", "at a cost", "train the base model that this one was made from"),
        (0.2, 0.0, "red", "at a cost", "generic loss rose by 0.200"),
        (0.03, 0.2, "red", "at a cost", "generic loss rose by 0.030 nats, at most 0.035 (amber)"),
    ],
)
def test_the_worse_half_decides(
    generic: float, chat: float, guard: str, label: str, said: str | None
) -> None:
    gate = Gate()
    before = judge(BASE, CPT, gate, rise(generic), LIMITS)
    found = with_chat(before, rise(chat), gate, LIMITS)
    assert (found.outcome, found.guard, found.label) == ("EARNED", guard, label)
    assert chat_rise_of(found) == rise(chat)
    assert (said or "EARNED") in found.sentence
    assert found.sentence.count("rose") == (generic > 0.02) + (chat > 0.02)
    strict = Gate(require_retention=True)
    hurt = with_chat(judge(BASE, CPT, strict, rise(generic), LIMITS), rise(chat), strict, LIMITS)
    assert (hurt.outcome == "HURT") == (guard == "red")


def test_without_answers_the_verdict_is_as_it_was() -> None:
    before = judge(BASE, CPT, Gate(), rise(0.0), LIMITS)
    assert with_chat(before, None, Gate(), LIMITS) is before
    assert chat_rise_of(before) is None


def test_the_embedded_conversations_are_whole() -> None:
    text = (files("engine") / "data" / "chat_sample.jsonl").read_text()
    rows = [json.loads(line)["messages"] for line in text.splitlines()]
    assert len(rows) == 40
    for turns in rows:
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert all(turn["content"].strip() for turn in turns)
    assert len({turns[0]["content"] for turns in rows}) == len(rows)
