"""The training methods as a recipe knows them: name, words, reason asked for, rates and costs.

What a method does to a model is its entry in the worker's ``model/methods.py``. No other module
asks for a method's name: it reads the property that it needs, here or there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

LIVE = "the live model before merging and saving"
"""What the logits of a shipped folder are compared with, for most methods."""


class RateBand(NamedTuple):
    """The default peak rate of models up to a size."""

    parameters: float
    """The largest model of the band."""
    rate: float
    why: str


@dataclass(frozen=True)
class MethodFacts:
    """One training method without its code."""

    name: str
    """As ``[train] method`` or ``[lora] variant`` gives it."""
    words: str
    """Its name in a sentence."""
    key: str
    """The recipe's key that names it."""
    rates: tuple[RateBand, ...]
    """Default peak rates, by model size, smallest first."""
    gate_rates: tuple[float, ...]
    """The grid that each arm of the gate chooses its rate from."""
    pilot_rate: float
    """Of the probe's pilot, at the width ``defaults.PILOT_WIDTH``."""
    flops: int
    """Floating-point operations a parameter and token in a training step, attention aside."""
    pilot_width_power: float = 0.0
    """The pilot's rate is scaled by (width / ``defaults.PILOT_WIDTH``) to this power."""
    trains_adapters: bool = False
    """Adapters of a rank are trained beside frozen weights; ``[lora]`` says which."""
    why_key: str = ""
    """The key of ``[train]`` that must argue for it; empty where no reason is asked for."""
    needs_why: str = ""
    """What speaks against it, after its name."""
    rounds_base: bool = False
    """It trains beside weights that are rounded, so what is saved is not the live model."""
    shards: bool = True
    """Several processes may hold a part of the model each (fsdp2)."""
    proven_against: str = LIVE
    """What the logits of a shipped folder are compared with."""

    @property
    def named(self) -> str:
        """``[lora] variant = "qlora"``"""
        return f'{self.key} = "{self.name}"'


FULL = MethodFacts(
    "full",
    "full fine-tuning",
    "[train] method",
    rates=(
        RateBand(500_000_000, 5e-5, "full, up to 0.5B parameters"),
        RateBand(3_000_000_000, 2e-5, "full, up to 3B parameters"),
        RateBand(math.inf, 1e-5, "full, beyond 3B parameters"),
    ),
    gate_rates=(2e-5, 5e-5, 1e-4),
    pilot_rate=5e-5,
    flops=6,
    why_key="why_full",
    needs_why="forgets more than LoRA",
)
LORA = MethodFacts(
    "lora",
    "LoRA",
    "[train] method",
    rates=(
        RateBand(math.inf, 1e-4, "LoRA start value; full fine-tuning's band under-trains LoRA"),
    ),
    gate_rates=(5e-5, 1e-4, 3e-4),
    pilot_rate=3e-4,
    pilot_width_power=-0.78,
    flops=4,
    trains_adapters=True,
)
"""Biderman 2024: LoRA wants 1-10 times the full rate, and one band for both yields false ties.
The pilot's exponent is that of Llamas (Thinking Machines 2025, "LoRA Without Regret": narrow
models want hotter rates), and its rate was measured on a base of width 192: see
``tests/benchmarks/decisions.py``. Frozen weights need no gradient: 4 of 6 N FLOPs (Kaplan 2020
counts 6)."""


def _variant(name: str, words: str) -> MethodFacts:
    """A kind of LoRA, with LoRA's rates and costs."""
    return replace(LORA, name=name, words=words, key="[lora] variant")


TRAIN_METHODS: dict[str, MethodFacts] = {facts.name: facts for facts in (LORA, FULL)}
"""By the name that ``[train] method`` and ``[gate.probe] method`` give."""
LORA_VARIANTS: dict[str, MethodFacts] = {
    facts.name: facts
    for facts in (
        _variant("lora", "LoRA"),
        _variant("rslora", "rsLoRA"),
        _variant("dora", "DoRA"),
        replace(
            _variant("qlora", "QLoRA"),
            rounds_base=True,
            shards=False,
            proven_against="the merged model before saving (QLoRA trains beside 4-bit weights)",
        ),
    )
}
"""By the name that ``[lora] variant`` gives, for methods that train adapters."""
DEFAULT = LORA
"""The method of a recipe that names none; one that asks for a reason stands in its place."""
DEFAULT_VARIANT = LORA.name


def argued_methods() -> list[MethodFacts]:
    """The methods that ask for a reason."""
    return [facts for facts in TRAIN_METHODS.values() if facts.why_key]


def method_of(method: str, variant: str) -> MethodFacts:
    """The method that ``[train] method`` and ``[lora] variant`` name together."""
    facts = TRAIN_METHODS[method]
    return LORA_VARIANTS[variant] if facts.trains_adapters else facts
