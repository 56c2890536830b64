"""The pages of the interview in order: what is needed, the decision tree, the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.recipe.method_facts import DEFAULT, TRAIN_METHODS, argued_methods

MEASURE = "measure"
"""Value of the choice that starts a measurement."""
GO_ON = "go on"


@dataclass(frozen=True)
class Choice:
    """One option of a page: the value kept, and its words."""

    value: Any
    label: str


@dataclass(frozen=True)
class Question:
    """One page. ``key`` is the recipe key it answers; without one the page only shows."""

    id: str
    title: str
    rule: str
    key: str = ""
    prompt: str = ""
    choices: tuple[Choice, ...] = ()
    check: Callable[[str], str] | None = None
    """Checks a text answer: returns what was found, raises InputError."""
    node: str = ""
    """The node of the decision tree behind it."""
    measured: bool = False
    """A measurement answers it, or what it shows."""

    @property
    def is_text(self) -> bool:
        return bool(self.key) and not self.choices


def check_model(answer: str) -> str:
    """A model folder is looked into; a hub id is taken as it is."""
    from engine.model_folder.check import check_model_folder

    folder = Path(answer).expanduser()
    if folder.is_dir():
        check_model_folder(folder)
        return "a model folder with weights and tokenizer"
    if answer.startswith(("/", ".", "~")) or answer.count("/") != 1 or " " in answer:
        if answer.startswith("demo:"):
            return "the demo's embedded base"
        raise InputError(f"{answer}: no such folder; give a model folder, or a hub id (owner/name)")
    return "a hub id; it is fetched when the measurement starts"


def check_corpus(answer: str) -> str:
    """Is there any text to read?"""
    from engine.corpus.corpus import Corpus
    from engine.recipe.sections import Source

    corpus = Corpus(Source(path=answer))
    corpus.check()
    if corpus.is_remote:
        return "there; it is fetched when the measurement starts"
    return f"{len(corpus.files())} files"


def check_generic(answer: str) -> str:
    from engine.recipe.sources import FAMILY

    if answer == FAMILY:
        return "what the base's family was trained on; it is fetched when the measurement starts"
    return check_corpus(answer) if answer != "embedded" else "the embedded sample"


MOST_CLASSES = 50
"""Different answers above which they are not called classes."""


def _describe_examples(answer: str, what: str) -> str:
    """``480 items, 8 classes``."""
    from engine.gold.load import load_examples

    examples = load_examples(Path(answer).expanduser())
    answers = {example.completion.strip() for example in examples}
    few = len(answers) <= MOST_CLASSES and 2 * len(answers) <= len(examples)
    classes = f", {len(answers)} classes" if few else ""
    return f"{len(examples):,} {what}{classes}"


def check_gold(answer: str) -> str:
    return _describe_examples(answer, "items")


def check_sft(answer: str) -> str:
    return _describe_examples(answer, "examples")


SETUP = (
    Question(
        "model",
        "Which model?",
        "A causal language model with safetensors weights: its folder, or a hub id.",
        "model.id",
        "folder, or owner/name",
        check=check_model,
    ),
    Question(
        "corpus",
        "Which text should it learn from?",
        "Raw documents: a file, a folder (txt, md, jsonl, parquet, ...) or hub:owner/name.",
        "corpus.path",
        "file, folder or hub:owner/name",
        check=check_corpus,
    ),
    Question(
        "generic",
        "Which text stands for what it must not forget?",
        "General text in the language the model is used in. It is the yardstick of the probe, it "
        "is mixed back, and its loss shows forgetting. 'family': what bases of this family were "
        "trained on, from the hub. Blank: a small sample that this project wrote, enough to "
        "probe with and never enough to mix back.",
        "generic.path",
        "file, folder, hub:owner/name or family; blank = embedded sample",
        check=check_generic,
    ),
    Question(
        "gold",
        "Which gold set judges the result?",
        "jsonl with prompt, completion and, for choice questions, choices; never in the corpus. "
        "No gate, no CPT: without one the verdict is NOT YET.",
        "gate.gold",
        "jsonl file; blank = none yet",
        check=check_gold,
    ),
    Question(
        "sft",
        "Which fine-tuning data does the gate use?",
        "jsonl with prompt and completion. The same pinned recipe is trained from the base and "
        "from the CPT checkpoint; only the difference counts.",
        "gate.sft",
        "jsonl file; blank = none yet",
        check=check_sft,
    ),
)

VERDICT = Question(
    "verdict",
    "Should this model be trained on this text?",
    "The first NO-GO in the tree decides; else NOT YET where anything is missing or unverified; "
    "else GO, which is permission to run the gate, not a promise.",
)


def questions() -> tuple[Question, ...]:
    """All pages in order, from the decision tree's own words."""
    from engine.decision.tree import NODES

    return (*SETUP, *(_from_node(node) for node in NODES), VERDICT)


