"""Logs of long runs, written fast: lines as the worker writes them, without its class for each."""

from __future__ import annotations

import math
from pathlib import Path

from engine.runs import events as ev
from engine.runs.history import IndexedLog
from tests.cpt_tui import worlds

STEP = (
    '{"kind":"train.step","t":%.3f,"step":%d,"total":%d,"tokens":%d,"loss":%.15f,"lr":%.17g,'
    '"grad_norm":%.16f,"tokens_per_s":%.13f,"eta_s":%.3f,"memory_gb":2.4,"series":"train"}\n'
)


def write_steps(log: Path, first: int, last: int, total: int, eval_every: int = 1000) -> None:
    """Append steps ``first`` to ``last`` with an evaluation every so often."""
    with log.open("a", encoding="utf-8") as handle:
        for step in range(first, last + 1):
            x = step / total
            loss = 2.6 + 0.8 * math.exp(-8 * x) + 0.06 * math.sin(step / 3.1)
            loss += 5.0 if step == 654_321 else 0.0
            norm = 0.6 + 0.2 * abs(math.sin(step / 11))
            lr = 5e-5 * (1 + math.cos(math.pi * x))
            speed, left = 2150 + 60 * math.sin(step / 40), (total - step) * 1.5
            t = worlds.T0 + 3000 + step * 1.5
            handle.write(STEP % (t, step, total, step * 3277, loss, lr, norm, speed, left))
            if step % eval_every == 0:
                point = ev.EvalPoint(
                    step=step, domain=2.9 + 0.5 * math.exp(-6 * x), generic=2.871 + 0.03 * x, t=t
                )
                handle.write(point.to_json() + "\n")


def training_run(root: Path, steps: int, total: int) -> worlds.World:
    """A run that a living worker has trained for ``steps`` steps; no index yet."""
    world = worlds.World(root)
    worlds.before_training(world)
    world.emit(ev.StageStarted(stage="train"))
    world.emit(worlds.eval_point(0))
    write_steps(world.run.events_path, 1, steps, total)
    world.status("running", "train", alive=True)
    return world


def indexed(world: worlds.World) -> None:
    """The index as the worker would have left it: by its own writer, one event after another."""
    log = IndexedLog(world.run.events_path)
    log.append(ev.Control(action="checkpoint"))
    size, before = world.run.events_path.stat().st_size, -1
    while log._history is not None and before < log._history.offset < size:
        before = log._history.offset
        log._advance()
    log.close()
