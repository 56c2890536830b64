"""Every threshold the decision uses, in one table with its source.

A recipe overrides a value under ``[probe.thresholds]``; the report then shows both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """A number the decision tree compares with, its unit and where it comes from."""

    value: float
    unit: str
    source: str


THRESHOLDS: dict[str, Threshold] = {
    "tokens_noise": Threshold(
        200_000, "tokens", "Gururangan 2020 T9: 80 KB of text moved F1 by 0.5±1.4, noise"
    ),
    "tokens_small": Threshold(
        2_000_000, "tokens", "Gururangan 2020 T9: 3-8 MB gave half the gain, task-selected"
    ),
    "tokens_marginal": Threshold(
        10_000_000, "tokens", "Gururangan 2020 T9: 24 MB and more near the full gain"
    ),
    "fluent_ratio": Threshold(
        1.10, "bits/byte ratio, upper bound", "engineering choice; calibrate per base"
    ),
    "fluent_gain": Threshold(0.02, "nats, pilot gain", "engineering choice; calibrate per base"),
    "go_gain": Threshold(0.05, "nats, pilot gain", "engineering choice; calibrate per base"),
    "go_gain_low": Threshold(
        0.02, "nats, lower bound of pilot gain", "engineering choice; calibrate per base"
    ),
    "word_order": Threshold(
        1.10,
        "word runs seen in other documents, true over shuffled order, upper bound",
        "tests/benchmarks/word_order.py: shuffled words and number tables 0.98-1.03 (upper bound "
        "below 1.08 from 70,000 words on), text of 12 languages, code and logs 1.29 and more",
    ),
    "fertility_note": Threshold(1.5, "tokens/word ratio", "engineering choice"),
    "fertility_problem": Threshold(2.0, "tokens/word ratio", "engineering choice"),
    "vocab_occurrences": Threshold(
        100,
        "tokens a new token must save in the training text",
        "engineering choice; measured on novel3m: standing there 100-300 times a new token still "
        "cost 1.1 bits more than its old pieces, 30-100 times 3.0, beyond 1000 times 0.7",
    ),
    "contamination": Threshold(
        0.01, "share of gold items", "13-gram overlap, n from Brown 2020 (GPT-3)"
    ),
    "overlong_prompts": Threshold(
        0.20, "share of prompts longer than the model's context", "engineering choice"
    ),
    "mix_back": Threshold(
        0.5, "share of the mix-back that was asked for", "engineering choice: half a promise"
    ),
    "replay_small": Threshold(
        10_000_000,
        "domain tokens",
        "Kotha & Liang 2026 (2603.04964): replay made 4M target tokens worth up to 1.87 times as "
        "many in fine-tuning, more the fewer there are",
    ),
    "near_duplicates": Threshold(
        0.10,
        "share of documents",
        "Chudnovsky 2026 (2606.24998, its abstract): repeats in 10% of the compute cost a 344M "
        "model as much as a third of it",
    ),
    "heldout_leaks": Threshold(0.10, "share of held-out documents", "engineering choice"),
    "odd_words": Threshold(
        0.01,
        "share of words",
        "measured on 17 texts: clean 0.0-0.7%, 2% of characters wrong 0.8-4.4% (97% above)",
    ),
    "odd_most": Threshold(
        0.03,
        "share of words",
        "measured: clean text at most 0.2%; 5% of characters wrong 3.5-7.1%",
    ),
    "odd_characters": Threshold(0.001, "share of characters", "engineering choice"),
    "unknown_tokens": Threshold(0.01, "share of tokens", "engineering choice"),
    "special_strings": Threshold(0.01, "share of documents", "engineering choice"),
    "boilerplate": Threshold(0.30, "share of bytes", "engineering choice"),
    "mojibake": Threshold(0.01, "share of documents", "engineering choice"),
    "forgetting_green": Threshold(0.02, "nats of generic loss", "engineering choice"),
    "forgetting_amber": Threshold(0.05, "nats of generic loss", "CMR scaling law's epsilon"),
    "spike": Threshold(
        7.0,
        "robust standard deviations over the last 50 steps",
        "OLMo 2 (2501.00656): its spike score counts from 7 on",
    ),
}


LARGEST = 1e30
"""No count, measure or threshold comes near it (the largest training runs take 1e26 FLOPs): a
number beyond it, or one that is not finite, is none that a stage has written."""


def effective(overrides: dict[str, float]) -> dict[str, float]:
    """The value of every threshold after the recipe's overrides."""
    return {name: overrides.get(name, entry.value) for name, entry in THRESHOLDS.items()}
