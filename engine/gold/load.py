"""Gold set and SFT data: files -> examples, and what the gate could show with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.files import digest
from engine.gold.copies import group_copies
from engine.gold.example import Example
from engine.gold.metrics import METRICS
from engine.gold.rows import FORMATS, records
from engine.recipe.gate import Gate

MOST_CHOICES = 50
"""More distinct completions than this are free text, not choices; engineering choice."""


GROUP_KEYS = ("group", "document")


ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant"}
"""Roles of a message, also as ShareGPT names them; ``system`` and others stay."""


LM_EVAL = "lm-eval:"
"""Prefix of a gold set that is an lm-eval task; the worker writes it out as jsonl."""


def load_examples(
    path: Path,
    need_choices: bool = False,
    columns: Mapping[Any, str] | None = None,
    chat: bool = False,
) -> list[Example]:
    """Read a file of ``prompt``, ``completion`` and optional fields (see ``FORMATS``).

    Optional: ``choices`` (strings), ``label``, ``group`` (or ``document``), ``tags``,
    ``pattern``. With ``chat`` a row may hold ``messages`` instead: the last turn of the
    assistant is the completion. With ``need_choices`` and none in the file, the choices are the
    file's distinct completions. Raises InputError with the file, the line and the way out.
    Duplicates are kept.
    """
    examples = [_example(row, where, chat) for where, row in records(path, columns or {})]
    if not examples:
        raise InputError(f"{path} is empty; give a {FORMATS} file with prompt and completion")
    return _with_choices(examples, path) if need_choices else examples


def _example(row: dict[str, Any], where: str, chat: bool) -> Example:
    """One record as an example; ``where`` names it in errors."""
    turns: tuple[tuple[str, str], ...] = ()
    if row.get("messages") is not None and "prompt" not in row:
        if not chat:
            raise InputError(
                f'{where} holds messages; set gate.template = "chat", or give prompt and completion'
            )
        *turns_before, (_, answer) = _turns(row["messages"], where)
        turns = tuple(turns_before)
        row = {**row, "prompt": "\n".join(text for _, text in turns), "completion": answer}
    completion = _text(row, "completion", where)
    group = next((row[key] for key in GROUP_KEYS if row.get(key) not in (None, "")), "")
    label = row.get("label")
    return Example(
        prompt=_text(row, "prompt", where),
        completion=completion,
        choices=_strings(row, "choices", where),
        label=completion.strip() if label in (None, "") else str(label),
        group=str(group),
        tags=_strings(row, "tags", where),
        pattern=str(row.get("pattern") or ""),
        turns=turns,
    )


def _turns(messages: Any, where: str) -> list[tuple[str, str]]:
    """(role, text) up to the last turn of the assistant, which comes last."""
    turns = []
    for message in messages if isinstance(messages, list) else [None]:
        role = text = None
        if isinstance(message, dict):
            role, text = message.get("role", message.get("from")), message.get("content")
            text = message.get("value") if text is None else text
        if not isinstance(role, str) or not isinstance(text, str):
            raise InputError(
                f"{where}: a message needs a role and a text as content; correct or drop the row"
            )
        turns.append((ROLES.get(role, role), _whole(text, "messages", where)))
    last = max((at for at, (role, _) in enumerate(turns) if role == "assistant"), default=0)
    if last == 0:
        raise InputError(f"{where}: no turn of an assistant follows another; correct or drop it")
    return turns[: last + 1]


def _text(row: dict[str, Any], key: str, where: str) -> str:
    """A required string that holds more than blanks."""
    if key not in row:
        keys = ", ".join(list(row)[:6]) or "none"
        raise InputError(
            f"{where} has no '{key}' (its keys: {keys}); rename it, or name it in "
            "gate.gold_columns or gate.sft_columns"
        )
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: '{key}' must be text, and not blank; correct or drop the line")
    return _whole(value, key, where)


def _strings(row: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    """An optional list of strings."""
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InputError(f"{where}: '{key}' must be a list of strings; correct or drop the line")
    return tuple(_whole(entry, key, where) for entry in value)


def _whole(value: str, key: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{where}: '{key}' holds half a character (a lone surrogate); write the file again"
        ) from None
    return value


def _with_choices(examples: list[Example], path: Path) -> list[Example]:
    """Every example with at least two choices, its own completion among them."""
    if not any(example.choices for example in examples):
        return _shared_choices(examples, path)
    for number, example in enumerate(examples, start=1):
        distinct = set(example.choices)
        if len(distinct) < 2 or len(distinct) != len(example.choices):
            raise InputError(f"{path}, item {number} needs two or more different choices; add them")
        if example.completion not in distinct:
            raise InputError(
                f"{path}, item {number}: completion {example.completion[:40]!r} is not one of its "
                "choices; make them equal, blanks included"
            )
    return examples


def _shared_choices(examples: list[Example], path: Path) -> list[Example]:
    choices = tuple(sorted({example.completion for example in examples}))
    if not 2 <= len(choices) <= MOST_CHOICES:
        raise InputError(
            f"{path} has no choices and {len(choices)} distinct completions (2 to {MOST_CHOICES} "
            'can serve as choices); add choices to each item or set gate.metric = "exact_match"'
        )
    return [replace(example, choices=choices) for example in examples]


def identity(examples: Sequence[Example]) -> str:
    """sha256 of a gold set's prompts and answers, whatever their order and the file's form."""
    return digest(sorted([example.prompt, example.completion] for example in examples))


def pick(examples: list[Example], limit: int | None) -> list[Example]:
    """At most ``limit`` items, evenly spaced, so that a file sorted by label stays balanced."""
    if limit is None or limit >= len(examples):
        return examples
    return [examples[place * len(examples) // limit] for place in range(limit)]


def gold_items(path: Path, gate: Gate) -> list[Example]:
    """The items that the gate will use, in the order of their numbers everywhere.

    Copies of an item are in one group with it.

    InputError also where the gate's metric cannot judge them.
    """
    metric, chat = METRICS[gate.metric], gate.template == "chat"
    examples = load_examples(path, metric.choices, gate.gold_columns, chat)
    metric.check(examples, gate)
    return group_copies(pick(examples, gate.max_items))


def sft_items(path: Path, gate: Gate) -> list[Example]:
    """The examples that the gate's probe trains on."""
    chat = gate.template == "chat"
    examples = load_examples(path, columns=gate.sft_columns, chat=chat)
    return pick(examples, gate.probe.max_examples)
