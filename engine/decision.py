"""The decision tree as data: evidence and answers in, a verdict out (DESIGN 4).

``NODES`` reads top to bottom in the order of the interview. Every node is walked and listed.
The verdict is the first ``no_go`` in tree order; else NOT YET where any node says so, a
required node is open, or an unverified answer carries a go; else GO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine import decision_plan as plan
from engine import decision_rules as rules
from engine.decision_case import Case, Finding
from engine.evidence import Evidence, Step, Verdict
from engine.recipe import Recipe
from engine.thresholds import THRESHOLDS, effective

__all__ = ["NODES", "Case", "Finding", "Node", "Option", "decide", "settled", "walk"]


@dataclass(frozen=True)
class Option:
    """One answer to a node's question: the value kept in the recipe and its words."""

    value: Any
    label: str


@dataclass(frozen=True)
class Node:
    """One question of the tree."""

    id: str
    question: str
    rule_template: str
    """The rule in plain words; ``{name}`` stands for a threshold."""
    evaluate: Callable[[Case], Finding]
    asks: str | None = None
    """What it asks: a field of ``[interview]``, or a dotted recipe key such as ``gate.gold``."""
    options: tuple[Option, ...] = ()
    """Empty with ``asks`` set: free text."""
    required: bool = False
    """Open means NOT YET."""

    @property
    def rule(self) -> str:
        """The rule with the default numbers."""
        return self.rule_with(effective({}))

    def rule_with(self, limits: dict[str, float]) -> str:
        """The rule with the numbers in force."""
        return self.rule_template.format(**limits)


YES_NO = (Option(True, "yes"), Option(False, "no"))

NODES: tuple[Node, ...] = (
    Node(
        "hurts",
        "What hurts today?",
        "CPT helps a model read a language it does not know. A failing task, a wrong format, "
        "refusals or the wish for more training are NO-GO.",
        rules.hurts,
        asks="hurts",
        options=(
            Option("unreadable", "it can't read my texts"),
            Option("warped_facts", "it is fluent, but facts are warped"),
            Option("fails_task", "it fails the task"),
            Option("format", "wrong format, or it refuses"),
            Option("more_training", "it should get more training"),
        ),
        required=True,
    ),
    Node(
        "shape",
        "What kind of data is the corpus?",
        "Raw documents are for CPT. Prompt/completion, chat or preference data are NO-GO: they "
        "are for fine-tuning. Short rows are packed. Text with {odd_most:.0%} of odd words (OCR "
        "noise, hashes) and more is NOT YET: clean it first.",
        rules.shape,
        required=True,
    ),
    Node(
        "size",
        "How large is it after removing duplicates?",
        "Below {tokens_noise:,.0f} tokens NO-GO (noise); below {tokens_small:,.0f} NOT YET unless "
        "the text was chosen for the gate's task; below {tokens_marginal:,.0f} marginal.",
        rules.corpus_size,
        asks="task_selected",
        options=YES_NO,
        required=True,
    ),
    Node(
        "surprise",
        "Is the text surprising to the base?",
        "NO-GO (fluent) if the upper bound of bits per byte over generic is below "
        "{fluent_ratio:g} and a pilot gains under {fluent_gain:g} nats. GO if the pilot gains "
        "{go_gain:g} or more with its lower bound above {go_gain_low:g}. Else NOT YET; also where "
        "the generic text is as new to the base as the domain, or where shuffling the words "
        "costs less than {order_ratio:g} times the bits.",
        rules.surprise,
        asks="surprising",
        options=(
            Option(None, "measure it for me"),
            Option(True, "yes (unverified)"),
            Option(False, "no (unverified)"),
        ),
        required=True,
    ),
    Node(
        "fertility",
        "Are domain words shattered by the tokenizer?",
        "Tokens per word over generic: {fertility_note:g} and more is noted, "
        "{fertility_problem:g} and more is a tokenizer problem. Never a GO or NO-GO alone.",
        rules.fertility,
    ),
    Node(
        "explain",
        "Can the base explain your terms?",
        "You mark what the base writes about the most surprising terms. If more than half of the "
        "marked ones are passable, NO-GO: the domain isn't unknown.",
        rules.explain,
        asks="explains_terms",
        options=(
            Option("passable", "passable"),
            Option("not_passable", "not passable"),
            Option(None, "skip"),
        ),
    ),
    Node(
        "goal",
        "Which token-level fluency must improve?",
        "In your words, kept in the recipe. If nobody can say, NOT YET.",
        rules.goal,
        asks="fluency_goal",
        required=True,
    ),
    Node(
        "gate",
        "Is there a gate that could answer?",
        "No gold set or no SFT data: no gate, no CPT. A minimum detectable effect above your "
        "plausible gain: NOT YET. More than {contamination:.1%} of items in the corpus is noted.",
        rules.gate,
        asks="gate.gold",
        required=True,
    ),
    Node(
        "facts",
        "Are the facts stated only once?",
        "CPT does not teach a fact from one wording. A warning, not a verdict.",
        plan.facts,
        asks="facts_once",
        options=YES_NO,
    ),
    Node(
        "distil",
        "Will the model be distilled later?",
        "If so, the vocabulary stays as it is.",
        plan.distil,
        asks="distil",
        options=YES_NO,
    ),
    Node(
        "method",
        "How is it trained?",
        "LoRA first, rank 16 below 10M tokens, 64 up to 50M, 256 beyond; one epoch; 10% generic "
        "text mixed back. Full training, more epochs or no mix-back need a reason.",
        plan.method,
    ),
    Node(
        "vocabulary",
        "Is the vocabulary extended?",
        "Never on a first run; no published gain in quality is separable from the CPT itself.",
        plan.vocabulary,
    ),
    Node(
        "cost",
        "What does it cost here?",
        "Training and gate in time and memory, from a short timing. You decide.",
        plan.cost,
    ),
)


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
    return f"{text[:1].upper()}{text[1:]}{also}."


def _overridden(recipe: Recipe) -> dict[str, float]:
    """The thresholds that the recipe moved away from their defaults."""
    given = recipe.probe.thresholds
    return {name: number for name, number in given.items() if number != THRESHOLDS[name].value}
