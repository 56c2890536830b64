"""Line records: a text file in which every line is a record of its own, and no line of a text.

Molecules as strings, log entries, tables of numbers, word lists, titles: the same lines in a
``.jsonl`` are rows, so they are rows here too, and not blocks cut somewhere in between. A file with
a sentence on every line is left whole, since its sentences may follow each other.
"""

from __future__ import annotations

import re
from collections import Counter

LEAST_LINES = 40
FEW = 0.02
"""Share of blank or indented lines beyond which lines are parts of something larger."""
MOST = 0.8
"""Share of the lines that must be no prose, or begin alike."""
WORDS = 3
"""Words of a line that is no prose, at most, unless fewer than half of its signs are letters."""
EVEN = 0.5
"""Share of the lines that are as long as the longest, where one string was cut into them."""
BEGINNING = 8
"""Characters with which the lines of a log or a dump begin alike."""
ENDS = 0.02
"""Share of the lines of a list, at most, in which a sentence ends."""
LONG, WRAPPED = 0.7, 0.6
"""Lines so long beside the longest are less than this share of a list; of a text that is wrapped
at some width they are nearly all."""

_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}|\d{4}[-/]\d{2}[-/]\d{2}[T ]|^\[ *\d+\.\d+\]")
"""A moment near the beginning of a log's line."""
_TIME_WITHIN = 60
_SENTENCE_END = re.compile(r"[.!?…;:。！？][\"'”’»)\]]*(?:\s|$)")


def are_line_records(head: str) -> bool:
    """Whether each line of a text that starts so is a record.

    Never for prose, and for whatever has blank or indented lines: paragraphs, code, Markdown.
    """
    lines = head.split("\n")[:-1]  # the last one may be cut
    full = [line.rstrip() for line in lines if line.strip()]
    if len(full) < LEAST_LINES or len(full) < (1 - FEW) * len(lines):
        return False
    if sum(line[0].isspace() for line in full) > FEW * len(full):
        return False
    strings = sum(map(_is_no_prose, full)) >= MOST * len(full) and not _are_cut_even(full)
    return strings or _begin_alike(full) or _are_timed(full) or _are_a_list(full)


def _is_no_prose(line: str) -> bool:
    """A name, a formula, numbers. A script without blanks counts as prose."""
    letters = len(_LETTER.findall(line))
    return letters < len(line) / 2 or (line.isascii() and len(line.split()) <= WORDS)


def _are_cut_even(lines: list[str]) -> bool:
    """Whether one long string was cut into lines of one length: a sequence, base64."""
    sizes = Counter(map(len, lines))
    size, count = sizes.most_common(1)[0]
    return count >= EVEN * len(lines) and size == max(sizes)


def _begin_alike(lines: list[str]) -> bool:
    """Whether most lines begin with the same pattern of digits and signs, or the same word.

    Numbered verses may do the latter too, and they are sentences.
    """
    beginnings = Counter(line[:BEGINNING] for line in lines)
    differ = len(set(lines)) > len(lines) / 2
    if differ and beginnings.most_common(1)[0][1] >= MOST * len(lines):
        return sum(line[-1] in ".!?…。" for line in lines) < len(lines) / 2
    shapes = Counter(_LETTER.sub("a", _DIGIT.sub("0", line[:BEGINNING])) for line in lines)
    shape, count = shapes.most_common(1)[0]
    return count >= MOST * len(lines) and not shape.replace(" ", "").isalpha()


def _are_timed(lines: list[str]) -> bool:
    timed = sum(_TIME.search(line[:_TIME_WITHIN]) is not None for line in lines)
    return timed >= MOST * len(lines)


def _are_a_list(lines: list[str]) -> bool:
    """Whether lines of different lengths end no sentence: titles, names, entries."""
    ends = sum(_SENTENCE_END.search(line) is not None for line in lines)
    if ends > ENDS * len(lines) or not all(line.isascii() or " " in line for line in lines):
        return False
    sizes = sorted(map(len, lines))
    longest = sizes[int(0.95 * (len(sizes) - 1))]
    return sum(size >= LONG * longest for size in sizes) < WRAPPED * len(sizes)