def _from_node(node: Any) -> Question:
    from engine.recipe.sections import Interview

    asks = node.asks if node.asks and "." not in node.asks else ""
    described = Interview.model_fields[asks].description if asks else ""
    return Question(
        node.id,
        node.question,
        node.rule,
        key=f"interview.{asks}" if asks else "",
        prompt=described or "",
        choices=tuple(Choice(option.value, option.label) for option in node.options if asks),
        node=node.id,
        measured=node.needs is not None,
    )


MEASURE_CHOICE = Choice(MEASURE, "measure it for me")
METHOD_CHOICES = (
    Choice(GO_ON, "keep the proposal"),
    *(Choice(m.name, f"{m.words} instead of {DEFAULT.words} (asks why)") for m in argued_methods()),
    *(Choice(m.name, m.words) for m in TRAIN_METHODS.values() if not m.why_key),
    Choice("epochs", "another number of epochs (asks why)"),
    Choice("mix", "another share of generic text mixed back"),
)


COST_CHOICES = (
    Choice(GO_ON, "go on at this price"),
    Choice("cap", "fewer training tokens: time falls with them"),
    Choice("items", "fewer gold items: the gate gets cheaper and sees less"),
    Choice("seeds", "other number of seeds: more see more, and cost more"),
)
"""The price is a dial: what it is made of can be turned where it is shown."""
MARK = "mark:"
"""Prefix of the choices that mark the term in front: ``mark:passable``, ``mark:`` takes it back."""
TERM_CHOICES = (
    Choice(f"{MARK}passable", "this term: passable"),
    Choice(f"{MARK}not_passable", "this term: not passable"),
    Choice("passable", "all of them: passable"),
    Choice("not_passable", "all of them: not passable"),
    Choice(MARK, "take back this mark, or an answer for all"),
)


def choices_for(question: Question, waits: bool, verdict: str = "") -> tuple[Choice, ...]:
    """The choices of a page now. ``waits``: it needs a measurement that is not there yet."""
    if question.id == "explain" and not waits:
        return TERM_CHOICES
    if question.id == "verdict":
        return _verdict_choices(verdict, waits)
    if question.is_text:
        return ()
    if question.id == "method":
        return METHOD_CHOICES
    if question.id == "cost" and not waits:
        return COST_CHOICES
    if question.id == "surprise" and not waits:
        return (Choice(None, "keep the measurement"), *question.choices[1:])
    own = question.choices or (Choice(GO_ON, "go on"),)
    measures = any(choice.value is None for choice in question.choices)
    if waits and question.measured and not (measures and question.id == "surprise"):
        return (MEASURE_CHOICE, *own)
    return own


def _verdict_choices(verdict: str, waits: bool) -> tuple[Choice, ...]:
    """What can be done with a verdict. Training past anything but GO asks for a reason."""
    if verdict == "frozen":
        return (Choice("watch", "training has begun on these answers: watch it"),)
    start = Choice("start", "start: baseline, packing, training, gate")
    override = Choice("override", f"train although it is {verdict} (asks why; kept in the recipe)")
    again = Choice(MEASURE, "measure it for me" if waits else "measure again")
    save = Choice("save", "save as: a recipe of my own, every value spelled out")
    leave = Choice("leave", "leave it here; the draft is saved")
    return (start, again, leave, save) if verdict == "GO" else (again, leave, override, save)
