"""Shape: what kind of data a corpus is, by a sample of its rows.

Rows are judged one by one: by their columns (``engine.columns``), by the file's suffix, by role
marks in the text, or by its lines (``engine.codetext``). Each stands for its share of the bytes.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.artifacts.scan import Shape, ShapePart
from engine.corpus.fields import Layout, layout_of, task_layout, text_of
from engine.corpus.files.kinds import KINDS
from engine.corpus.source_code import is_code
from engine.corpus.text import clean

if TYPE_CHECKING:
    from engine.corpus.corpus import Corpus, Sample


SHORT_WORDS = 40
"""Rows with a median below this many words are short rows."""

SHARE = 0.9
"""Of the bytes: a corpus is of one kind from this share on."""
LEAST = 0.005
"""A smaller share is not listed as a part."""

SAMPLE = 200
LOOKED_AT = 20_000
"""Characters of a text searched for role marks."""
MARKS_EVERY = 4000
"""Characters in which at least one role mark stands, in a text made of turns."""

_MARKS = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<\|header_start\|>|<start_of_turn>|\[/?INST\]"
    r"|<\|(?:user|assistant|system|prompter)\|>"
    r"|^#{2,3} ?(?:Instruction|Input|Response|Human|User|Assistant) ?:? *$"
    r"|^(?:Human|User|USER|Assistant|ASSISTANT): ",
    re.M,
)

WORDS = {
    "raw": "running text",
    "code": "source code",
    "prompt_completion": "prompts with completions",
    "chat": "conversations",
    "preference": "preference pairs",
    "classification": "texts with labels",
}
TEXT = ("raw", "code")
"""Kinds that CPT reads; the others are made for fine-tuning."""

CERTAINTY = {
    "columns": 0.99,
    "suffix": 0.99,
    "marks": 0.95,
    "label": 0.9,
    "code": 0.97,
    "text": 0.98,
}
"""How often the ground of a row's judgement is right, at least: all are below the precision
measured over the material (tests/benchmarks/shapes.py)."""


@dataclass(frozen=True)
class _Seen:
    """One sampled text: its share of the corpus's bytes, kind, the ground for it, and words."""

    weight: float
    kind: str
    ground: str
    columns: str
    text: str


def detect_shape(corpus: Corpus) -> Shape:
    """The kind of data, by a sample over the files, weighted by the files' sizes.

    ``confidence`` is the probability that the kind really makes up 90% of the bytes (or, for
    ``mixed``, that none does), given the rows sampled as if they were drawn at random, times
    how often the grounds of the judgement are right.
    """
    column = corpus.source.text_column
    seen = [
        one
        for sample in corpus.samples(SAMPLE)
        for one in _weighted(sample.size, [*_seen_in(sample, column)])
        if one.text.strip()
    ]
    if not seen:
        return Shape(kind="raw", confidence=0.0, why="no text in the parts that were looked at")
    if column is not None:
        return _named(seen, column, corpus)
    shares = _shares(seen)
    parts = [_part(kind, share, seen) for kind, share in shares.most_common() if share >= LEAST]
    kind = _kind(shares)
    mine = [one for one in seen if one.kind == kind] or seen
    if kind == "raw" and _are_short(mine):
        kind = "short_rows"
        parts = [_renamed(part) if part.kind == "raw" else part for part in parts]
    return Shape(
        kind=kind,
        confidence=_confidence(kind, shares, seen),
        why=_why(kind, mine, shares, len(seen)),
        examples=_samples(mine),
        parts=parts,
    )


def _seen_in(sample: Sample, column: str | None) -> Iterator[_Seen]:
    """One file's rows; a row made for fine-tuning counts as such whatever its neighbours are."""
    layout = layout_of([row for row in sample.rows if isinstance(row, dict)], column)
    for row in sample.rows:
        if isinstance(row, dict):
            own = task_layout(row) if column is None else None
            yield _see(row, own or layout)
        elif sample.kind in KINDS and KINDS[sample.kind].code and isinstance(row, str):
            yield _Seen(len(row), "code", "suffix", "", row)
        else:
            yield _see(row, None)


def _weighted(size: int, rows: list[_Seen]) -> list[_Seen]:
    """The rows with their share of the file's size."""
    total = sum(one.weight for one in rows) or 1
    return [replace(one, weight=size * one.weight / total) for one in rows]


def _see(value: Any, layout: Layout | None) -> _Seen:
    text = text_of(value, layout) or ""
    weight = len(text)
    if layout and layout.kind == "classification":
        return _Seen(weight, layout.kind, "label", f'"{layout.label}" beside "{layout.name}"', text)
    if layout and layout.kind != "raw":
        return _Seen(weight, layout.kind, "columns", layout.name, text)
    name = layout.name if layout else ""
    if found := _inside(text):
        return _Seen(weight, found.kind, "marks", f"{found.name} in lines of JSON", text)
    if _has_roles(text):
        return _Seen(weight, "chat", "marks", "role marks in the text", text)
    if is_code(text):
        return _Seen(weight, "code", "code", name, text)
    return _Seen(weight, "raw", "text", name, text)


def _inside(text: str) -> Layout | None:
    """The layout of a record that stands as JSON in the first line of a plain text."""
    first = text[:LOOKED_AT].lstrip().split("\n", 1)[0]
    if not first.startswith("{"):
        return None
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        return None
    return task_layout(record) if isinstance(record, dict) else None


def _has_roles(text: str) -> bool:
    text = text[:LOOKED_AT]
    return len(_MARKS.findall(text)) >= max(2, len(text) / MARKS_EVERY)


