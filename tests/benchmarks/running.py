"""One training run without a gate, in a worker process of its own: what the benchmarks share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import tomlkit

QUICK_PROBE = {"max_tokens": 4_000, "min_documents": 5, "pilot": False, "bootstrap": 200}


def train(folder: Path, sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Scan, probe, pack and train by a recipe; ``{stage: artifact}``.

    Raises RuntimeError with the worker's output where training was not reached.
    """
    folder.mkdir(parents=True)
    recipe = {
        "recipe": {"schema": 1, "name": folder.name, "override": "a benchmark of training"},
        "interview": {"hurts": "unreadable", "fluency_goal": "benchmark"},
        "probe": QUICK_PROBE,
        **sections,
    }
    (folder / "recipe.toml").write_text(tomlkit.dumps(recipe))
    (folder / "events.jsonl").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine.worker", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "CPT_HOME": str(folder.parent / "home")},
        check=False,
    )
    made: dict[str, Any] = {}
    for path in (folder / "artifacts").glob("*.json"):
        made[path.stem] = json.loads(path.read_text())
    if "train" not in made:
        raise RuntimeError(
            f"{folder.name} did not train: {done.stdout[-500:]}{done.stderr[-1500:]}"
        )
    return made


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """A run's events of one kind."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]
