"""What a run says of itself: every quantity of a step, and the alarm of a spike."""

from __future__ import annotations

import math
from pathlib import Path

from engine.recipe.toml import load_recipe
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, EvalPoint
from engine.runs.run import create_run
from engine.worker.job.context import Context
from engine.worker.train.monitor import Taken, Watch
from tests.faults.driving import events, recipe, steps, walk

Files = dict[str, Path]


def test_every_quantity_is_told(tiny_model: Path, tiny_files: Files) -> None:
    """Both held-out losses, loss, rate, gradient norm, speed, time left and memory."""
    run = create_run("told", recipe(tiny_model, tiny_files, "max_tokens = 4096\n"))
    walk(run)
    told = steps(run)
    for step in told:
        values = (step.loss, step.lr, step.grad_norm, step.tokens_per_s, step.memory_gb)
        assert all(value and math.isfinite(value) and value > 0 for value in values)
    assert told[-1].eta_s == 0
    assert all((step.eta_s or 0) >= 0 for step in told)  # rounded, and these steps are short
    points = events(run, EvalPoint)
    assert [points[0].step, points[-1].step] == [0, told[-1].step == told[-1].total and len(told)]
    assert all(point.domain and point.generic for point in points)


def test_a_spike_is_an_amber_alarm_at_the_recipes_threshold(
    tiny_model: Path, tiny_files: Files
) -> None:
    said = {}
    for limit in (7.0, 1e6):
        text = recipe(tiny_model, tiny_files)
        text = text.replace("[probe]", f"[probe]\nthresholds = {{ spike = {limit} }}")
        run = create_run("spike", text)
        context = Context(run, load_recipe(run.recipe_path)[0], EventLog(run.events_path))
        watch = Watch(context, 40)
        watch.begin(0)
        for step in range(1, 41):
            loss = 9.0 if step in (30, 31) else 3.0
            assert not watch.step(Taken(step, 512, 512 * step, loss, 1.0, 1e-4, 0.1))
        said[limit] = events(run, Alarm)
    assert said[1e6] == []
    (alarm,) = said[7.0]
    assert (alarm.level, alarm.stage) == ("amber", "train")
    assert alarm.message.startswith("step 30: a spike: loss 9 after a median of 3 over 29 steps")
