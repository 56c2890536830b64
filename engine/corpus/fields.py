"""Columns: which columns of a record hold the text, and what the record was made for."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.corpus.text import without_surrogates

PREFERRED = ("text", "content", "body", "document", "raw_content", "article")
CHAT = ("messages", "conversations", "conversation", "dialogue", "dialog", "dialogs", "turns")
PAIRS = (
    ("instruction", ("output", "response", "completion", "answer", "instances")),
    ("prompt", ("completion", "response", "output", "answer")),
    ("question", ("answer", "answers", "response", "choices", "options")),
    ("query", ("response", "answer", "answers")),
    ("problem", ("solution", "answer")),
    ("input", ("output", "target", "response")),
    ("inputs", ("targets", "outputs")),
    ("user", ("assistant",)),
    ("human", ("assistant",)),
    ("source", ("target",)),
    ("document", ("summary",)),
    ("article", ("highlights",)),
)
BETWEEN = ("input", "context", "system")
"""Columns that belong to a prompt when its main column is another one."""

PREFERENCES = (
    ("chosen", "rejected"),
    ("response_a", "response_b"),
    ("response_0", "response_1"),
    ("response_j", "response_k"),
    ("conversation_a", "conversation_b"),
)
ASKED = ("prompt", "question", "input", "instruction", "query")
JUDGED = ("label", "kto_tag", "is_preferred", "desirable")
"""A yes or no beside an answer: unpaired preference data (KTO)."""

LABEL = ("label", "labels", "gold_label", "coarse_label", "fine_label", "label_text", "class")
"""Columns that name the class of a text."""
LABEL_WEAK = ("category", "sentiment", "intent", "emotion", "topic", "rating", "stars", "target")
"""These may also be the metadata of a document: they count beside short texts only."""
LABEL_LENGTH = 40
"""Characters of a label, at most."""
LABEL_VALUES = 50
"""Different labels in one file's sample, at most."""
LABELLED_WORDS = 120
"""Median words of a text beside a weak label, at most."""
LABELLED = 4
"""Records that a file's sample needs before a column counts as its labels."""

INSIDE = {"role", "from", "type", "id", "loss_weight"}
"""Keys of a message that are no text."""


@dataclass(frozen=True)
class Layout:
    """Where the text of a record is: its kind and the columns, in reading order."""

    kind: str
    columns: tuple[str, ...] = ()
    label: str = ""
    """The column of classes, for ``classification``."""

    @property
    def name(self) -> str:
        return without_surrogates(" + ".join(self.columns))


def layout_of(records: Sequence[Mapping[str, object]], column: str | None = None) -> Layout | None:
    """The layout of one file's first records; None where no column holds text."""
    if column is not None:
        known = any(column in record for record in records)
        return Layout("raw", (column,)) if known else None
    found = Counter(filter(None, map(task_layout, records)))
    if found:
        layout, count = found.most_common(1)[0]
        if count * 2 >= len(records):
            return layout
    raw = _text_column(records)
    if raw is None:
        return None
    label = _label_column(records, raw)
    return Layout("classification", (raw,), label) if label else Layout("raw", (raw,))


def task_layout(record: Mapping[str, object]) -> Layout | None:
    """The layout of a record made for fine-tuning; None for any other."""
    names = {str(key).strip().lower(): str(key) for key in record}
    turns = next((names[key] for key in CHAT if _is_list(record, names.get(key))), None)
    for chosen, rejected in PREFERENCES:
        if chosen in names and rejected in names:
            asked = next((names[key] for key in ASKED if key in names), turns)
            return Layout("preference", (*((asked,) if asked else ()), names[chosen]))
    judged = any(isinstance(record[names[key]], bool) for key in JUDGED if key in names)
    if turns:
        return Layout("preference" if judged else "chat", (turns,))
    for prompt, completions in PAIRS:
        there = (names[key] for key in completions if key in names)
        reply = next((key for key in there if _length(record[key])), None)
        if prompt in names and reply and _is_pair(record, names, prompt, reply):
            extra = [names[k] for k in BETWEEN if k in names and k != prompt and names[k] != reply]
            kind = "preference" if judged else "prompt_completion"
            return Layout(kind, (names[prompt], *extra, reply))
    return None


def _is_list(record: Mapping[str, object], key: str | None) -> bool:
    return key is not None and isinstance(record[key], list) and bool(record[key])


def _is_pair(record: Mapping[str, object], names: dict[str, str], prompt: str, reply: str) -> bool:
    """The prompt holds text too, and a weak pair does not stand beside a longer running text."""
    sides = [_length(record[names[prompt]]), _length(record[reply])]
    if not sides[0]:
        return False
    others = [names[key] for key in PREFERRED if key in names and names[key] != reply]
    running = max((_length(record[key]) for key in others if key != names[prompt]), default=0)
    return prompt in ("instruction", "prompt") or running <= sum(sides)


def _length(value: object) -> int:
    return sum(map(len, _strings(value)))


def _text_column(records: Sequence[Mapping[str, object]]) -> str | None:
    """A preferred name that holds text, else the column with the longest strings."""
    lengths: dict[str, list[int]] = {}
    for record in records:
        for key, value in record.items():
            if isinstance(value, str):
                lengths.setdefault(str(key), []).append(len(value))
    mean = {key: statistics.fmean(values) for key, values in lengths.items()}
    keys = dict.fromkeys(key for record in records for key in record)
    known = [key for name in PREFERRED for key in keys if str(key).strip().lower() == name]
    for key in known:
        if any(_length(record.get(key)) for record in records):
            return str(key)
    for key in sorted(mean, key=lambda key: -mean[key]):
        if _reads_as_text(records, key, mean[key]):
            return key
    return next((key for key in known if key in mean), None)


def _reads_as_text(records: Sequence[Mapping[str, object]], key: str, mean: float) -> bool:
    """Longer than an id or a label, and not made of one unbroken ASCII word (hash, URL)."""
    values = [v for record in records if isinstance(v := record.get(key), str) and v]
    words = sum(1 for v in values if len(v.split()) > 1 or not v.isascii())
    return mean >= 12 and words * 2 >= len(values)


def _label_column(records: Sequence[Mapping[str, object]], text: str) -> str | None:
    """A column with a class for the text: its name says so, and few short values recur in it."""
    words = statistics.median(len(str(record.get(text) or "").split()) for record in records)
    names = {str(key).strip().lower(): key for record in records for key in record if key != text}
    for name in LABEL + (LABEL_WEAK if words <= LABELLED_WORDS else ()):
        if name in names and _are_classes([record.get(names[name]) for record in records]):
            return str(names[name])
    return None


def _are_classes(values: list[object]) -> bool:
    given = [str(v) for v in values if isinstance(v, bool | int | float | str)]
    short = all(len(value) <= LABEL_LENGTH for value in given)
    few = len(set(given)) <= min(LABEL_VALUES, max(2, len(given) / 3))
    return short and few and len(given) >= max(LABELLED, 0.9 * len(values))


def text_of(value: object, layout: Layout | None) -> str | None:
    """The text of a record, its columns joined; None where it holds none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or layout is None:
        return None
    columns = [key for key in layout.columns if value.get(key) is not None]
    if not columns:
        other = task_layout(value)
        named = layout.kind in ("raw", "classification")
        columns = list(other.columns) if other and not named else []
    parts = [part for key in columns for part in _strings(value[key])]
    return "\n".join(parts) if parts else None


def _strings(value: object) -> Iterator[str]:
    """The texts inside a value, in order: messages and instances are walked, labels left out."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in INSIDE:
                yield from _strings(item)
