"""The decision tree as data: every node, its question, its rule and its options, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.artifacts.decision import Evidence
from engine.decision import plan_rules as plan
from engine.decision.base_rules import chat, explain, fertility, surprise
from engine.decision.case import Case, Finding
from engine.decision.corpus_rules import corpus_size, hurts, shape
from engine.decision.gate_rules import gate, goal
from engine.decision.mix_back import mix_back
from engine.recipe.defaults import RANKS_BY_CORPUS
from engine.thresholds import effective


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
    needs: Callable[[Evidence], object] | None = None
    """The measurement that it waits for, falsy where it is not there yet; None: no measurement."""

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
        hurts,
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
        "Raw documents are for CPT, source code too. Prompt/completion, chat, preference or "
        "labelled rows are NO-GO: they are for fine-tuning. Short rows are packed. Text with "
        "{odd_most:.0%} of odd words (OCR noise, hashes) and more is NOT YET: clean it first.",
        shape,
        required=True,
        needs=lambda known: known.scan,
    ),
    Node(
        "size",
        "How large is it without what it says twice?",
        "Near-duplicates and repeated passages of 13 words do not count. "
        "Below {tokens_noise:,.0f} tokens NO-GO (noise); below {tokens_small:,.0f} NOT YET unless "
        "the text was chosen for the gate's task; below {tokens_marginal:,.0f} marginal.",
        corpus_size,
        asks="task_selected",
        options=YES_NO,
        required=True,
        needs=lambda known: known.scan,
    ),
    Node(
        "surprise",
        "Is the text surprising to the base?",
        "NO-GO (fluent) if the upper bound of bits per byte over generic is below "
        "{fluent_ratio:g} and a pilot gains under {fluent_gain:g} nats. GO if the pilot gains "
        "{go_gain:g} or more with its lower bound above {go_gain_low:g}. Else NOT YET; also where "
        "the generic text is as new to the base as the domain, or where the order of the words is "
        "worth nothing (runs of them seen in other documents: below {word_order:g} times those "
        "of shuffled text).",
        surprise,
        asks="surprising",
        options=(
            Option(None, "measure it for me"),
            Option(True, "yes (unverified)"),
            Option(False, "no (unverified)"),
        ),
        required=True,
        needs=lambda known: known.fluency,
    ),
    Node(
        "fertility",
        "Are domain words shattered by the tokenizer?",
        "Tokens per word over generic: {fertility_note:g} and more is noted, "
        "{fertility_problem:g} and more is a tokenizer problem. Never a GO or NO-GO alone.",
        fertility,
        needs=lambda known: known.fertility,
    ),
    Node(
        "explain",
        "Can the base explain your terms?",
        "You mark what the base writes about the most surprising terms. If more than half of the "
        "marked ones are passable, NO-GO: the domain isn't unknown.",
        explain,
        asks="explains_terms",
        options=(
            Option("passable", "passable"),
            Option("not_passable", "not passable"),
            Option(None, "skip"),
        ),
        needs=lambda known: known.explanations,
    ),
    Node(
        "goal",
        "Which token-level fluency must improve?",
        "In your words, kept in the recipe. If nobody can say, NOT YET.",
        goal,
        asks="fluency_goal",
        required=True,
    ),
    Node(
        "gate",
        "Is there a gate that could answer?",
        "No gold set or no SFT data: no gate, no CPT. A minimum detectable effect above your "
        "plausible gain, or more than {overlong_prompts:.0%} of prompts longer than the model's "
        "context: NOT YET. More than {contamination:.1%} of items in the corpus is noted.",
        gate,
        asks="gate.gold",
        required=True,
        needs=lambda known: known.gate,
    ),
    Node(
        "chat",
        "Is the base a chat model?",
        "By its name, or by the chat template of its tokenizer. Raw text weakens the following of "
        "instructions: begin with the base model, and fine-tune afterwards. Where a chat model it "
        "is, the forgetting guard reads held-out answers too.",
        chat,
        needs=lambda known: known.scan,
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
        "mix_back",
        "Is there enough text to mix back?",
        "The share that the counted generic tokens can make, each read four times at most. Below "
        "{mix_back:.0%} of what was asked for: NOT YET. Below {replay_small:,.0f} domain tokens a "
        "larger share is offered.",
        mix_back,
        required=True,
        needs=lambda known: known.scan,
    ),
    Node(
        "method",
        "How is it trained?",
        f"LoRA first, {RANKS_BY_CORPUS}; one epoch; 10% generic "
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
        needs=lambda known: known.cost,
    ),
)
