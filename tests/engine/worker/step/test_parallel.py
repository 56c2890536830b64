"""Several processes train as one does: the same batches, losses, norms and weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.worker.job.ranks import Ranks
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import Rows
from tests.engine.worker.parallel_job import batch, prepared

STEPS = 100
CLOSE = 1e-5
"""Nats over 100 steps; sums of floats in another order are all that differs."""


def job(folder: Path, out: Path, count: int) -> dict[str, dict[str, Any]]:
    """What rank 0 of a job saw, by method and strategy."""
    command = [
        sys.executable,
        "-m",
        "tests.engine.worker.parallel_job",
        str(folder),
        str(count),
        str(STEPS),
    ]
    command.append(str(out))
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(out.read_text())
    return found


@pytest.fixture(scope="module")
def alone(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return job(tiny_model, tmp_path_factory.mktemp("alone") / "out.json", 1)


def apart(one: dict[str, Any], other: dict[str, Any], key: str) -> float:
    return float(np.max(np.abs(np.array(one[key]) - np.array(other[key]))))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_train_as_one(
    tiny_model: Path, tmp_path: Path, alone: dict[str, Any], count: int
) -> None:
    """Batches of 1 to 9 rows: some ranks have none. DDP's last rank is once out of memory."""
    several = job(tiny_model, tmp_path / "out.json", count)
    for variant, found in several.items():
        method, strategy = variant.split()
        one = alone[f"{method} alone"]
        assert one["facts"] == "1 process"
        name = "DistributedDataParallel" if strategy == "ddp" else "FSDP2 (fully_shard)"
        assert found["facts"].startswith(name)
        assert f"{count} processes, gloo" in found["facts"]
        assert found["micro"] == ([1] if strategy == "ddp" else [])
        worst = {key: apart(one, found, key) for key in ("losses", "norms", "heldout")}
        print(f"{variant}, {count} processes, {STEPS} steps: largest differences {worst}")
        assert worst["losses"] < CLOSE
        assert worst["heldout"] < CLOSE
        assert worst["norms"] < 1e-3
        assert found["weights"] == pytest.approx(one["weights"], rel=1e-5)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_share_the_global_batch(tiny_model: Path, world: int) -> None:
    """Every row once, in an order that does not depend on the number of processes."""
    model = prepared(tiny_model, "full")
    for step in range(9):
        rows = batch(step)
        parts: list[list[Rows]] = []
        for rank in range(world):
            over = SingleProcess(model, Ranks(rank, world))
            parts.append([part for part, _ in over.passes(rows, 1)])
        found = [parts[n % world][n // world].ids[0] for n in range(len(rows))]
        assert np.array_equal(found, rows.ids)
