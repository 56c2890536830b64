"""Real A/A gates: the same base in both arms, other seeds. How often does one say EARNED or HURT?

    python -m tests.benchmarks.aa_gates --material ../shared/material [--gates 20] [--out F.jsonl]
        [--cut 64] [--epochs 2]

Each gate draws its own 200 SFT examples and 200 gold items of medical_question_type, and trains
and scores novel3m under five seeds an arm, none used twice. The first arm finds how long the
probe trains, unless ``--epochs`` pins it; ``--cut`` keeps so many tokens of each passage. Each
gate is judged by raw accuracy, by prior-matched accuracy, by both endpoints, and by the rules
before. Rows are appended to the file as gates end; a gate whose row is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.artifacts.gate_probe import ProbeSteps
from engine.gate.judge import judge_arms
from engine.gold.draws import SftRows
from engine.gold.endpoints import arm_of
from engine.gold.example import Example
from engine.gold.load import load_examples
from engine.recipe import sections as recipes
from engine.recipe.gate import Gate
from engine.runs.event_log import EventLog
from engine.runs.run import create_run
from engine.thresholds import effective
from engine.worker.gate.arm import Result, SftArm
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


def cut(examples: list[Example], base: models.Base, tokens: int) -> list[Example]:
    """The first tokens of each passage, with the question behind it; all of it for 0."""
    if not tokens:
        return examples
    found = []
    for example in examples:
        passage, _, question = example.prompt.rpartition("\n")
        kept = base.tokenizer.decode(base.tokenizer.encode(passage)[:tokens])
        found.append(replace(example, prompt=f"{kept}\n{question}"))
    return found


def gate_of(seeds: list[int], epochs: float | None = None, **changes: Any) -> Gate:
    probe = {"lr": 1e-3, **({} if epochs is None else {"epochs": epochs})}
    return Gate.model_validate({"seeds": seeds, "probe": probe, **changes})


def scored(
    base: models.Base, model: torch.nn.Module, sft: list[Example], gold: list[Example],
    folder: Path, gate: Gate, plan: ProbeSteps | None,
) -> Result:  # fmt: skip
    """One arm under its seeds."""
    recipe = recipes.Recipe.model_validate(
        {"model": {"id": "x"}, "corpus": {"path": "y"}, "gate": gate.model_dump()}
    )
    run = create_run("arm", "", folder)
    context = Context(run, recipe, EventLog(run.events_path), stage="baseline")
    rows = SftRows(sft, len(sft))
    return SftArm(context, base, "base", model, FP32, rows, gold, "a/a", plan).result()


RULES: dict[str, dict[str, Any]] = {
    "before": {"rules": 1},
    "raw": {},
    "matched": {"primary": "prior_matched"},
    "both": {"primary": "prior_matched", "ranking_share": 0.8},
}


def row(material: Path, number: int, tokens: int, epochs: float | None) -> dict[str, Any]:
    """One gate: both arms, and the verdict by each rule."""
    started = time.process_time()
    base = models.resolve(recipes.Model(id=str(material / "models/novel3m")))
    model = models.load(base)
    enable_fast_paths(model, examine(model, base, FP32))
    task = material / "tasks/medical_question_type"
    sft = drawn(load_examples(task / "train.jsonl"), number, "sft")
    gold = drawn(load_examples(task / "test.jsonl", need_choices=True), number, "gold")
    sft, gold = (cut(side, base, tokens) for side in (sft, gold))
    found: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for arm in (0, 1):
            plan = found[0].plan if found else None
            gate = gate_of(seeds_of(number, arm), epochs)
            place = Path(folder) / str(arm)
            found.append(scored(base, model, sft, gold, place, gate, plan))
    seconds = round(time.process_time() - started, 1)
    said = {name: judged(found, gold, number, changes) for name, changes in RULES.items()}
    return {"gate": number, "cpu_s": seconds, "steps": found[0].plan.steps, "rules": said}


def judged(
    found: list[Result], gold: list[Example], number: int, changes: dict[str, Any]
) -> dict[str, Any]:
    """The verdict of the product by one rule, with the seeds' sd of each arm."""
    gate = gate_of(list(range(SEEDS)), **changes)
    arms = [
        arm_of(seeds_of(number, arm), result.kept, gold, gate) for arm, result in enumerate(found)
    ]
    verdict = judge_arms(*arms, gate, 0.0, effective({}))
    keys = ("outcome", "label", "estimate", "low", "high", "mde", "base_scores", "cpt_scores")
    ranking = [[100 * float(np.mean(row)) for row in arm.ranking] for arm in arms]
    return {**{key: getattr(verdict, key) for key in keys}, "ranking": ranking}


def summary(rows: list[dict[str, Any]]) -> str:
    """A line for each rule."""
    return "\n".join(_line(name, [one["rules"][name] for one in rows]) for name in RULES)


def _line(name: str, rows: list[dict[str, Any]]) -> str:
    said = [one["outcome"] for one in rows]
    spread = np.sqrt(
        np.mean([np.var(one[k], ddof=1) for one in rows for k in ("base_scores", "cpt_scores")])
    )
    means = [np.mean(one["base_scores"]) for one in rows]
    covered = sum(one["low"] <= 0 <= one["high"] for one in rows)
    ranked = [np.var(arm, ddof=1) for one in rows for arm in one["ranking"] if arm]
    ranking = f"; seed sd of the macro-AUC {np.sqrt(np.mean(ranked)):.2f}" if ranked else ""
    return (
        f"{name}: {len(rows)} gates: EARNED {said.count('EARNED')}, HURT {said.count('HURT')}, "
        f"TIE {said.count('TIE')}; interval covers 0 in {covered}; "
        f"mean difference {np.mean([one['estimate'] for one in rows]):+.2f}, "
        f"largest {max(abs(one['estimate']) for one in rows):.2f} points; "
        f"seed sd within an arm {spread:.2f}; base scores {min(means):.1f} to {max(means):.1f}; "
        f"MDE {np.median([one['mde'] for one in rows]):.1f} points (median){ranking}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--gates", type=int, default=20)
    parser.add_argument("--cut", type=int, default=0, help="tokens of a passage; 0 keeps them all")
    parser.add_argument("--epochs", type=float, help="default: until the probe has learnt")
    parser.add_argument("--out", type=Path, default=Path("aa_gates.jsonl"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    done = {one["gate"] for one in read(asked.out)}
    for number in range(asked.gates):
        if number in done:
            continue
        found = row(asked.material, number, asked.cut, asked.epochs)
        with asked.out.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(found) + "\n")
        told = {name: one["outcome"] for name, one in found["rules"].items()}
        print(number, found["cpu_s"], found["steps"], told, flush=True)
    print(summary(read(asked.out)))


if __name__ == "__main__":
    main()
