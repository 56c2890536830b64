"""Predicted against measured peak memory and time of training, on three sizes of model.

    python -m tests.benchmarks.predictions --material ../shared/material

The largest has SmolLM2-135M's shape and random weights. Time is that of the steps: the
prediction times three on one row before the run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.running import events, train


def smollm2(material: Path, folder: Path) -> Path:
    """A model of SmolLM2-135M's shape, with its tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1_536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2_048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(material / "tokenizers/smollm2").save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path, required=True)
    material = parser.parse_args().material.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(
            "| model | method | memory predicted | measured | ratio | tokens/s predicted |", end=""
        )
        print(" measured | ratio |\n|---|---|---|---|---|---|---|---|")
        cases = [
            ("stories260k", material / "models/stories260k", 256, 40_000),
            ("novel3m", material / "models/novel3m", 512, 40_000),
            ("135M shape", smollm2(material, folder / "model"), 256, 6_000),
        ]
        for name, model, length, tokens in cases:
            for method in ("full", "lora"):
                run = folder / f"{name.replace(' ', '-')}-{method}"
                print(
                    row(name, method, run, case(material, model, method, length, tokens)),
                    flush=True,
                )


def case(
    material: Path, model: Path, method: str, length: int, tokens: int
) -> dict[str, dict[str, Any]]:
    batch = max(2_048, 4 * length)
    return {
        "model": {"id": str(model)},
        "corpus": {"path": str(material / "domains/medical/corpus.jsonl")},
        "generic": {"path": str(material / "general/novels")},
        "pack": {"sequence_length": length},
        "train": {
            "method": method,
            "why_full": "benchmark",
            "max_tokens": tokens,
            "batch_tokens": batch,
            "eval_tokens": 1_000,
            "eval_every": 1_000,
        },
    }


def row(name: str, method: str, run: Path, sections: dict[str, dict[str, Any]]) -> str:
    made = train(run, sections)
    cost, seen = made["probe"]["cost"], made["memory"]
    steps = [e for e in events(run, "train.step") if e.get("series", "train") == "train"]
    speeds = sorted(e["tokens_per_s"] for e in steps)
    speed = speeds[len(speeds) // 2]
    predicted, measured = (seen[key] / 1e9 for key in ("predicted_bytes", "peak_bytes"))
    memory = f"{predicted:.2f} GB | {measured:.2f} GB | {measured / predicted:.2f}"
    return (
        f"| {name} | {method} | {memory} | "
        f"{cost['tokens_per_s']:.0f} | {speed:.0f} | {speed / cost['tokens_per_s']:.2f} |"
    )


if __name__ == "__main__":
    main()
