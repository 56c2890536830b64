"""Defaults that depend on the size of model or corpus: learning rates and LoRA ranks."""

from __future__ import annotations

from engine.recipe import sections as recipes

LORA_RANKS: tuple[tuple[float, int], ...] = ((10_000_000, 16), (50_000_001, 64))
"""(tokens below, rank); engine choice from about 2 bits a parameter, science note A."""


LORA_RANK_BEYOND = 256


LORA_LR = 1e-4
"""Biderman 2024: LoRA wants 1-10 times the full rate; one band for both yields false ties."""


def lora_rank(tokens: float) -> int:
    """LoRA rank by unique corpus tokens: 16 below 10M, 64 up to 50M, 256 beyond."""
    return next((rank for below, rank in LORA_RANKS if tokens < below), LORA_RANK_BEYOND)


def default_lr(train: recipes.Train, parameters: int) -> tuple[float, str]:
    """Peak learning rate and its reason (DESIGN 7; Biderman 2024 for the LoRA/full gap)."""
    if train.lr is not None:
        return train.lr, "set in the recipe"
    if train.method == "lora":
        return 1e-4, "LoRA start value; full fine-tuning's band under-trains LoRA"
    if parameters <= 500_000_000:
        return 5e-5, "full, up to 0.5B parameters"
    if parameters <= 3_000_000_000:
        return 2e-5, "full, up to 3B parameters"
    return 1e-5, "full, beyond 3B parameters"


def default_rank(lora: recipes.Lora, tokens: int) -> tuple[int, str]:
    """LoRA rank by corpus size (notes/science A: about 2 bits a parameter)."""
    if lora.rank is not None:
        return lora.rank, "set in the recipe"
    if tokens < 10_000_000:
        return 16, "corpus below 10M tokens"
    return (64, "corpus up to 50M tokens") if tokens <= 50_000_000 else (256, "corpus beyond 50M")
