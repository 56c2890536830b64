"""Shape: which columns of a record hold the text, and what kind of data a corpus is."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.evidence import Shape
from engine.text import clean, without_surrogates

if TYPE_CHECKING:
    from engine.corpus import Corpus

PREFERRED = ("text", "content", "body", "document", "raw_content", "article")
CHAT = ("messages", "conversations", "conversation", "dialogue", "dialog", "dialogs", "turns")
PAIRS = (
    ("instruction", ("output", "response", "completion", "answer", "instances")),
    ("prompt", ("completion", "response", "output", "answer")),
    ("question", ("answer", "answers", "response")),
    ("query", ("response", "answer", "answers")),
    ("input", ("output", "target", "response")),
)
BETWEEN = ("input", "context", "system")
"""Columns that belong to a prompt when its main column is another one."""

LABELS = {"role", "from", "type", "id", "loss_weight"}
"""Keys of a message that are no text."""

SHORT_WORDS = 40
"""Rows with a median below this many words are short rows."""

SHARE = 0.9
"""Of the bytes: running text from this share on is raw, and data for fine-tuning likewise."""

SAMPLE = 200

_TEMPLATES = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[/INST\]|<\|assistant\|>"
    r"|^#{2,3} ?(?:Instruction|Response|Assistant): *$"
    r"|^(?:Human|User|Assistant): ",
    re.M,
)

WORDS = {
    "raw": "running text",
    "prompt_completion": "prompts with completions",
    "chat": "conversations",
    "preference": "preference pairs",
}


@dataclass(frozen=True)
class Layout:
    """Where the text of a record is: its kind and the columns, in reading order."""

    kind: str
    columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return without_surrogates(" + ".join(self.columns))


def layout_of(records: Sequence[dict[str, Any]], column: str | None = None) -> Layout | None:
    """The layout of one file's first records; None where no column holds text."""
    if column is not None:
        known = any(column in record for record in records)
        return Layout("raw", (column,)) if known else None
    found = Counter(filter(None, map(_task_layout, records)))
    if found:
        layout, count = found.most_common(1)[0]
        if count * 2 >= len(records):
            return layout
    raw = _text_column(records)
    return Layout("raw", (raw,)) if raw else None


def _task_layout(record: dict[str, Any]) -> Layout | None:
    """The layout of a record made for fine-tuning; None for any other."""
    names = {str(key).strip().lower(): str(key) for key in record}
    turns = next((names[key] for key in CHAT if _is_list(record, names.get(key))), None)
    if "chosen" in names and "rejected" in names:
        asked = next((names[key] for key in ("prompt", "question", "input") if key in names), turns)
        return Layout("preference", (*((asked,) if asked else ()), names["chosen"]))
    if turns:
        return Layout("chat", (turns,))
    for prompt, completions in PAIRS:
        reply = next((names[key] for key in completions if key in names), None)
        if prompt in names and reply and _is_pair(record, names, prompt, reply):
            extra = [names[k] for k in BETWEEN if k in names and k != prompt and names[k] != reply]
            return Layout("prompt_completion", (names[prompt], *extra, reply))
    return None


def _is_list(record: dict[str, Any], key: str | None) -> bool:
    return key is not None and isinstance(record[key], list) and bool(record[key])


def _is_pair(record: dict[str, Any], names: dict[str, str], prompt: str, reply: str) -> bool:
    """Both sides hold text, and a weak pair does not stand beside a longer running text."""
    sides = [_length(record[names[prompt]]), _length(record[reply])]
    if not all(sides):
        return False
    running = max((_length(record[names[key]]) for key in PREFERRED if key in names), default=0)
    return prompt in ("instruction", "prompt") or running <= sum(sides)


def _length(value: Any) -> int:
    return sum(map(len, _strings(value)))


def _text_column(records: Sequence[dict[str, Any]]) -> str | None:
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


def _reads_as_text(records: Sequence[dict[str, Any]], key: str, mean: float) -> bool:
    """Longer than an id or a label, and not made of one unbroken ASCII word (hash, URL)."""
    values = [v for record in records if isinstance(v := record.get(key), str) and v]
    words = sum(1 for v in values if len(v.split()) > 1 or not v.isascii())
    return mean >= 12 and words * 2 >= len(values)


def text_of(value: Any, layout: Layout | None) -> str | None:
    """The text of a record, its columns joined; None where it holds none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or layout is None:
        return None
    columns = [key for key in layout.columns if value.get(key) is not None]
    if not columns:
        other = _task_layout(value)
        columns = list(other.columns) if other and layout.kind != "raw" else []
    parts = [part for key in columns for part in _strings(value[key])]
    return "\n".join(parts) if parts else None


def _strings(value: Any) -> Iterator[str]:
    """The texts inside a value, in order: messages and instances are walked, labels left out."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in LABELS:
                yield from _strings(item)


