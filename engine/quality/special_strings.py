"""Special strings: the written form of special tokens, standing in the text.

A tokenizer's special tokens (``</s>``, ``<|im_end|>``) mean something to the model that their
spelling does not. Spelt out in a corpus they are left of a template or of a separator, or the
text speaks of them. They are tokenised as plain characters, and counted so that nobody is
surprised.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from engine.artifacts.scan import SpecialString
from engine.corpus.separators import BORDERS, TURNS

WELL_KNOWN = (*BORDERS, *TURNS, "<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[INST]")
"""Marks of other models' templates that are looked for with any tokenizer."""
SHOWN = 8
_MARK = re.compile(r"<[^<>\s]{1,48}>|\[[A-Za-z_]{2,16}\]")
"""How nearly all special tokens are written."""


class SpecialStrings:
    """Counts the documents of a stream that hold the written form of a special token."""

    def __init__(self, special_tokens: Iterable[str]) -> None:
        own = {mark for mark in special_tokens if len(mark) > 2 and not mark[0].isalnum()}
        self._own = own
        self._marks = frozenset(own | set(WELL_KNOWN))
        self._odd = [mark for mark in own if not _MARK.fullmatch(mark)]
        """Those of no usual form, looked for one by one."""
        self._documents: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()

    def feed(self, texts: Sequence[str]) -> None:
        """Add a batch of documents."""
        for text in texts:
            if "<" in text or "[" in text:
                found = self._marks.intersection(_MARK.findall(text))
                self._documents.update(found)
                self._ends.update(mark for mark in found if text.endswith(mark))
            for mark in self._odd:
                if mark in text:
                    self._documents[mark] += 1
                    self._ends[mark] += text.endswith(mark)

    def found(self) -> list[SpecialString]:
        """The strings that stand in most documents."""
        return [
            SpecialString(
                text=mark, documents=count, at_end=self._ends[mark], own=mark in self._own
            )
            for mark, count in self._documents.most_common(SHOWN)
        ]
