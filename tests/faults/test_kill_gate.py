"""A gate killed at random moments is resumed to the same numbers, item by item."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from engine.runs import launch
from engine.runs.events import ArmSeed, Progress, StageDone
from engine.runs.run import Run, create_run
from tests import tiny
from tests.faults.driving import events, recipe, wait_for, walk

VERDICTS = (0, 4, 5)
NUMBERS = ("per_item", "per_item_logprob", "probe")


def text_of(model: Path, files: dict[str, Path]) -> str:
    """A gate that generates, after choosing its rate, so that a kill finds it at work."""
    text = recipe(model, files, gate=True).replace("lr = 1e-3\nbatch = 8", "batch = 4")
    text = text.replace("batch = 4\nepochs = 2", "lrs = [1e-3, 3e-3]\nbatch = 4\nepochs = 4")
    return text.replace(
        "plausible_gain", 'metric = "token_f1"\nmax_new_tokens = 24\nplausible_gain'
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unbroken")
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    rows = [
        {"prompt": f"{word} {n} is", "completion": f" {tiny.WORDS[n % 3]}"}
        for n, word in enumerate(tiny.WORDS * 2)
    ]
    tiny.write_jsonl(files["sft"], list(rows))
    text = text_of(model, files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = create_run("whole", text)
        assert walk(run).code in VERDICTS
    made = {stage: run.read_artifact(stage) for stage in ("baseline", "gate")}
    return {"text": text, **made}


def kill_in(run: Run, stage: str, share: float) -> None:
    """SIGKILL the worker once its stage has come so far, or a moment later."""
    begun, done = len(events(run, Progress)), len(events(run, StageDone))
    pid = launch.start(run)

    def reached() -> bool:
        seen = events(run, Progress)[begun:]
        arm = [e for e in seen if e.stage == stage and " arm" in e.label]
        through = any(e.stage == stage for e in events(run, StageDone)[done:])
        return through or any(e.done >= share * e.total for e in arm)  # events are throttled

    wait_for(reached, 400)
    time.sleep(random.random() * 0.2)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not launch.read_status(run).alive)


def killed_and_resumed(unbroken: dict[str, Any], moments: list[tuple[str, float]]) -> None:
    run = create_run("killed", unbroken["text"])
    for stage, share in moments:
        kill_in(run, stage, share)
    assert walk(run).code in VERDICTS
    for stage in ("baseline", "gate"):
        made = run.read_artifact(stage)
        for key in NUMBERS:
            assert made[key] == unbroken[stage][key], (stage, key)
    assert run.read_artifact("gate")["sentence"] == unbroken["gate"]["sentence"]
    assert {e.arm for e in events(run, ArmSeed)} == {"base", "cpt"}
    left = sorted(p.name for p in (run.path / "artifacts" / "arms").iterdir())
    assert not [name for name in left if name.endswith((".safetensors", ".jsonl", ".tmp"))]


def test_a_gate_killed_while_it_works_gives_the_same_numbers(unbroken: dict[str, Any]) -> None:
    killed_and_resumed(unbroken, [("baseline", 0.7), ("gate", 0.4)])


@pytest.mark.slow
def test_five_sigkills_at_random_moments_of_the_gate(unbroken: dict[str, Any]) -> None:
    rng = random.Random(5)
    shares = sorted(rng.random() * 2 for _ in range(5))
    moments = [("baseline" if s < 1 else "gate", 0.95 * (s % 1)) for s in shares]
    killed_and_resumed(unbroken, moments)