@dataclass(frozen=True)
class _Seen:
    """One sampled text: its share of the corpus's bytes, kind, columns and text."""

    weight: float
    kind: str
    columns: str
    text: str


def detect_shape(corpus: Corpus) -> Shape:
    """The kind of data, by a sample over the files, weighted by the files' sizes."""
    column = corpus.source.text_column
    seen = [
        one
        for size, rows in corpus.sample_files(SAMPLE)
        for one in _seen_in(size / max(1, len(rows)), rows, column)
        if one.text.strip()
    ]
    if not seen:
        return Shape(kind="raw", confidence=0.0, why="no text could be read")
    share: Counter[str] = Counter()
    for one in seen:
        share[one.kind] += one.weight  # type: ignore[assignment]
    kind, _ = share.most_common(1)[0]
    total = sum(share.values()) or 1.0
    raw = share["raw"] / total
    mine = [one for one in seen if one.kind == kind]
    if 1 - SHARE < raw < SHARE:
        return _shape("mixed", 2 * min(raw, 1 - raw), _why_mixed(share, total), seen)
    enough = min(1.0, 0.5 + len(seen) / 20)
    if kind == "raw":
        beside = _beside(corpus) if column is not None else ""
        return _raw_shape(mine, raw * enough, beside)
    why = _why_task(kind, mine, len(seen))
    if share[kind] / total < SHARE:
        why = f"all made for fine-tuning: {_parts(share, total)}"
    return _shape(kind, (1 - raw) * enough, why, mine)


def _seen_in(weight: float, rows: list[Any], column: str | None) -> Iterator[_Seen]:
    """One file's rows; a row made for fine-tuning counts as such whatever its neighbours are."""
    layout = layout_of([row for row in rows if isinstance(row, dict)], column)
    for row in rows:
        own = _task_layout(row) if isinstance(row, dict) and column is None else None
        yield _see(weight, row, own or (layout if isinstance(row, dict) else None))


def _see(weight: float, value: Any, layout: Layout | None) -> _Seen:
    text = text_of(value, layout) or ""
    kind = layout.kind if layout else "raw"
    if kind == "raw" and len(_TEMPLATES.findall(text[:20_000])) >= 2:
        return _Seen(weight, "chat", "role marks in the text", text)
    return _Seen(weight, kind, layout.name if layout else "", text)


def _beside(corpus: Corpus) -> str:
    """What the records would be taken for, had the user not named a column."""
    records = [row for row in corpus.sample(SAMPLE) if isinstance(row, dict)]
    found = Counter(filter(None, map(_task_layout, records)))
    if not found:
        return ""
    layout = found.most_common(1)[0][0]
    return f"; its records also look like {WORDS[layout.kind]} (columns {layout.name})"


def _raw_shape(seen: list[_Seen], certainty: float, beside: str) -> Shape:
    """Running text, or rows too short to be documents."""
    median = statistics.median(words(one.text) for one in seen)
    columns = _columns(seen)
    where = f'column "{columns}"' if columns else "plain text"
    if median < SHORT_WORDS:
        why = f"{where}: the median of {len(seen)} sampled texts is {median:.0f} words, a sentence"
        return _shape("short_rows", certainty, f"{why} or two each, not documents{beside}", seen)
    why = f"{where}: running text, median {median:.0f} words in {len(seen)} sampled documents"
    return _shape("raw", certainty, why + beside, seen)


def words(text: str) -> int:
    """Words by spaces; where a script writes none, an eighth of the characters."""
    return max(len(text.split()), len(text) // 8)


def _columns(seen: list[_Seen]) -> str:
    return Counter(one.columns for one in seen).most_common(1)[0][0]


def _why_task(kind: str, seen: list[_Seen], total: int) -> str:
    columns = _columns(seen)
    where = columns if columns.startswith("role marks") else f"columns {columns}"
    return f"{len(seen)} of {total} sampled records are {WORDS[kind]} ({where})"


def _why_mixed(share: Counter[str], total: float) -> str:
    return f"no kind makes up {SHARE:.0%} of the bytes: {_parts(share, total)}"


def _parts(share: Counter[str], total: float) -> str:
    shares = [(WORDS[kind], part / total) for kind, part in share.most_common()]
    return ", ".join(f"{name} {part:.0%}" for name, part in shares if part >= 0.005)


def _shape(kind: str, confidence: float, why: str, seen: list[_Seen]) -> Shape:
    examples = [_short(seen[0].text)]
    if len(seen) > 1:
        examples.append(_short(seen[len(seen) // 2].text))
    return Shape(kind=kind, confidence=round(confidence, 2), why=why, examples=examples)


def _short(text: str) -> str:
    flat = " ".join(clean(text[:400]).split())
    return flat if len(flat) <= 120 else flat[:117] + "..."
