"""Worlds with known truth, end to end: does the gate say EARNED, TIE and HURT where it must?

    python -m tests.benchmarks.worlds [--worlds helps,fluent] [--seeds 10] [--out FILE.jsonl]
    python -m tests.benchmarks.worlds --table [--out FILE.jsonl]

Every run is a whole run of ``engine.worker`` in a process of its own. Rows are appended to the
file as runs end; a run whose row is there is not run again. ``--table`` prints what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.files import home
from engine.runs.run import Run, create_run
from tests.benchmarks import world_base, world_texts
from tests.benchmarks.world_table import table
from tests.benchmarks.world_truths import WORLDS, World

RECIPE = """
[recipe]
schema = 1
name = "{name}"
override = "{override}"
[model]
id = "{base}"
dtype = "fp32"
[corpus]
path = "{folder}/domain.jsonl"
heldout_share = 0.10
[generic]
path = "{folder}/generic.jsonl"
heldout_share = 0.15
[interview]
hurts = "unreadable"
task_selected = true
fluency_goal = "what each animal does, eats and leaves behind"
explains_terms = "not_passable"
facts_once = false
[probe]
max_tokens = 8000
pilot_tokens = 12000
pilot_lr = 1e-3
[pack]
mix_back = {mix_back}
{why}
[train]
method = "full"
why_full = "a model this small has no room for adapters"
train_embeddings = true
lr = {lr}
embeddings_lr = {embeddings_lr}
max_tokens = {max_tokens}
warmup = 0.03
weight_decay = 0.01
batch_tokens = 512
eval_every = 1000000
eval_tokens = 27000
checkpoint_every = 1000000
seed = {seed}
[gate]
gold = "{folder}/gold.jsonl"
sft = "{folder}/sft.jsonl"
seeds = [0, 1, 2, 3, 4]
plausible_gain = 30.0
[gate.probe]
method = "full"
lr = 1e-3
epochs = 20
batch = 16
[launch]
threads = 1
"""
"""All worlds' recipe; toy rates for a toy base. What differs stands in ``world_truths``."""
_BASE_LOCK = threading.Lock()


def base() -> Path:
    """The base shared by all worlds: built on first use."""
    folder = home() / "cache" / "worlds" / f"base-{world_base.identity()}"
    with _BASE_LOCK:
        if not folder.is_dir():
            command = [sys.executable, "-m", "tests.benchmarks.world_base", str(folder)]
            folder.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(command, check=True)
    return folder


def prepare(world: World, seed: int) -> Run:
    """A fresh run of one world: its files, its recipe, and the base's arm where it is known."""
    folder = home() / "worlds" / f"{world.name}-{seed}"
    world_texts.write(folder, seed, world.texts(seed), world.documents, world.known)
    why = "" if world.mix_back else 'why_no_mix_back = "the world that hurts needs it"'
    text = RECIPE.format(
        name=f"{world.name}-{seed}", base=base(), folder=folder, seed=seed, why=why,
        override=world.override, mix_back=world.mix_back, lr=world.lr,
        embeddings_lr=world.embeddings_lr, max_tokens=world.max_tokens,
    )  # fmt: skip
    run = create_run(f"{world.name}-{seed}", text)
    kept = base_arm(world, seed)
    if kept.is_dir():
        shutil.copytree(kept, arms(run))
    return run


def base_arm(world: World, seed: int) -> Path:
    """Where the base's scores on a seed's task are kept between worlds with the same task.

    The worker takes them only where its own fingerprint of gate, base and files is the same.
    """
    return home() / "worlds" / "arms" / f"{'known' if world.known else 'new'}-{seed}"


def arms(run: Run) -> Path:
    return run.path / "artifacts" / "arms"


def work(run: Run) -> tuple[int, float, float]:
    """The worker on a run: exit code, wall seconds, CPU seconds."""
    started = time.monotonic()
    command = [sys.executable, "-P", "-m", "engine.worker", str(run.path)]
    with run.log_path.open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - started, used.ru_utime + used.ru_stime


def row(world: World, seed: int) -> dict[str, Any]:
    """One world under one seed, run and summed up."""
    run = prepare(world, seed)
    reused = arms(run).is_dir()
    code, wall, cpu = work(run)
    found = {"world": world.name, "seed": seed, "code": code, "wall_s": round(wall, 1),
             "cpu_s": round(cpu, 1), "base_reused": reused, **summary(run)}  # fmt: skip
    kept = base_arm(world, seed)
    if code in (0, 4, 5) and not kept.is_dir():
        shutil.copytree(arms(run), kept, ignore=shutil.ignore_patterns("cpt-*"))
    return {**found, "run": run.id}


def summary(run: Run) -> dict[str, Any]:
    """What the stages say: decision, losses, verdict."""
    made = {name: run.read_artifact(name) or {} for name in ("decide", "train", "gate", "probe")}
    decide, train, gate, probe = made.values()
    keys = ("outcome", "label", "estimate", "low", "high", "mde", "guard", "generic_rise")
    fluency, pilot = probe.get("fluency") or {}, probe.get("pilot") or {}
    return {
        "decision": decide.get("outcome"),
        "node": decide.get("deciding_node"),
        "overridden": bool(decide.get("override")),
        "ratio": (fluency.get("ratio") or {}).get("value"),
        "pilot_gain": (pilot.get("gain") or {}).get("value"),
        "domain_before": train.get("domain_before"),
        "domain_after": train.get("domain_after"),
        "train_tokens": train.get("tokens"),
        **{key: gate.get(key) for key in keys},
        "base_scores": gate.get("base_scores"),
        "cpt_scores": gate.get("cpt_scores"),
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The rows so far; a last line that was torn by a kill is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def sweep(worlds: list[World], seeds: list[int], out: Path, jobs: int, keep: bool) -> None:
    """Run what has no row yet, seed by seed, so that a sweep cut short has all worlds."""
    done = {(r["world"], r["seed"]) for r in read(out)}
    wanted = [(w, s) for s in seeds for w in worlds if (w.name, s) not in done]
    base()
    lock = threading.Lock()

    def one(world: World, seed: int) -> None:
        found = row(world, seed)
        with lock, out.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(found) + "\n")
        said = ("decision", "outcome", "estimate", "guard", "cpu_s", "wall_s")
        print(world.name, seed, *(found[key] for key in said), flush=True)
        if not keep:
            shutil.rmtree(home() / "runs" / found["run"], ignore_errors=True)
            shutil.rmtree(home() / "worlds" / f"{world.name}-{seed}", ignore_errors=True)

    with ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(one, *pair) for pair in wanted]:
            future.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed; 100 and more: tuning")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("worlds.jsonl"))
    parser.add_argument("--keep", action="store_true", help="keep the runs' folders")
    parser.add_argument("--table", action="store_true", help="only print the table of --out")
    asked = parser.parse_args()
    worlds = [WORLDS[name] for name in asked.worlds.split(",")]
    if not asked.table:
        seeds = list(range(asked.first, asked.first + asked.seeds))
        sweep(worlds, seeds, asked.out, asked.jobs, asked.keep)
    print(table(read(asked.out), worlds))


if __name__ == "__main__":
    main()
