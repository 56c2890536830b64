"""Defaults that depend on the size of model or corpus: learning rates and LoRA ranks.

The one table of ranks is here, the one of rates in ``methods``; prose is made from them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from engine.recipe.method_facts import TRAIN_METHODS


def _millions(tokens: float) -> str:
    return f"{tokens / 1e6:.0f}"


class RankBand(NamedTuple):
    """The default LoRA rank of corpora below a size."""

    below: float
    """Unique corpus tokens."""
    rank: int
    corpus: str
    """The size in words."""


LORA_RANKS = (
    RankBand(10_000_000, 16, "below 10M tokens"),
    RankBand(50_000_001, 64, "up to 50M tokens"),
    RankBand(math.inf, 256, "beyond 50M"),
)
"""An engineering choice: adapters keep about 2 bits a parameter (Allen-Zhu & Li, Physics of LMs
3.3), so their rank grows with the text."""
RANKS = "{}, {} or {}".format(*(band.rank for band in LORA_RANKS))
RANKS_BY_CORPUS = "rank {1} below {0}M tokens, {3} up to {2}M, {5} beyond".format(
    *(n for band in LORA_RANKS for n in (_millions(band.below), band.rank))
)
TRIAL_RANK = LORA_RANKS[0].rank
"""Of adapters that are timed or tried before the corpus has been counted."""
PILOT_WIDTH = 576
"""SmolLM2-135M's hidden size, at which the rates of the pilot are given."""


def default_rank(chosen: int | None, tokens: float) -> tuple[int, str]:
    """LoRA rank by unique corpus tokens, and its reason; ``chosen`` is the recipe's own."""
    if chosen is not None:
        return chosen, "set in the recipe"
    band = next((band for band in LORA_RANKS if tokens < band.below), LORA_RANKS[-1])
    return band.rank, f"corpus {band.corpus}"


def default_lr(method: str, chosen: float | None, parameters: int) -> tuple[float, str]:
    """Peak learning rate of a method and its reason; ``chosen`` is the recipe's own."""
    if chosen is not None:
        return chosen, "set in the recipe"
    bands = TRAIN_METHODS[method].rates
    band = next((band for band in bands if parameters <= band.parameters), bands[-1])
    return band.rate, band.why


def pilot_lr(method: str, width: int) -> float:
    """Start rate of the pilot's throwaway model, by its hidden size."""
    facts = TRAIN_METHODS[method]
    return float(f"{facts.pilot_rate * (width / PILOT_WIDTH) ** facts.pilot_width_power:.2g}")


def rates_in_words(method: str) -> str:
    """``5e-5 to 1e-5 by model size``"""
    first, *others = (short_rate(band.rate) for band in TRAIN_METHODS[method].rates)
    return f"{first} to {others[-1]} by model size" if others else first


def short_rate(rate: float) -> str:
    """``5e-5``"""
    return f"{rate:.0e}".replace("e-0", "e-")
