"""Separators: marks that a tool put between documents, and that are no part of their text.

Many corpora were joined with a model's end-of-text token written out. Trained on as it stands, such
a mark is a handful of plain characters that the model learns to write. Where it stands regularly
between texts it is a border: the text is split there and the mark is dropped, since the packing
adds the model's own. Where it stands in the middle of a sentence, as in this one: ``</s>``, it is
text and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BORDERS = (
    *("<|endoftext|>", "<|end_of_text|>", "<|endofdocument|>", "<|end_of_document|>"),
    *("<｜end▁of▁sentence｜>", "<|end▁of▁sentence|>", "<eos>", "<EOS>", "[EOS]", "<|eos|>", "</s>"),
    *("<|startoftext|>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<bos>", "<BOS>", "[BOS]"),
    *("<|bos|>", "<s>"),
)
"""Ends and beginnings of a text, as the tokenizers of open models write them."""
TURNS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|eot|>")
"""Ends of a turn, which some models end a text with too."""
ROLES = re.compile(
    r"<\|(?:im_start|start_header_id|header_start|user|assistant|system|start)\|>|<start_of_turn>"
)
"""Beginnings of a turn: a text that has them is a conversation, whose marks are its form."""
STRIKES = ("<s>", "</s>")
"""HTML's marks around struck text, too, where both are there."""
FEW = 3
"""Marks from which they are regular where they touch words; behind a sentence or at the end of a
line one is enough."""
REGULAR = 0.9
"""Share of the marks that must stand between texts."""

ENDS = 2000
"""Characters at each end of a record that are searched."""

_SENTENCE = re.compile(r"[.!?。！？…][\"”’»)\]]*[ \t]*\Z")
_TOUCHING = re.compile(r"[^\s`'\"“‘(\[{=+]\Z")
_CLOSING = "`'\"”’)]},;"
"""Behind a mark: it is quoted, or part of a sentence."""
_NEAR = 8
"""Characters looked at on either side."""
_AFTER_STRIKE = re.compile(r"[ \t]*(?:\n|\Z|</?s>)")


@dataclass(frozen=True)
class Border:
    """Marks between documents, and where they are one."""

    marks: tuple[str, ...]
    cut: re.Pattern[str]

    def split(self, text: str, dropped: dict[str, int]) -> list[str]:
        """The documents of a record between the marks, which are counted in ``dropped``."""
        text = f"\n{text}\n"
        for mark in self.cut.findall(text):
            dropped[mark] = dropped.get(mark, 0) + 1
        return self.cut.split(text)


def separators(head: str) -> tuple[str, ...]:
    """The marks that stand regularly between documents in a text that starts so."""
    if "<" not in head and "[" not in head:
        return ()
    marks = BORDERS if ROLES.search(head) else (*BORDERS, *TURNS)
    return tuple(mark for mark in marks if mark in head and _is_regular(mark, head))


def find_border(head: str) -> Border | None:
    """What a text that starts so is cut at; None where no mark stands regularly in it."""
    marks = separators(head)
    if not marks:
        return None
    return Border(marks, re.compile("|".join(_cut_at(mark, head) for mark in marks)))


def record_border(texts: Iterable[str]) -> Border | None:
    """The same for texts that are records: a mark at the end of one is at the end of a line."""
    return find_border("\n".join(map(_ends, texts)))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * ENDS else f"{text[:ENDS]} {text[-ENDS:]}"


def _cut_at(mark: str, head: str) -> str:
    """The mark wherever it stands, or at line ends only where it is no border within lines."""
    text = re.escape(mark)
    within = (m for m in re.finditer(text, head) if not _is_at_line_end(head, *m.span()))
    everywhere = any(_kind(mark, head, one) for one in within)
    return text if everywhere else rf"{text}(?=[ \t]*\n)|(?<=\n){text}"


def _is_at_line_end(head: str, start: int, end: int) -> bool:
    """Whether the rest of the line is empty, or the line begins with what stands there."""
    rest = head[end : end + _NEAR].lstrip(" \t")
    return not rest or rest[0] == "\n" or start == 0 or head[start - 1] == "\n"


def _is_regular(mark: str, head: str) -> bool:
    kinds = [_kind(mark, head, one) for one in re.finditer(re.escape(mark), head)]
    clear, touching = kinds.count("clear"), kinds.count("touching")
    if clear >= REGULAR * len(kinds):
        return True
    return len(kinds) >= FEW and clear + touching >= REGULAR * len(kinds)


def _kind(mark: str, head: str, found: re.Match[str]) -> str:
    """How a mark stands: ``clear``, ``touching`` words, or within a sentence (empty)."""
    start, end = found.span()
    before = head[max(0, start - _NEAR) : start]
    begins = not before.strip(" \t") or before.rstrip(" \t").endswith("\n")
    struck = mark in STRIKES and all(one in head for one in STRIKES)
    if struck and not (begins or _AFTER_STRIKE.match(head, end)):
        return "clear" if mark == "<s>" and before.rstrip(" \t").endswith("</s>") else ""
    if begins or _is_at_line_end(head, start, end):
        return "clear"
    if head[end] in _CLOSING:
        return ""
    if _SENTENCE.search(before):
        return "clear"
    return "touching" if _TOUCHING.search(before) else ""
