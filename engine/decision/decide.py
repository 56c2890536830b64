"""The decision tree as data: evidence and answers in, a verdict out.

``NODES`` reads top to bottom in the order of the interview. Every node is walked and listed.
The verdict is the first ``no_go`` in tree order; else NOT YET where any node says so, a
required node is open, or an unverified answer carries a go; else GO.
"""

from __future__ import annotations

from engine.artifacts.decision import Evidence, Step, Verdict
from engine.decision.case import Case, Finding
from engine.decision.tree import NODES, Node
from engine.recipe.sections import Recipe
from engine.thresholds import THRESHOLDS


def walk(case: Case) -> list[Step]:
    """Every node with what it found, in tree order; the path is always complete."""
    return [_step(node, node.evaluate(case), case.limits) for node in NODES]


def _step(node: Node, found: Finding, limits: dict[str, float]) -> Step:
    return Step(
        node=node.id,
        question=node.question,
        rule=node.rule_with(limits),
        answer=found.answer,
        outcome=found.outcome,
        instead=found.instead,
        source=found.source,
        measured=found.measured,
        unverified=found.unverified,
    )


def decide(evidence: Evidence, recipe: Recipe) -> Verdict:
    """The verdict on all that is known, with the whole path behind it."""
    path = walk(Case(evidence, recipe))
    outcome, step, others = _outcome(path)
    return Verdict(
        outcome=outcome,
        sentence=_sentence(step, others),
        instead=step.instead,
        deciding_node=step.node,
        path=path,
        override=recipe.recipe.override,
        thresholds_overridden=_overridden(recipe),
    )


def settled(evidence: Evidence, recipe: Recipe) -> Verdict | None:
    """A NO-GO that already holds, so that no further probing is spent; None otherwise.

    Call it after each measurement: what is missing is open and never settles anything.
    """
    verdict = decide(evidence, recipe)
    return verdict if verdict.outcome == "NO-GO" else None


def _outcome(path: list[Step]) -> tuple[str, Step, list[str]]:
    """The outcome, the step that decides it and the other nodes that say the same."""
    for outcome, holds in (("NO-GO", _forbids), ("NOT YET", _delays)):
        steps = [step for step in path if holds(step)]
        if steps:
            return outcome, steps[0], [step.node for step in steps[1:]]
    return "GO", next(step for step in path if step.node == "surprise"), []


def _forbids(step: Step) -> bool:
    return step.outcome == "no_go"


REQUIRED = frozenset(node.id for node in NODES if node.required)


def _delays(step: Step) -> bool:
    missing = step.outcome == "open" and step.node in REQUIRED
    return step.outcome == "not_yet" or missing or (step.unverified and step.outcome != "no_go")


def _sentence(step: Step, others: list[str]) -> str:
    """One plain sentence: what the deciding node found, and which nodes agree."""
    open_node = step.outcome == "open"
    text = f"{step.question.rstrip('?')}: {step.answer}" if open_node else step.answer
    also = f" (also: {', '.join(others)})" if others else ""
    text = f"{text[:1].upper()}{text[1:]}"
    if also:  # the answer may end as a sentence does, for one that the user wrote
        return f"{text.rstrip('.!?…')}{also}."
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _overridden(recipe: Recipe) -> dict[str, float]:
    """The thresholds that the recipe moved away from their defaults."""
    given = recipe.probe.thresholds
    return {name: number for name, number in given.items() if number != THRESHOLDS[name].value}
