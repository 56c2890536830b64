"""One example of the gate: a prompt with the right completion, and the choices beside it."""

from __future__ import annotations

from dataclasses import dataclass

GOLD_TAG, SPARE_TAG = "gold", "spare"
"""Tags that tell the gold file's items from labelled SFT rows that serve as items too."""


@dataclass(frozen=True)
class Example:
    """One item: the model reads ``prompt`` and should go on with ``completion``."""

    prompt: str
    completion: str
    choices: tuple[str, ...] = ()
    """What the log-likelihood metrics compare; empty for continuations and SFT data."""
    label: str = ""
    """Name of the answer; the stripped completion where the file gives none."""
    group: str = ""
    """Items of one name share a source and count as one; '' stands alone."""
    tags: tuple[str, ...] = ()
    pattern: str = ""
    """What the metric ``regex`` looks for; '' for the recipe's."""
    turns: tuple[tuple[str, str], ...] = ()
    """(role, text) before the completion, of a chat; then ``prompt`` is their text joined."""
