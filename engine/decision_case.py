"""What the tree's rules take and give: ``Case -> Finding``, and numbers in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite

from engine.evidence import Evidence, Interval
from engine.recipe import Interview, Recipe
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


def size(tokens: float) -> str:
    """Tokens in words: ``850``, ``140k``, ``2.1M``."""
    if tokens < 1000:
        return f"{tokens:.0f}"
    return f"{tokens / 1e3:.0f}k" if tokens < 999_500 else f"{tokens / 1e6:.1f}M"


def spread(interval: Interval, digits: int = 2) -> str:
    """``1.42 (95% 1.31 to 1.55)``"""
    low, high = (f"{end:.{digits}f}" for end in (interval.low, interval.high))
    return f"{interval.value:.{digits}f} (95% {low} to {high})"


def finite(interval: Interval) -> bool:
    """True where all three numbers can be compared."""
    return all(isfinite(number) for number in (interval.value, interval.low, interval.high))


def clock(seconds: float) -> str:
    """Seconds in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if not seconds < 1e9:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
