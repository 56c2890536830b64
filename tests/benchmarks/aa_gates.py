"""Real A/A gates: the same base in both arms, other seeds. How often does one say EARNED or HURT?

    python -m tests.benchmarks.aa_gates --material ../shared/material [--gates 20] [--out F.jsonl]

Each gate draws its own 200 SFT examples and 200 gold items of medical_question_type, and trains
and scores novel3m under five seeds an arm, none used twice. Rows are appended to the file as
gates end; a gate whose row is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.gate.judge import judge
from engine.gold.example import Example
from engine.gold.load import load_examples
from engine.recipe import sections as recipes
from engine.recipe.gate import Gate
from engine.runs.events import EventLog
from engine.runs.run import create_run
from engine.thresholds import effective
from engine.worker.gate.arm import SftArm
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.fast_paths import enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.scoring.self_check import examine
from tests.benchmarks.worlds import read

FP32 = Precision("fp32", "benchmark")
SEEDS, DRAWN = 5, 200


def drawn(examples: list[Example], gate: int, side: str) -> list[Example]:
    """This gate's own examples: a draw without repetition."""
    order = np.random.default_rng([gate, len(side)]).permutation(len(examples))
    return [examples[number] for number in order[:DRAWN]]


def seeds_of(gate: int, arm: int) -> list[int]:
    first = 1_000 + (2 * gate + arm) * SEEDS
    return list(range(first, first + SEEDS))


def scored(
    base: models.Base, model: torch.nn.Module, sft: list[Example], gold: list[Example],
    folder: Path, seeds: list[int],
) -> Any:  # fmt: skip
    """One arm under its seeds: scores [S, n]."""
    recipe = recipes.Recipe.model_validate(
        {
            "model": {"id": "x"},
            "corpus": {"path": "y"},
            "gate": {"seeds": seeds, "probe": {"lr": 1e-3}},
        }
    )
    run = create_run("arm", "", folder)
    context = Context(run, recipe, EventLog(run.events_path), stage="baseline")
    return SftArm(context, base, "base", model, FP32, sft, gold, "a/a").result().scores


def row(material: Path, number: int) -> dict[str, Any]:
    """One gate: both arms, and the verdict by the product's own test."""
    started = time.monotonic()
    base = models.resolve(recipes.Model(id=str(material / "models/novel3m")))
    model = models.load(base)
    enable_fast_paths(model, examine(model, base, FP32))
    task = material / "tasks/medical_question_type"
    sft = drawn(load_examples(task / "train.jsonl"), number, "sft")
    gold = drawn(load_examples(task / "test.jsonl", need_choices=True), number, "gold")
    with tempfile.TemporaryDirectory() as folder:
        arms = [
            scored(base, model, sft, gold, Path(folder) / str(arm), seeds_of(number, arm))
            for arm in (0, 1)
        ]
    gate = Gate.model_validate({"seeds": list(range(SEEDS))})
    verdict = judge(*arms, gate, 0.0, effective({}))
    keys = ("outcome", "label", "estimate", "low", "high", "mde", "base_scores", "cpt_scores")
    seconds = round(time.monotonic() - started, 1)
    return {"gate": number, "wall_s": seconds, **{key: getattr(verdict, key) for key in keys}}


def summary(rows: list[dict[str, Any]]) -> str:
    said = [one["outcome"] for one in rows]
    spread = np.sqrt(
        np.mean([np.var(one[k], ddof=1) for one in rows for k in one if "scores" in k])
    )
    means = [np.mean(one["base_scores"]) for one in rows]
    covered = sum(one["low"] <= 0 <= one["high"] for one in rows)
    return (
        f"{len(rows)} gates: EARNED {said.count('EARNED')}, HURT {said.count('HURT')}, "
        f"TIE {said.count('TIE')}; interval covers 0 in {covered}; "
        f"mean difference {np.mean([one['estimate'] for one in rows]):+.2f}, "
        f"largest {max(abs(one['estimate']) for one in rows):.2f} points; "
        f"seed sd within an arm {spread:.2f}; base scores {min(means):.1f} to {max(means):.1f}; "
        f"MDE {np.median([one['mde'] for one in rows]):.1f} points (median)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--gates", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("aa_gates.jsonl"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    done = {one["gate"] for one in read(asked.out)}
    for number in range(asked.gates):
        if number in done:
            continue
        found = row(asked.material, number)
        with asked.out.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(found) + "\n")
        print(number, *(found[key] for key in ("outcome", "estimate", "low", "high", "wall_s")),
              flush=True)  # fmt: skip
    print(summary(read(asked.out)))


if __name__ == "__main__":
    main()
