"""A node of the decision tree is a rule, a node and, if it has one, a drawing by its id."""

from __future__ import annotations

import pytest

from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from cpt_tui.evidence.drawings import BY_NODE
from cpt_tui.interview.answers import waits
from cpt_tui.interview.questions import MEASURE, choices_for, questions
from cpt_tui.panels.question import Scene, question_text
from engine.artifacts.decision import Evidence
from engine.decision import decide, tree
from engine.decision.case import Case, Finding, unmeasured
from engine.recipe.sections import Recipe
from engine.thresholds import effective


def moon(case: Case) -> Finding:
    """A made-up rule, which looks at the terms."""
    if not case.evidence.explanations:
        return unmeasured("nobody has looked at the moon")
    return Finding("no_go", "the moon is full", "wait")


NODE = tree.Node(
    "moon",
    "Is the moon full?",
    "NO-GO above {fluent_ratio:g} of it.",
    moon,
    needs=lambda known: known.explanations,
)


def draw_moon(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    page.add(f"( moon beside {limits['fluent_ratio']:g} )")


@pytest.fixture
def with_moon(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = (*tree.NODES, NODE)
    monkeypatch.setattr(tree, "NODES", nodes)
    monkeypatch.setattr(decide, "NODES", nodes)
    monkeypatch.setitem(BY_NODE, NODE.id, (draw_moon,))


@pytest.mark.usefixtures("with_moon")
def test_a_new_node_is_walked_asked_and_drawn() -> None:
    recipe = Recipe.model_validate({"model": {"id": "m"}, "corpus": {"path": "c"}})
    known, limits = Evidence(), effective({})
    step = decide.walk(Case(known, recipe))[-1]
    assert (step.node, step.outcome) == ("moon", "open")
    *_, page, verdict = questions()
    assert (page.id, verdict.id) == ("moon", "verdict")
    assert waits("moon", known)
    assert choices_for(page, waits=True)[0].value == MEASURE
    text = question_text(page, "19", step, Scene(known, limits, 80)).plain
    number = f"{limits['fluent_ratio']:g}"
    for part in ("Is the moon full?", "nobody has looked", f"NO-GO above {number}"):
        assert part in text
    assert f"( moon beside {number} )" in text


def test_every_drawing_is_of_a_node() -> None:
    assert set(BY_NODE) <= {node.id for node in tree.NODES}


def test_pages_wait_for_what_their_nodes_need() -> None:
    waiting = [page.id for page in questions() if waits(page.id, Evidence())]
    assert waiting == [
        *("shape", "size", "surprise", "fertility", "explain"),
        *("gate", "chat", "mix_back", "cost", "verdict"),
    ]
