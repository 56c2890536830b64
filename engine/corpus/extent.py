"""Where a source lies on this machine, and how much of it is taken."""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from engine.corpus.ledger import Ledger
from engine.corpus.remote.fetched import take_bytes
from engine.recipe.sources import Source

EMBEDDED = "embedded"


class _HasText(Protocol):
    @property
    def text(self) -> str: ...


Texts = TypeVar("Texts", bound=_HasText)


def local_root(source: Source) -> Path:
    """The file, folder or glob of a source that is on this machine."""
    if source.path == EMBEDDED:
        return Path(str(importlib.resources.files("engine"))) / "data" / "generic_sample.jsonl"
    with contextlib.suppress(RuntimeError):  # no such user: taken literally
        return Path(source.path).expanduser()
    return Path(source.path)


def limited(documents: Iterable[Texts], source: Source, ledger: Ledger) -> Iterator[Texts]:
    """No more than ``max_documents``, and no more than ``take_tokens`` and the rest of a text."""
    limit, most, size = source.max_documents, take_bytes(source), 0
    for number, document in enumerate(documents, 1):
        yield document
        if number == limit:
            ledger.note(f"no more than {limit:,} documents read (max_documents)")
            return
        size += len(document.text.encode()) if most else 0
        if most and size >= most:
            taken = f"about {source.take_tokens:,} tokens (take_tokens)"
            ledger.note(f"no more than {taken} read: {number:,} documents, {size:,} bytes")
            return