def _shares(seen: Sequence[_Seen]) -> Counter[str]:
    """Shares of the kinds."""
    shares: Counter[str] = Counter()
    total = sum(one.weight for one in seen) or 1.0
    for one in seen:
        shares[one.kind] += one.weight / total  # type: ignore[assignment]
    return shares


def _kind(shares: Counter[str]) -> str:
    """The kind of the whole: data for fine-tuning is one side, text and code are the other."""
    text = sum(shares[kind] for kind in TEXT)
    if text <= 1 - SHARE:
        return max((kind for kind in shares if kind not in TEXT), key=shares.__getitem__)
    kind = max(TEXT, key=shares.__getitem__)
    return kind if shares[kind] >= SHARE else "mixed"


def _confidence(kind: str, shares: Counter[str], seen: Sequence[_Seen]) -> float:
    """Posterior probability that the share is on its side of the border, Jeffreys' prior."""
    from scipy.special import betainc

    text, most = sum(shares[k] for k in TEXT), max(TEXT, key=shares.__getitem__)
    whole = text < SHARE or kind not in (*TEXT, "short_rows", "mixed")
    kinds, share = (TEXT, text) if whole else ((most,), shares[most])
    rows = _rows(kinds, seen)
    hits, misses = share * rows + 0.5, (1 - share) * rows + 0.5
    low, high = (float(betainc(hits, misses, limit)) for limit in (1 - SHARE, SHARE))
    sure = high - low if kind == "mixed" else low if share <= 1 - SHARE else 1 - high
    return round(sure * _certainty(seen), 2)


def _rows(kinds: Sequence[str], seen: Sequence[_Seen]) -> float:
    """How many equal rows would give the share of these kinds as surely as the weighted ones."""
    total = sum(one.weight for one in seen)
    share = sum(one.weight for one in seen if one.kind in kinds) / total
    kish = total**2 / sum(one.weight**2 for one in seen)
    spread = sum((one.weight * ((one.kind in kinds) - share)) ** 2 for one in seen) / total**2
    return min(kish, share * (1 - share) / spread) if spread else kish


def _certainty(seen: Sequence[_Seen]) -> float:
    total = sum(one.weight for one in seen) or 1.0
    return sum(one.weight * CERTAINTY[one.ground] for one in seen) / total


def _part(kind: str, share: float, seen: Sequence[_Seen]) -> ShapePart:
    """One kind; one seen only once or twice may as well be a slip."""
    mine = [one for one in seen if one.kind == kind]
    sure = _certainty(mine) * (len(mine) + 0.5) / (len(mine) + 1)
    return ShapePart(kind=kind, share=share, confidence=round(sure, 2), samples=_samples(mine))


def _renamed(part: ShapePart) -> ShapePart:
    return part.model_copy(update={"kind": "short_rows"})


def _named(seen: Sequence[_Seen], column: str, corpus: Corpus) -> Shape:
    """The user named the column: it is text, with a note on what it looks like."""
    looks = Counter(one.kind for one in seen if one.kind not in TEXT)
    records = [row for row in corpus.sample(SAMPLE) if isinstance(row, dict)]
    layouts = Counter(filter(None, map(task_layout, records)))
    beside = ""
    if layouts:
        layout = layouts.most_common(1)[0][0]
        beside = f"; its records also look like {WORDS[layout.kind]} (columns {layout.name})"
    elif looks:
        beside = f"; it also looks like {WORDS[looks.most_common(1)[0][0]]} (role marks)"
    kind = "short_rows" if _are_short(seen) else "raw"
    part = ShapePart(kind=kind, share=1.0, confidence=1.0, samples=_samples(seen))
    why = f'you named the column "{column}": {_length(seen)}{beside}'
    return Shape(kind=kind, confidence=1.0, why=why, examples=_samples(seen), parts=[part])


def words(text: str) -> int:
    """Words by spaces; where a script writes none, an eighth of the characters."""
    return max(len(text.split()), len(text) // 8)


def _median(seen: Sequence[_Seen]) -> float:
    return statistics.median(words(one.text) for one in seen)


def _are_short(seen: Sequence[_Seen]) -> bool:
    return _median(seen) < SHORT_WORDS


def _why(kind: str, mine: Sequence[_Seen], shares: Counter[str], total: int) -> str:
    columns = Counter(one.columns for one in mine).most_common(1)[0][0]
    where = f'column "{columns}"' if columns else "plain text"
    if kind == "mixed":
        return f"no kind makes up {SHARE:.0%} of the bytes: {_listed(shares)}"
    if kind == "code":
        return f"{shares['code']:.0%} of the bytes are source code, by file names and lines"
    if kind in ("raw", "short_rows"):
        return f"{where}: {_length(mine)}"
    if shares[kind] < SHARE:
        return f"all made for fine-tuning: {_listed(shares)}"
    by = columns if mine[0].ground != "columns" else f"columns {columns}"
    return f"{len(mine)} of {total} sampled records are {WORDS[kind]} ({by})"


def _length(seen: Sequence[_Seen]) -> str:
    what = f"median {_median(seen):.0f} words in {len(seen)} sampled"
    if _are_short(seen):
        return f"{what} texts, a sentence or two each, not documents"
    return f"running text, {what} documents"


def _listed(shares: Counter[str]) -> str:
    return ", ".join(
        f"{WORDS[kind]} {share:.0%}" for kind, share in shares.most_common() if share >= LEAST
    )


def _samples(seen: Sequence[_Seen]) -> list[str]:
    """The first and the middle one, short."""
    chosen = [seen[0], seen[len(seen) // 2]] if len(seen) > 1 else list(seen)
    return [_short(one.text) for one in chosen]


def _short(text: str) -> str:
    flat = " ".join(clean(text[:400]).split())
    return flat if len(flat) <= 120 else flat[:117] + "..."
