"""One table of ranks and one of rates: the recipe's own prose and the tree's are made of them."""

from __future__ import annotations

import pytest

from engine.decision.tree import NODES
from engine.recipe.adapters import Lora
from engine.recipe.defaults import default_lr, default_rank, pilot_lr, short_rate
from engine.recipe.gate import Sft
from engine.recipe.method_facts import TRAIN_METHODS
from engine.recipe.sections import Train


@pytest.mark.parametrize(
    ("tokens", "rank", "why"),
    [
        (9_999_999, 16, "corpus below 10M tokens"),
        (10_000_000, 64, "corpus up to 50M tokens"),
        (50_000_000, 64, "corpus up to 50M tokens"),
        (50_000_001, 256, "corpus beyond 50M"),
    ],
)
def test_rank_by_corpus(tokens: int, rank: int, why: str) -> None:
    assert default_rank(None, tokens) == (rank, why)
    assert default_rank(8, tokens) == (8, "set in the recipe")


@pytest.mark.parametrize(
    ("method", "parameters", "rate"),
    [
        ("lora", 1, 1e-4),
        ("lora", 10**12, 1e-4),
        ("full", 500_000_000, 5e-5),
        ("full", 500_000_001, 2e-5),
        ("full", 3_000_000_001, 1e-5),
    ],
)
def test_rate_by_method_and_size(method: str, parameters: int, rate: float) -> None:
    assert default_lr(method, None, parameters)[0] == rate
    assert default_lr(method, 3e-3, parameters) == (3e-3, "set in the recipe")


def test_the_pilot_is_hotter_on_narrow_models_with_adapters_only() -> None:
    assert [pilot_lr("lora", width) for width in (576, 192, 2048)] == [3e-4, 7.1e-4, 1.1e-4]
    assert [pilot_lr("full", width) for width in (576, 192)] == [5e-5, 5e-5]


def test_the_prose_gives_the_table_s_numbers() -> None:
    rule = next(node.rule_template for node in NODES if node.id == "method")
    assert "LoRA first, rank 16 below 10M tokens, 64 up to 50M, 256 beyond; one epoch" in rule
    assert Lora.model_fields["rank"].description == "default 16, 64 or 256 by corpus size"
    grid = str(Sft.model_fields["lrs"].description)
    for facts in TRAIN_METHODS.values():
        assert short_rate(facts.gate_rates[(len(facts.gate_rates) - 1) // 2]) in grid
    lora = short_rate(TRAIN_METHODS["lora"].rates[0].rate)
    assert f"default {lora} for LoRA" in str(Train.model_fields["lr"].description)
