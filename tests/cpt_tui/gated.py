"""What a gate leaves in a run's files: the registered gold set and every item's score."""

from __future__ import annotations

import functools
import json
import random
from typing import Any

from engine.artifacts.gate import BaselineArtifact, GateArtifact
from engine.files import private_dir, write_json
from engine.runs.run import Run
from tests.cpt_tui.measured import EVIL

RIGHT = {
    "base": (245, 242, 248, 247, 240),
    "cpt": (262, 257, 267, 261, 262),
}
"""Right items of 400 by seed: the scores that the worlds' events tell."""
ITEMS = 400
ASKED = (
    "Pat. was extubated on day {n} and sent home. Which ward was the patient on?",
    "Histology of case {n}: glioblastoma, WHO grade IV. Which organ is meant?",
    "Z.n. Apoplex {n}, re-admitted with fever. What does Z.n. stand for?",
)
ANSWERS = (" intensive care", " brain", " status after")
TAGS = ("ward", "organ", "abbreviation")


def gold(run: Run, hostile: bool = False) -> None:
    """The run's copy of its gold set."""
    rows = []
    for n in range(ITEMS):
        prompt = f"{EVIL} {n}" if hostile else ASKED[n % 3].format(n=n)
        row = {
            "prompt": prompt,
            "completion": EVIL if hostile else ANSWERS[n % 3],
            "choices": [EVIL, "b"] if hostile else list(ANSWERS),
            "tags": [EVIL if hostile else TAGS[n % 3]],
            "group": f"letter {n // 2}",
        }
        rows.append(json.dumps(row))
    (private_dir(run.path / "gate") / "gold.jsonl").write_text("\n".join(rows) + "\n")


@functools.cache
def table(arm: str) -> list[list[float]]:
    """Scores [seeds][items], 0 or 1: as many right as the arm's seeds had."""
    rows = []
    for seed, right in enumerate(RIGHT[arm]):
        drawn = random.Random(f"{arm} {seed}")
        ease = [random.Random(n).random() + 0.25 * drawn.random() for n in range(ITEMS)]
        best = set(sorted(range(ITEMS), key=lambda n: -ease[n])[:right])
        rows.append([float(n in best) for n in range(ITEMS)])
    return rows


def arms(run: Run, seeds: dict[str, int], answers: bool = False) -> None:
    """The seeds that each arm has scored so far."""
    folder = private_dir(private_dir(run.path / "artifacts") / "arms")
    for arm, count in seeds.items():
        for seed, row in enumerate(table(arm)[:count]):
            kept: dict[str, Any] = {"fingerprint": "f", "scores": row}
            if answers:
                kept["answers"] = [f"{EVIL} {arm} {seed} {n}" for n in range(ITEMS)]
            write_json(folder / f"{arm}-{seed}.json", kept)


def artifacts(run: Run) -> None:
    """What both stages leave when they are done."""
    private_dir(run.path / "artifacts")
    base = BaselineArtifact(scores=GATE["base_scores"], items=ITEMS, per_item=table("base"))
    judged = GateArtifact.model_validate({**GATE, **JUDGED, "per_item": table("cpt")})
    write_json(run.artifact_path("baseline"), base.to_json())
    write_json(run.artifact_path("gate"), judged.to_json())


GATE: dict[str, Any] = {
    "outcome": "EARNED",
    "label": "",
    "estimate": 4.35,
    "low": 1.9,
    "high": 6.8,
    "mde": 3.6,
    "margin": 2.0,
    "items": 400,
    "seeds": 5,
    "base_scores": [61.25, 60.5, 62.0, 61.75, 60.0],
    "cpt_scores": [65.5, 64.25, 66.75, 65.25, 65.5],
    "p_value": 0.0021,
    "degrees_of_freedom": 14.2,
    "guard": "amber",
    "generic_rise": 0.024,
    "sentence": "CPT lifted the gold set by 4.4 points, more than the margin of 2.",
}
"""The verdict of an older version."""

JUDGED: dict[str, Any] = {
    "tries": 3,
    "p_adjusted": 0.0063,
    "items_wanted": None,
    "seeds_wanted": None,
    "generic_low": 0.017,
    "generic_high": 0.031,
    "by_tag": [
        {
            "tag": tag,
            "items": 67,
            "estimate": estimate,
            "low": estimate - 4.1,
            "high": estimate + 4.1,
            "p_value": p,
            "p_adjusted": min(1.0, 3 * p),
        }
        for tag, estimate, p in zip(TAGS, (5.25, 6.1, 1.7), (0.011, 0.004, 0.42), strict=True)
    ],
}
"""What newer versions put into the verdict beside ``GATE``."""
