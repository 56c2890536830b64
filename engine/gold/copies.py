"""Copies in a gold set: items of equal prompt and completion are one observation.

Ten copies of an item say what one says, ten times as loudly: the test would take their agreement
for evidence. So they form one group, as items of one source do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.gold.example import Example
from engine.normal_form import normal_text, normal_words


def copy_key(example: Example) -> tuple[str, str]:
    """Equal where two items read the same."""
    prompt = " ".join(normal_words(example.prompt).split())
    return prompt, normal_text(example.completion).strip()


def group_copies(examples: Sequence[Example]) -> list[Example]:
    """The examples, with those of equal prompt and completion in one group.

    Where the file puts two copies into two groups, these become one. Items without a copy stay
    as they are.
    """
    keys = [copy_key(example) for example in examples]
    count: dict[tuple[str, str], int] = {}
    for key in keys:
        count[key] = count.get(key, 0) + 1
    first = {key: number for number, key in reversed(list(enumerate(keys, 1)))}
    joined: dict[str, str] = {}
    for example, key in zip(examples, keys, strict=True):
        if count[key] > 1:
            names = {_root(joined, name) for name in (example.group, _name(first[key])) if name}
            # A name that the file gave comes before the one made up here.
            kept, *others = sorted(names, key=lambda name: (name.startswith(_MADE), name))
            joined.update(dict.fromkeys(others, kept))
    return [
        replace(example, group=_root(joined, example.group or _name(first[key])))
        if example.group or count[key] > 1
        else example
        for example, key in zip(examples, keys, strict=True)
    ]


_MADE = "copies of item "


def _name(number: int) -> str:
    return f"{_MADE}{number}"


def _root(joined: dict[str, str], name: str) -> str:
    while name in joined:
        name = joined[name]
    return name
