"""What mix-back and LoRA do to learning and forgetting, on a real tiny model and real text.

    python -m tests.benchmarks.forgetting --material ../shared/material [--tokens 150000]

novel3m reads medical text; the generic side is novels, which it was trained on. Every arm reads
the same number of domain tokens. Expected: Ibrahim 2024, Table 2 (1% of generic text takes most
of the forgetting away) and Biderman 2024 (LoRA learns less and forgets less).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.running import train

MIXES = (0.0, 0.01, 0.05, 0.10, 0.25)
RANKS = (4, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=150_000, help="of the domain, an arm")
    parser.add_argument("--only", default="", help="arms whose name begins so")
    arguments = parser.parse_args()
    material = arguments.material.resolve()
    arms: list[tuple[str, dict[str, Any], dict[str, Any], float]] = [
        (f"full, mix {mix:.0%}", {"method": "full", "lr": 1e-3}, {}, mix) for mix in MIXES
    ]
    arms += [
        (f"LoRA {rank}, mix 0%", {"method": "lora", "lr": 3e-3}, {"rank": rank}, 0.0)
        for rank in RANKS
    ]
    arms += [("LoRA 16, mix 1%", {"method": "lora", "lr": 3e-3}, {"rank": 16}, 0.01)]
    print("| arm | domain before | after | generic before | after | learnt | forgot | s |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for number, (name, keys, lora, mix) in enumerate(arms):
            if not name.startswith(arguments.only):
                continue
            started = time.monotonic()
            made = train(
                Path(temporary) / f"arm{number}",
                sections(material, keys, lora, mix, arguments.tokens),
            )["train"]
            domain = made["domain_before"], made["domain_after"]
            generic = made["generic_before"], made["generic_after"]
            print(
                f"| {name} | {domain[0]:.3f} | {domain[1]:.3f} | {generic[0]:.3f} | "
                f"{generic[1]:.3f} | {domain[0] - domain[1]:.3f} | "
                f"{generic[1] - generic[0]:+.3f} | {time.monotonic() - started:.0f} |",
                flush=True,
            )


def sections(
    material: Path, keys: dict[str, Any], lora: dict[str, Any], mix: float, tokens: int
) -> dict[str, dict[str, Any]]:
    full = keys["method"] == "full"
    return {
        "model": {"id": str(material / "models/novel3m")},
        "corpus": {"path": str(material / "domains/medical/corpus.jsonl")},
        "generic": {"path": str(material / "general/novels")},
        "pack": {"sequence_length": 256, "mix_back": mix, "why_no_mix_back": "an arm without it"},
        "train": {
            "why_full": "benchmark",
            "max_tokens": round(tokens / (1 - mix)),
            "batch_tokens": 4_096,
            "eval_tokens": 20_000,
            "eval_every": 10_000,
            **({"train_embeddings": True, "embeddings_lr": keys["lr"]} if full else {}),
            **keys,
        },
        "lora": lora,
    }


if __name__ == "__main__":
    main()
