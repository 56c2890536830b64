"""What the tree's rules take and give: ``Case -> Finding``, and numbers in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from engine.artifacts.decision import Evidence
from engine.recipe.sections import Interview, Recipe
from engine.thresholds import effective


@dataclass(frozen=True)
class Case:
    """What the tree looks at: the evidence so far and the recipe with the answers."""

    evidence: Evidence
    recipe: Recipe

    @cached_property
    def limits(self) -> dict[str, float]:
        """Every threshold after the recipe's overrides."""
        return effective(self.recipe.probe.thresholds)

    @property
    def interview(self) -> Interview:
        """What the user answered."""
        return self.recipe.interview


@dataclass(frozen=True)
class Finding:
    """What one node found."""

    outcome: str
    """``go``, ``note``, ``not_yet``, ``no_go`` or ``open``."""
    answer: str
    instead: str = ""
    source: str = ""
    measured: bool = True
    """False where the user's word, not a measurement, is the ground."""
    unverified: bool = False
    """The user's word stands where a measurement could."""


def asked(outcome: str, answer: str, instead: str = "", source: str = "") -> Finding:
    """A finding that rests on what only the user knows."""
    return Finding(outcome, answer, instead, source, measured=False)


def unmeasured(answer: str, instead: str = "") -> Finding:
    """A finding that waits for a measurement."""
    return Finding("open", answer, instead, measured=False)
