"""What a gate costs: CPU seconds, forward passes and their cells, by arm and seed.

``python tests/benchmarks/gate_cost.py demo [--root DIR] [--home DIR] [--last STAGE] [--twice]``
runs the demo, or a recipe, in this process and counts in its stages ``baseline`` and
``gate``. Cells are the tokens of a batch, padding among them; CPU seconds are those of all
threads. With ``--twice`` the same recipe is run again in the same home, as a second try at the
same base would be.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engine.demo.demo import create_demo
from engine.errors import InputError
from engine.runs.event_log import EventLog
from engine.runs.events import ArmSeed, Event, StageDone
from engine.runs.run import create_run
from engine.stages import STAGES
from engine.worker.__main__ import work

GATE = ("baseline", "gate", "arms")


@dataclass
class Meter:
    """Counts what the model reads, and says what passed since it was asked last."""

    trained: list[int] = field(default_factory=lambda: [0, 0])
    scored: list[int] = field(default_factory=lambda: [0, 0])
    """Forward passes and cells."""
    at: float = 0.0

    def hear(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        states = getattr(output, "last_hidden_state", None)
        if states is not None and hasattr(module, "get_input_embeddings"):
            side = self.trained if module.training else self.scored
            side[0] += 1
            side[1] += states.shape[0] * states.shape[1]

    def take(self) -> dict[str, float]:
        now = time.process_time()
        said = {
            "cpu_s": round(now - self.at, 1),
            "train_forwards": self.trained[0],
            "train_cells": self.trained[1],
            "score_forwards": self.scored[0],
            "score_cells": self.scored[1],
        }
        self.at, self.trained, self.scored = now, [0, 0], [0, 0]
        return said


def measure(recipe: str, root: Path, last: str) -> list[dict[str, object]]:
    """One row for each seed and stage of the gate."""
    run = create_demo() if recipe == "demo" else create_run("cost", Path(recipe).read_text())
    os.chdir(root)
    meter, rows, append = Meter(), [], EventLog.append

    def watched(log: EventLog, event: Event) -> None:
        append(log, event)
        if isinstance(event, ArmSeed):
            said: dict[str, object] = {"arm": event.arm, "seed": event.seed, "score": event.score}
            rows.append({**said, **meter.take()})
        elif isinstance(event, StageDone):
            rows.append({"stage": event.stage, "skipped": event.skipped, **meter.take()})
            if event.stage == last:
                run.request("stop")

    torch.nn.modules.module.register_module_forward_hook(meter.hear)
    EventLog.append = watched  # type: ignore[method-assign]
    try:
        work(run, STAGES)
    except InputError as error:
        rows.append({"error": str(error)})
    finally:
        EventLog.append = append  # type: ignore[method-assign]
    return [row for row in rows if "arm" in row or "error" in row or row.get("stage") in GATE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--last", default="gate", help="the stage to stop after")
    parser.add_argument("--twice", action="store_true")
    asked = parser.parse_args()
    os.environ["CPT_HOME"] = str(asked.home or tempfile.mkdtemp())
    recipe = "demo" if asked.recipe == "demo" else str(Path(asked.recipe).resolve())
    for number in range(2 if asked.twice else 1):
        rows = measure(recipe, asked.root.resolve(), asked.last)
        whole = {
            key: sum(float(str(row.get(key, 0))) for row in rows)
            for key in ("cpu_s", "train_forwards", "train_cells", "score_forwards", "score_cells")
        }
        for row in rows:
            print(json.dumps(row))
        print(json.dumps({"run": number + 1, **whole}), flush=True)


if __name__ == "__main__":
    main()
