"""Simulated gates with a known truth: item scores of two arms over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.files import digest
from engine.gate.judge import judge
from engine.gate.recheck import verdict_inputs
from engine.recipe.gate import Gate
from engine.runs.run import Run, create_run
from engine.stages import VERSIONS
from engine.thresholds import effective

FIXED = Gate.model_validate({"seeds": [0, 1, 2, 3, 4]})
"""One look at five seeds, which is what most simulated tables have."""
POINT = 4.41 / 100
"""Latent units of one point: the density of N(0, 1.5^2 + .6^2 + .7^2) at 0 is .2266."""

Scores = npt.NDArray[np.float64]
Arms = tuple[Any, Any]


def items_of(rng: np.random.Generator, items: int) -> Scores:
    """How easy each gold item is [n], in latent units."""
    return rng.normal(0, 1.5, items)


def arm(
    rng: np.random.Generator, item: Scores, seeds: int, sd: float, gain: float, drift: float
) -> Scores:
    """0/1 scores [S, n] of one checkpoint: its own item effects, seed effects and noise."""
    latent = item + rng.normal(0, drift, len(item)) + rng.normal(0, sd * POINT, (seeds, 1))
    latent = latent + rng.normal(0, 0.7, (seeds, len(item))) + gain * POINT
    return (latent > 0).astype(float)


def world(
    rng: np.random.Generator,
    seeds: int = 5,
    items: int = 100,
    sd: float = 2.2,
    gain: float = 0.0,
    drift: float = 0.6,
) -> Arms:
    """Two arms of one gold set (items differ in how hard they are, arms in what they find easy).

    ``sd`` is the spread of the seeds and ``gain`` the effect of CPT, in points. ``drift`` is
    the sd of what each checkpoint finds easier or harder; 0 is the same checkpoint twice.
    """
    item = items_of(rng, items)
    return arm(rng, item, seeds, sd, 0.0, drift), arm(rng, item, seeds, sd, gain, drift)


RECIPE = '[model]\nid = "m"\n[corpus]\npath = "c"\n[gate]\ngold = "g.jsonl"\nsft = "s.jsonl"\n'
RECIPE += "seeds = [0, 1, 2, 3, 4]\n"


def judged_run(root: Path, others: tuple[float, ...] = ()) -> Run:
    """A trained run whose gate judged two arms of 60 items, 12 points apart."""
    run = create_run("judged", RECIPE, root)
    rng = np.random.default_rng(3)
    base = (rng.random((5, 60)) < 0.5).astype(float)
    cpt = np.maximum(base, rng.random((5, 60)) < 0.25)
    verdict = judge(base, cpt, FIXED, 0.01, effective({}), other_tries=others)
    model = run.path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(b"w")
    run.write_artifact("train", {"model_sha256": "00"}, "t", [model / "weights.bin"])
    run.write_artifact("baseline", {"per_item": base.tolist(), "mde": 3.0}, "b")
    inputs = digest(["gate", VERSIONS["gate"], *verdict_inputs("00", "b", [])])
    run.write_artifact("gate", {**verdict.to_json(), "per_item": cpt.tolist()}, inputs)
    return run
