"""The decision tree: every leaf, early exit, unverified answers, and that it is total."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.artifacts.decision import Evidence, Step
from engine.artifacts.probe import Continuation, Cost
from engine.artifacts.record import Interval
from engine.decision.case import Case
from engine.decision.decide import decide, settled, walk
from engine.decision.tree import NODES
from engine.formatting import format_duration
from engine.recipe.defaults import default_rank
from engine.recipe.sections import Interview, Recipe
from tests.engine.decision.decision_cases import (
    LEAVES,
    ORDER,
    evidence,
    fertility,
    files,
    fluency,
    ordered,
    pilot,
    recipe,
    repeating,
    scan,
)


def step(node: str, proof: Evidence, plan: Recipe) -> Step:
    return next(step for step in decide(proof, plan).path if step.node == node)


def test_go() -> None:
    verdict = decide(evidence(), recipe())
    assert verdict.outcome == "GO"
    assert verdict.deciding_node == "surprise"
    assert "permission to run the gate, not a promise" in verdict.sentence
    assert "1.40" in verdict.sentence


def test_path_is_complete_and_in_order() -> None:
    assert [node.id for node in NODES] == ORDER
    for proof, plan in ((evidence(), recipe()), (Evidence(), recipe({"hurts": "format"}))):
        assert [step.node for step in walk(Case(proof, plan))] == ORDER


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_nodes_read_and_ask_existing_fields(node: Any) -> None:
    assert "{" not in node.rule
    assert node.question.endswith("?")
    if node.asks and "." not in node.asks:
        assert node.asks in Interview.model_fields
    for option in node.options:
        Interview.model_validate({node.asks: option.value})


@pytest.mark.parametrize(("node", "proof", "answers", "outcome", "words"), LEAVES)
def test_leaf(
    node: str, proof: dict[str, Any], answers: dict[str, Any], outcome: str, words: str
) -> None:
    found = step(node, evidence(**proof), recipe(answers))
    assert found.outcome == outcome
    assert words in found.answer
    if outcome in ("no_go", "not_yet"):
        assert found.instead


def test_each_no_go_decides() -> None:
    for node, proof, answers, outcome, _ in LEAVES:
        verdict = decide(evidence(**proof), recipe(answers))
        if outcome == "no_go":
            assert (verdict.outcome, verdict.deciding_node) == ("NO-GO", node)
            assert verdict.instead
        elif outcome == "not_yet" or (outcome == "open" and node not in ("fertility", "cost")):
            assert (verdict.outcome, verdict.deciding_node) in {
                ("NOT YET", node),
                ("NOT YET", "shape"),  # without a scan, size waits behind shape
            }
        else:
            assert verdict.outcome == ("NOT YET" if proof.get("scan", 1) is None else "GO")


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({}, "missing gold set (gate.gold) and SFT data (gate.sft)"),
        ({"gold": "g"}, "missing SFT data (gate.sft)"),
        ({"sft": "s"}, "missing gold set (gate.gold)"),
    ],
)
def test_no_gate_names_the_missing_file(gate: dict[str, str], words: str) -> None:
    found = step("gate", evidence(gate=None), recipe(gate=gate))
    assert found.outcome == "not_yet"
    assert found.answer == f"no gate, no CPT: {words}"


def test_too_blunt_gold_set_says_how_many_items() -> None:
    found = step("gate", evidence(gate=files(gold_items=50, mde=15.9, items_wanted=163)), recipe())
    assert found.instead == "about 163 independent gold items would do, or more seeds"
    few = step("gate", evidence(gate=files(seeds=3, mde=20)), recipe())
    assert "no number of items" in few.instead


def test_too_few_items_say_that_no_number_of_seeds_will_do() -> None:
    small = files(gold_items=80, mde=14.0, floor=9.1, plausible_gain=4.0, items_wanted=600)
    found = step("gate", evidence(gate=small), recipe())
    assert "no number of seeds shows less than 9.1 points" in found.answer
    assert found.instead == "about 600 independent gold items would do"


def test_spare_rows_are_a_way_out_of_a_too_blunt_gold_set() -> None:
    small = files(gold_items=480, mde=4.7, plausible_gain=4.0, enough_spare_at=550)
    found = step("gate", evidence(gate=small), recipe())
    assert found.outcome == "not_yet"
    assert "gate.probe.max_examples = 550" in found.instead


def test_first_no_go_in_tree_order_wins() -> None:
    proof = evidence(scan=scan(1000, "chat"))
    assert decide(proof, recipe()).deciding_node == "shape"
    assert decide(proof, recipe({"hurts": "format"})).deciding_node == "hurts"
    assert decide(proof, recipe({"hurts": None})).outcome == "NO-GO"


def test_not_yet_names_the_other_nodes() -> None:
    verdict = decide(evidence(gate=None), recipe({"hurts": None, "fluency_goal": ""}))
    assert verdict.outcome == "NOT YET"
    assert verdict.sentence == "What hurts today: unanswered (also: goal, gate)."


def test_settled_exits_early() -> None:
    assert settled(Evidence(), recipe()) is None
    assert settled(Evidence(scan=scan()), recipe()) is None
    for proof, answers, node in (
        (Evidence(), {"hurts": "fails_task"}, "hurts"),
        (Evidence(scan=scan(kind="chat")), {}, "shape"),
        (Evidence(scan=scan(10)), {}, "size"),
        (
            Evidence(scan=scan(), fluency=fluency(1, 1, 1.05), pilot=pilot(0, 0, 0)),
            {},
            "surprise",
        ),
    ):
        verdict = settled(proof, recipe(answers))
        assert verdict is not None
        assert (verdict.outcome, verdict.deciding_node) == ("NO-GO", node)


def test_unverified_answer_weakens_go() -> None:
    verdict = decide(evidence(fluency=None, pilot=None), recipe({"surprising": True}))
    assert (verdict.outcome, verdict.deciding_node) == ("NOT YET", "surprise")
    assert verdict.path[3].unverified
    assert not verdict.path[3].measured


def test_thresholds_overridden_are_shown_and_used() -> None:
    limits = {"tokens_noise": 100.0, "tokens_small": 200.0, "fluent_gain": 0.02}
    plan = recipe(probe={"thresholds": limits})
    verdict = decide(evidence(scan=scan(300)), plan)
    assert verdict.outcome == "GO"
    assert verdict.thresholds_overridden == {"tokens_noise": 100.0, "tokens_small": 200.0}
    assert "Below 100 tokens" in verdict.path[2].rule


def test_deviations_quote_their_reason() -> None:
    plan = recipe(
        train={"method": "full", "why_full": "new script", "epochs": 2, "why_epochs": "tiny"},
        pack={"mix_back": 0, "why_no_mix_back": "generic is worthless"},
    )
    answer = step("method", evidence(), plan).answer
    for reason in ("new script", "tiny", "generic is worthless"):
        assert f"because: {reason}" in answer
    assert "proposed: 64" in step("method", evidence(), recipe(lora={"rank": 8})).answer


def test_cost_and_units() -> None:
    price = Cost(
        **{"tokens": 20_000_000, "tokens_per_s": 1500, "train_seconds": 13_000},
        **{"gate_seconds": 2_000, "memory_gb": 3.14, "train_flops": 1e15},
    )
    answer = step("cost", evidence(cost=price), recipe()).answer
    assert answer.startswith("training 3 h 36 min, gate 33 min 20 s, memory 3.1 GB")
    assert format_duration(math.nan) == "-"
    assert [default_rank(None, n)[0] for n in (9_999_999, 10_000_000, 50_000_000, 50_000_001)] == [
        *(16, 64, 64, 256),
    ]


NUMBER = st.floats(allow_nan=True, allow_infinity=True)
INTERVAL = st.builds(Interval, value=NUMBER, low=NUMBER, high=NUMBER)
KINDS = st.sampled_from(
    ["raw", "prompt_completion", "chat", "preference", "short_rows", "mixed", "?"]
)
SCANS = st.builds(scan, st.integers(0, 10**12), KINDS, padding_share=NUMBER)
EVIDENCE = st.builds(
    Evidence,
    scan=st.none() | SCANS,
    fertility=st.none() | st.builds(fertility, NUMBER),
    fluency=st.none() | st.builds(fluency, NUMBER, NUMBER, NUMBER),
    pilot=st.none() | st.builds(pilot, NUMBER, NUMBER, NUMBER),
    explanations=st.lists(st.builds(Continuation), max_size=2),
    gate=st.none()
    | st.builds(
        files,
        gold_items=st.integers(-1, 500),
        seeds=st.integers(0, 60),
        mde=NUMBER,
        plausible_gain=NUMBER,
        contaminated_share=NUMBER,
    ),
    cost=st.none() | st.builds(Cost),
)
INTERVIEWS = st.fixed_dictionaries(
    {
        "hurts": st.sampled_from([None, "unreadable", "warped_facts", "fails_task", "format"]),
        "surprising": st.sampled_from([None, True, False]),
        "task_selected": st.sampled_from([None, True, False]),
        "explains_terms": st.sampled_from([None, "passable", "not_passable"]),
        "fluency_goal": st.sampled_from(["", "dosage"]),
    }
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(EVIDENCE, INTERVIEWS, st.text(max_size=20), st.sampled_from([{}, {"gold": "g"}]))
def test_total_and_override_never_changes_the_outcome(
    proof: Evidence, answers: dict[str, Any], why: str, gate: dict[str, str]
) -> None:
    plain = decide(proof, recipe(answers, gate=gate))
    plan = recipe(answers, gate=gate, recipe={"override": why})
    forced = decide(proof, plan)
    assert plain.outcome in ("GO", "NO-GO", "NOT YET")
    assert [step.node for step in plain.path] == ORDER
    assert plain.sentence
    assert forced.override == plan.recipe.override
    assert forced.model_copy(update={"override": ""}) == plain or "nan" in repr(plain)
    assert forced.outcome == plain.outcome
    if plain.outcome == "GO":
        assert not any(step.unverified for step in plain.path)
        assert proof.fluency is not None
        assert proof.gate is not None
        assert answers["fluency_goal"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(EVIDENCE, INTERVIEWS)
def test_what_is_settled_stays_settled(proof: Evidence, answers: dict[str, Any]) -> None:
    """A NO-GO after the scan holds whatever is measured later, unless it rests on an answer."""
    early = settled(Evidence(scan=proof.scan), recipe(answers))
    if early is not None and not any(step.unverified for step in early.path):
        assert decide(proof, recipe(answers)).outcome == "NO-GO"


def test_generic_code_is_asked_for_where_code_is_the_domain() -> None:
    asked = decide(evidence(scan=scan(kind="code")), recipe())
    given = decide(
        evidence(scan=scan(kind="code").model_copy(update={"generic_kind": "code"})), recipe()
    )
    steps = [next(s for s in found.path if s.node == "shape") for found in (asked, given)]
    assert "generic code" in steps[0].instead
    assert "generic code" not in steps[1].instead


@pytest.mark.parametrize(
    ("goal", "end"), [("read tables", "?"), ("", "shuffled text (also: goal).")]
)
def test_a_verdict_is_a_sentence_that_ends_once(goal: str, end: str) -> None:
    """What decides may end as a sentence does: the rule on word order asks a question."""
    found = decide(evidence(scan=ordered(1.0, 1.05)), recipe({"fluency_goal": goal}))
    assert found.deciding_node == "surprise"
    assert found.sentence.endswith(end)


def test_the_rank_follows_the_tokens_that_say_something_new() -> None:
    half = step("method", evidence(scan=repeating(12_000_000, 6_000_000)), recipe())
    assert "LoRA rank 16 for 6M unique tokens" in half.answer
    whole = step("method", evidence(scan=repeating(12_000_000, 0)), recipe())
    assert "LoRA rank 64 for 12M unique tokens" in whole.answer


def test_a_gain_says_what_it_is_net_of() -> None:
    found = step("surprise", evidence(), recipe())
    assert "more a token on the domain than its twin on generic text" in found.answer
