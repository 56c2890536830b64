"""Checks of a gold set beside its SFT data: one sentence for each thing a reader should know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.gold.copies import copy_key
from engine.gold.metrics import METRICS
from engine.normal_form import normal_text, normal_words

if TYPE_CHECKING:
    from engine.gold.example import Example
    from engine.recipe.gate import Gate

MAJORITY = 0.7
"""A constant guess that scores this share leaves accuracy little to show; engineering choice."""


LETTERS, LETTERS_SHARE = frozenset("ABCDEFGH"), 0.8
"""Completions that name a choice, and the share of them from which a reader is warned."""


def check_void(gold: Sequence[Example], sft: Sequence[Example]) -> None:
    """InputError where every gold prompt is taught, or every answer is the same."""
    if len(taught(gold, sft)) == len(gold):
        raise InputError(
            f"All {len(gold)} gold prompts also stand in the SFT data, so the gate would measure "
            "memory; keep gold and SFT items apart"
        )
    answer, share = majority(gold)
    if share == 1 and len(gold) > 1:
        raise InputError(
            f"All {len(gold)} gold items have the same answer {answer[:40]!r}, so a constant guess "
            "is always right; add items with other answers"
        )


def taught(gold: Sequence[Example], sft: Sequence[Example]) -> list[int]:
    """Numbers of the gold items whose prompt stands in the SFT data, by words in lower case."""
    prompts = {_plain(example.prompt) for example in sft}
    return [number for number, item in enumerate(gold) if _plain(item.prompt) in prompts]


def _plain(text: str) -> str:
    return " ".join(normal_words(text).split())


def majority(gold: Sequence[Example]) -> tuple[str, float]:
    """The most frequent answer and its share: what a constant guess scores."""
    answer, count = Counter(example.completion for example in gold).most_common(1)[0]
    return answer, count / len(gold)


def remarks(gold: Sequence[Example], sft: Sequence[Example], gate: Gate) -> list[str]:
    """What is odd about the files, one sentence each; nothing where they are sound."""
    sides = (("gold set", gold), ("SFT data", sft))
    found = [line for name, examples in sides for line in (_repeats(name, examples),) if line]
    found += [line for name, examples in sides for line in (_conflicts(name, examples),) if line]
    found += [line for line in (_letters(gold),) if line]
    answer, share = majority(gold)
    if share >= MAJORITY:
        metric = METRICS[gate.metric]
        way = "" if metric.by_class else '; gate.metric = "macro_f1" sees the others too'
        choices = way if metric.choices else ""
        found.append(
            f"{share:.0%} of the gold items have the answer {answer.strip()[:40]!r}: a constant "
            f"guess scores that much{choices}"
        )
    return found


def _letters(gold: Sequence[Example]) -> str:
    """What to know where the answers are the letters of choices named in the prompt."""
    answers = Counter(example.completion.strip(" ().:").upper() for example in gold)
    letters = sum(count for answer, count in answers.items() if answer in LETTERS)
    if len(answers) < 2 or letters < LETTERS_SHARE * len(gold):
        return ""
    return (
        "the answers are letters of choices (A, B, C, D): small base models seldom bind a letter "
        "to its answer (Gu 2024, OLMES, 2406.08446) and would score at chance in both arms; give "
        "the answers' own words as choices"
    )


def _repeats(name: str, examples: Sequence[Example]) -> str:
    extra = len(examples) - len({copy_key(example) for example in examples})
    if not extra:
        return ""
    one = " and count as one with it" if name.startswith("gold") else ""
    return f"{extra} items of the {name} repeat another{one}"


def _conflicts(name: str, examples: Sequence[Example]) -> str:
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        answers[_plain(example.prompt)].add(normal_text(example.completion.strip()))
    many = sum(len(found) > 1 for found in answers.values())
    one = "prompt has" if many == 1 else "prompts have"
    return f"{many} {one} more than one right answer in the {name}" if many else ""
