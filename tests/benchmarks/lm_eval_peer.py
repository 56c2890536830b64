"""The same gold items scored by lm-eval's hf backend and by ours: choices, differences, time.

``python -m tests.benchmarks.lm_eval_peer --material DIR [--model novel3m] [--items 200]``

Both score bare choices (no end-of-text token, not normalised by length: lm-eval's ``acc``) with
the same weights in fp32 on the same items, in one process, turn about; times are medians.
Loading is not timed. lm-eval reads the prompt once a choice, ours once an item.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.gold.example import Example
from engine.gold.load import load_examples, pick
from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model.fast_paths import enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.gold import choice_answers
from engine.worker.scoring.likelihood import tree_of
from engine.worker.scoring.self_check import examine

FP32 = Precision("fp32", "benchmark")
Rows = list[list[float]]


def peer(folder: Path, batch: int) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(str(folder), device="cpu", dtype="float32", batch_size=batch)


def requests_of(gold: list[Example]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type="loglikelihood", doc={}, arguments=(item.prompt, choice), idx=number)
        for item in gold
        for number, choice in enumerate(item.choices)
    ]


def theirs(model: Any, gold: list[Example]) -> Rows:
    """Nats of each choice of each item, by lm-eval."""
    flat = iter(model.loglikelihood(requests_of(gold), disable_tqdm=True))
    return [[float(next(flat)[0]) for _ in item.choices] for item in gold]


def ours(model: torch.nn.Module, encoder: Encoder, gold: list[Example]) -> Rows:
    answers = choice_answers(model, encoder, gold, FP32, end=False)
    return [list(answer.likelihoods) for answer in answers]


def timed(work: Callable[[], Rows]) -> tuple[float, Rows]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def whole(encoder: Encoder, gold: list[Example]) -> np.ndarray[Any, Any]:
    """Which items are read uncut: the two cut a long prompt at different places."""
    sizes = [
        len(encoder.before(e, 1 << 40)) + max(map(len, tree_of(encoder, e).choices)) for e in gold
    ]
    return np.array(sizes) <= encoder.base.context


def compare(mine: Rows, other: Rows, uncut: np.ndarray[Any, Any]) -> None:
    same = np.array(
        [int(np.argmax(a)) == int(np.argmax(b)) for a, b in zip(mine, other, strict=True)]
    )
    gaps = np.array([np.abs(np.subtract(a, b)).max() for a, b in zip(mine, other, strict=True)])
    print(
        f"equal choices: {same.sum()} of {len(same)}; "
        f"of items that are read uncut: {same[uncut].sum()} of {uncut.sum()}"
    )
    if uncut.any():
        print(f"largest difference of a log-likelihood, uncut items: {gaps[uncut].max():.2g} nats")
    if not uncut.all():
        print(f"the same, items that both cut: {gaps[~uncut].max():.2g} nats")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--model", default="novel3m")
    parser.add_argument("--task", default="medical_question_type")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="of lm-eval")
    given = parser.parse_args()
    folder = given.material / "models" / given.model
    base = models.resolve(recipes.Model(id=str(folder)))
    file = given.material / "tasks" / given.task / "test.jsonl"
    gold = pick(load_examples(file, need_choices=True), given.items)
    model, encoder = models.load(base), Encoder(base)
    paths = examine(model, base, FP32)
    enable_fast_paths(model, paths)
    print(f"{given.model}, {given.task}: {len(gold)} items, {len(gold[0].choices)} choices each, "
          f"{torch.get_num_threads()} threads, one pass an item: {paths.tree.found}")  # fmt: skip
    peers = {batch: peer(folder, batch) for batch in given.batches}
    mine, other = ours(model, encoder, gold), theirs(peers[given.batches[-1]], gold)
    compare(mine, other, whole(encoder, gold))
    right = [
        [
            float(int(np.argmax(r)) == e.choices.index(e.completion))
            for r, e in zip(rows, gold, strict=True)
        ]
        for rows in (mine, other)
    ]
    print(f"accuracy: ours {np.mean(right[0]):.4f}, lm-eval {np.mean(right[1]):.4f}")
    times: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        seconds, _rows = timed(lambda: ours(model, encoder, gold))
        times.setdefault("ours", []).append(seconds)
        for batch, one in peers.items():
            seconds, _rows = timed(lambda one=one: theirs(one, gold))
            times.setdefault(f"lm-eval, batch {batch}", []).append(seconds)
    for name, took in times.items():
        shown = ", ".join(f"{one:.2f}" for one in took)
        print(f"{name:20} median {statistics.median(took):7.2f} s   ({shown})")
    best = min(statistics.median(took) for name, took in times.items() if name != "ours")
    print(f"ours takes {statistics.median(times['ours']) / best:.2f} of lm-eval's time at its best")


if __name__ == "__main__":
    main()
