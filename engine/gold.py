"""Gold set and SFT data: jsonl -> examples, and the checks before they may judge anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.evidence import GateFiles
from engine.overlap import Overlap, Overlapped
from engine.power import prior_mde
from engine.recipe import Gate
from engine.run import digest

__all__ = [
    "Example",
    "Overlap",
    "Overlapped",
    "duplicates",
    "gate_files",
    "gold_items",
    "identity",
    "load_examples",
    "pick",
]

MOST_CHOICES = 50
"""More distinct completions than this are free text, not choices; engineering choice."""
GROUP_KEYS = ("group", "document")
LFS = "version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Example:
    """One item: the model reads ``prompt`` and should go on with ``completion``."""

    prompt: str
    completion: str
    choices: tuple[str, ...] = ()
    """What the log-likelihood metric compares; empty for exact match and SFT data."""
    label: str = ""
    """Name of the answer; the stripped completion where the file gives none."""
    group: str = ""
    """Items of one name share a source and count as one; '' stands alone."""
    tags: tuple[str, ...] = ()


def load_examples(path: Path, need_choices: bool = False) -> list[Example]:
    """Read a jsonl file of ``prompt``, ``completion`` and optional fields.

    Optional: ``choices`` (strings), ``label``, ``group`` (or ``document``), ``tags``.
    With ``need_choices`` and none in the file, the choices are the file's distinct completions.
    Raises InputError with the file, the line and the way out. Duplicates are kept: see
    ``duplicates``.
    """
    examples = [
        _example(line, f"{path}, line {number}")
        for number, line in enumerate(_lines(path), start=1)
        if line.strip()
    ]
    if not examples:
        raise InputError(f"{path} is empty; give one JSON object with prompt and completion a line")
    return _with_choices(examples, path) if need_choices else examples


def _lines(path: Path) -> list[str]:
    """The file's lines, split at newlines only (JSON strings may hold other separators)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path in the recipe's [gate]") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 at byte {error.start}; convert it with iconv -t utf-8"
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}); give a jsonl file") from None
    if text.startswith(LFS):
        raise InputError(f"{path} is a Git LFS pointer, not the data; run git lfs pull")
    if text.lstrip().startswith("[") and len(text.lstrip().splitlines()[0].strip()) == 1:
        raise InputError(f"{path}, line 1 opens a JSON list; write one object a line (jq -c '.[]')")
    return text.split("\n")


def _example(line: str, where: str) -> Example:
    """One line as an example; ``where`` names it in errors."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is not JSON; write one object a line") from None
    if not isinstance(row, dict):
        raise InputError(f"{where} is not a JSON object; give it the keys prompt and completion")
    completion = _text(row, "completion", where)
    group = next((row[key] for key in GROUP_KEYS if row.get(key) not in (None, "")), "")
    return Example(
        prompt=_text(row, "prompt", where),
        completion=completion,
        choices=_strings(row, "choices", where),
        label=str(row.get("label") or completion.strip()),
        group=str(group),
        tags=_strings(row, "tags", where),
    )


def _text(row: dict[str, Any], key: str, where: str) -> str:
    """A required string that holds more than blanks."""
    if key not in row:
        keys = ", ".join(list(row)[:6]) or "none"
        raise InputError(f"{where} has no '{key}' (its keys: {keys}); rename or add it")
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


def duplicates(examples: Sequence[Example]) -> int:
    """Items whose prompt and completion were seen before in the same file."""
    return len(examples) - len({(example.prompt, example.completion) for example in examples})


def identity(examples: Sequence[Example]) -> str:
    """sha256 of a gold set's prompts and answers, whatever their order and the file's form."""
    return digest(sorted([example.prompt, example.completion] for example in examples))


def pick(examples: list[Example], limit: int | None) -> list[Example]:
    """At most ``limit`` items, evenly spaced, so that a file sorted by label stays balanced."""
    if limit is None or limit >= len(examples):
        return examples
    return [examples[place * len(examples) // limit] for place in range(limit)]


def gold_items(path: Path, gate: Gate) -> list[Example]:
    """The items that the gate will use, in the order of their numbers everywhere."""
    return pick(load_examples(path, need_choices=gate.metric == "choice"), gate.max_items)


def gate_files(
    gold_path: Path, sft_path: Path, gate: Gate, overlapped: Overlapped | None = None
) -> GateFiles:
    """Check both files and say what the gate could show.

    ``overlapped`` is what an ``Overlap`` of the same items found in the corpus. None means
    that the corpus was not looked at; the share is then 0, so pass it where there is a corpus.
    """
    gold = gold_items(gold_path, gate)
    sft = load_examples(sft_path)
    answers = Counter(example.completion for example in gold)
    taught = {_plain(example.prompt) for example in sft}
    hit = overlapped.contaminated if overlapped else []
    return GateFiles(
        gold_items=len(gold),
        sft_examples=min(len(sft), gate.probe.max_examples or len(sft)),
        metric=gate.metric,
        seeds=len(gate.seeds),
        majority_rate=answers.most_common(1)[0][1] / len(gold),
        overlap_items=sum(_plain(example.prompt) in taught for example in gold),
        contaminated_share=len(hit) / len(gold),
        contaminated_items=hit,
        mde=prior_mde(effective_items(gold), len(gate.seeds)),
        plausible_gain=gate.plausible_gain,
    )


def effective_items(examples: Sequence[Example]) -> int:
    """Items after those of one group are counted as one: what the gate's test sees."""
    named = {example.group for example in examples if example.group}
    return len(named) + sum(not example.group for example in examples)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
