"""The worlds and what is true of each: what the gate must say, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from tests.benchmarks import world_texts

Row = dict[str, Any]
MOST, FEW = 16 / 20, 3 / 20
"""At least and at most how many runs of a world may say it (``--seeds 20``: 16 and 3)."""
FORGOTTEN = 0.3
"""Nats of generic loss: a twentieth of what the world that hurts forgets (5.9 to 6.8 in tuning)."""
FORCED = "a world with known truth: the gate is asked what the decision would not let it say"


@dataclass(frozen=True)
class World:
    """One world: its corpus and the knobs that make it."""

    name: str
    texts: Callable[[int], Iterator[str]]
    truth: str
    """What holds in it, in a few words."""
    decision: str
    """What the decision should say."""
    documents: int = 4000
    max_tokens: int = 400_000
    mix_back: float = 0.25
    lr: float = 4e-3
    embeddings_lr: float = 4e-3
    known: bool = False
    """Whether the task is about kinds that the base knows."""
    override: str = ""
    verdict: str = "TIE"
    """``EARNED``, ``TIE`` (not EARNED), ``HURT`` (or a red guard), ``RECOVERS``: no HURT, and
    at least 19 of 20 parts of the forgetting gone. Red begins at 0.05 nats, which a model of
    0.2M parameters cannot hold while it learns another language beside its own."""

    def hits(self, rows: list[Row]) -> int:
        """In how many rows the verdict's sign is seen: EARNED, or harm."""
        if self.verdict in ("EARNED", "TIE"):
            return sum(row["outcome"] == "EARNED" for row in rows)
        if self.verdict == "RECOVERS":
            return sum(lost(row) for row in rows)
        return sum(row["outcome"] == "HURT" or row["guard"] == "red" for row in rows)

    def bound(self, count: int) -> str:
        """The count that is asked of ``count`` runs, in words."""
        least = self.verdict in ("EARNED", "HURT")
        number = ceil(MOST * count) if least else floor(FEW * count)
        what = {"HURT": "HURT or red", "RECOVERS": f"HURT or +{FORGOTTEN} nats"}.get(
            self.verdict, "EARNED"
        )
        return f"{what} {'>=' if least else '<='} {number}"

    def holds(self, rows: list[Row]) -> bool:
        """Whether the rows show what is true of this world."""
        if self.verdict in ("EARNED", "HURT"):
            return self.hits(rows) >= ceil(MOST * len(rows))
        return self.hits(rows) <= floor(FEW * len(rows))


def lost(row: Row) -> bool:
    """Whether a run did not recover."""
    return row["outcome"] == "HURT" or (row["generic_rise"] or 0.0) > FORGOTTEN


_ALL = (
    World("helps", world_texts.notes, "notes on the kinds that the task asks about", "GO",
          verdict="EARNED"),
    World("fluent", world_texts.fluent, "more of the base's own text", "NO-GO",
          known=True, override=FORCED, max_tokens=160_000),
    World("tiny", world_texts.notes, "the text that helps, too little of it", "NO-GO",
          documents=75, override=FORCED),
    World("falls", world_texts.other_notes, "notes on kinds that the task never names", "GO"),
    World("placebo", world_texts.cargo, "as many tokens of irrelevant text", "GO"),
    World("hurts", world_texts.cargo, "irrelevant text, nothing mixed back, a hot rate", "GO",
          max_tokens=220_000, known=True, mix_back=0.0, embeddings_lr=2e-3, verdict="HURT"),
    World("mix-back", world_texts.cargo, "the same, a quarter of it generic text", "GO",
          max_tokens=220_000, known=True, embeddings_lr=2e-3, verdict="RECOVERS"),
)  # fmt: skip
WORLDS = {world.name: world for world in _ALL}
