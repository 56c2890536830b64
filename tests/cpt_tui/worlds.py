"""Run directories as a worker leaves them: real events through the real log, on fixed times."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import psutil

from engine.files import private_dir, write_atomic, write_json
from engine.recipe.seal import answers_digest
from engine.runs import events as ev
from engine.runs.event_log import EventLog
from engine.runs.run import Run
from engine.stages import STAGES
from tests.cpt_tui import gated
from tests.cpt_tui.gated import GATE
from tests.cpt_tui.measured import EVIL, probe, scan

__all__ = ["EVIL", "GATE", "World", "probe", "scan"]

T0 = 1_767_225_600.0
"""2026-01-01 00:00 UTC: when every world begins."""

RECIPE = """\
[recipe]
schema = 1
name = "clinic"
purpose = "read discharge letters"

[model]
id = "/models/smol-135m"

[corpus]
path = "/data/letters"

[interview]
hurts = "unreadable"
fluency_goal = "abbreviations of the ward"

[gate]
gold = "/data/gold.jsonl"
sft = "/data/sft.jsonl"
"""


class World:
    """A run directory under ``root`` whose events carry a clock of their own."""

    def __init__(self, root: Path, name: str = "clinic-20260101-000000-abcd") -> None:
        self.run = Run(private_dir(root / "runs" / name))
        write_atomic(self.run.recipe_path, RECIPE)
        self.log = EventLog(self.run.events_path)
        self.t = T0

    def emit(self, event: ev.Event, after: float = 1.0) -> None:
        """Append as the worker does, but at this world's time."""
        self.t += after
        assert self.log._write(dataclasses.replace(event, t=self.t))

    def status(self, state: str, stage: str, alive: bool) -> None:
        """The heartbeat of a living worker (this process) or of a dead one."""
        process = psutil.Process(os.getpid())
        write_json(
            self.run.status_path,
            {
                "pid": process.pid if alive else 2**22 + 1,
                "started": process.create_time() if alive else T0,
                "state": state,
                "stage": stage,
                "beat": 4e9 if alive else T0,
            },
        )

    def start(self, stages: tuple[str, ...] = STAGES) -> None:
        self.emit(ev.RunStarted(run=self.run.id, pid=4242, stages=list(stages), version="0.1.0"))

    def stage(self, name: str, evidence: dict[str, Any], seconds: float = 12.0) -> None:
        self.emit(ev.StageStarted(stage=name))
        self.emit(ev.StageDone(stage=name, seconds=seconds, evidence=evidence), after=seconds)


def decide(outcome: str = "GO") -> dict[str, Any]:
    """The real tree on this world's evidence."""
    from engine.artifacts.decision import Evidence
    from engine.decision.decide import decide as judge
    from engine.recipe.toml import parse_toml, validate

    recipe = validate(parse_toml(RECIPE, "recipe.toml"), RECIPE, "recipe.toml")
    found = judge(Evidence.model_validate({**scan(), **probe()}), recipe).model_dump()
    assert found["outcome"] == outcome, found["sentence"]
    return found


def pack(hostile: bool = False) -> dict[str, Any]:
    seam = EVIL if hostile else "was sent home on day 6."
    return {
        "ledger": {
            "documents in": 6271,
            "exact duplicates dropped": 31,
            "held out": 312,
            "left out by the token cap": 0,
            "packed documents": 5928,
            "text tokens": 2_945_000,
            "EOS tokens": 5928,
            "BOS tokens": 0,
            "domain tokens packed": 2_950_928,
            "generic tokens packed": 329_000,
            "generic tokens used": 327_680,
            "padding": 1204,
            "long documents split": 212,
        },
        "rows": 1602,
        "sequence_length": 2048,
        "achieved_mix": 0.0999,
        "seams": [f"{seam}<|endoftext|> | Patient: male, 61", "no fever.<|endoftext|> | Admitted"],
        "tokens": 3_278_608,
    }


def train_step(step: int, total: int = 1000, series: str = "train") -> ev.TrainStep:
    wave = 0.06 * math.sin(step / 3.1) + 0.03 * math.sin(step * 1.7)
    warm = min(1.0, step / 10)
    return ev.TrainStep(
        step=step,
        total=total,
        tokens=step * 3277,
        loss=2.6 + 0.8 * math.exp(-step / 180) + wave,
        lr=1e-4 * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * step / total))),
        grad_norm=0.6 + 0.2 * abs(math.sin(step / 11)) + (2.0 if step == 300 else 0.0),
        tokens_per_s=2150 + 60 * math.sin(step / 40),
        eta_s=(total - step) * 1.52,
        memory_gb=2.4,
        series=series,
    )


def eval_point(step: int, series: str = "train") -> ev.EvalPoint:
    domain = 2.91 + 0.5 * math.exp(-step / 220)
    return ev.EvalPoint(
        step=step, domain=domain, generic=2.871 + 0.024 * step / 1000, series=series
    )


def training(world: World, upto: int, total: int = 1000, hostile: bool = False) -> None:
    """The train stage as far as step ``upto``."""
    world.emit(ev.StageStarted(stage="train"))
    world.emit(
        ev.Facts(stage="train", facts={"dtype": "fp32", "attention": "sdpa", "method": "lora"})
    )
    world.emit(eval_point(0))
    for step in range(1, upto + 1):
        world.emit(train_step(step, total), after=1.5)
        if step % 50 == 0:
            world.emit(eval_point(step))
            if step % 100 == 0:
                samples(world, step)
        if step % 200 == 0:
            world.emit(ev.CheckpointSaved(step=step, name=f"step-{step:06d}", megabytes=38.4))
    samples(world, upto, hostile)
    world.emit(ev.Alarm(level="note", stage="train", message="micro-batch 4 fits; measured"))


WRITES = (
    ("The patient", "was stable, extubated on day 2 and sent home with his own physician."),
    ("Z.n.", "Apoplex, Hemiparese links, now re-admitted with fever for three days."),
)


def samples(world: World, step: int, hostile: bool = False) -> None:
    """What the model writes at a step, and what the base wrote."""
    for prompt, text in WRITES:
        base = "is a man who was a man who was a man of the house of the"
        if hostile:
            prompt = text = base = EVIL
        world.emit(
            ev.SampleWritten(stage="train", step=step, prompt=prompt, base=base, current=text),
            after=0.1,
        )


def before_training(world: World, hostile: bool = False) -> None:
    """Everything up to the packed rows."""
    world.start()
    world.stage("scan", scan(hostile), 8.1)
    world.stage("probe", probe(hostile), 141.0)
    world.stage("decide", decide(), 0.2)
    world.emit(ev.StageStarted(stage="baseline"))
    scores = (61.25, 60.5, 62.0, 61.75, 60.0)
    for seed, score in enumerate(scores):
        event = ev.ArmSeed(arm="base", seed=seed, score=score, items=400, done=seed + 1, total=5)
        world.emit(event, after=200)
    world.emit(
        ev.StageDone(
            stage="baseline",
            seconds=1000.0,
            evidence={"scores": list(scores), "mde": 3.9, "items": 400},
        )
    )
    world.stage("pack", pack(hostile), 22.0)


def mid_training(root: Path, upto: int = 620, hostile: bool = False, alive: bool = True) -> World:
    """A run whose worker is training at step ``upto`` of 1000."""
    world = World(root)
    before_training(world, hostile)
    training(world, upto, hostile=hostile)
    world.status("running", "train", alive)
    return world


def finished(root: Path, verdict: dict[str, Any] | None = None) -> World:
    """A run that went through the gate and ended."""
    world = World(root)
    before_training(world)
    training(world, 1000)
    verdict = verdict or GATE
    trained = {
        "steps": 1000,
        "tokens": 3_277_000,
        "domain_before": 3.41,
        "domain_after": 2.915,
        "generic_before": 2.871,
        "generic_after": 2.895,
        "guard": "amber",
    }
    world.emit(ev.StageDone(stage="train", seconds=1520.0, evidence=trained))
    world.emit(ev.StageStarted(stage="gate"))
    for seed, score in enumerate(verdict["cpt_scores"]):
        event = ev.ArmSeed(arm="cpt", seed=seed, score=score, items=400, done=seed + 1, total=5)
        world.emit(event, after=200)
    gated.gold(world.run)
    gated.artifacts(world.run)
    world.emit(ev.StageDone(stage="gate", seconds=1100.0, evidence={**gated.JUDGED, **verdict}))
    write_atomic(world.run.report_path, "# Report\n\nEARNED: +4.35 points.\n")
    world.stage("report", {"path": str(world.run.report_path)}, 0.3)
    codes = {"EARNED": 0, "TIE": 4, "HURT": 5}
    outcome = verdict["outcome"]
    world.emit(ev.RunEnded(outcome=outcome, code=codes[outcome], message=verdict["sentence"]))
    world.status("ended", "report", alive=False)
    return world


def failed(root: Path) -> World:
    """A run whose worker met an error in training; hostile text in it."""
    world = World(root, "broken-20260101-000000-dead")
    before_training(world)
    training(world, 40)
    message = f"No space left on the disk; free some {EVIL}"
    trace = f'Traceback (most recent call last):\n  File "x.py"\nOSError: {EVIL}'
    world.emit(ev.Failed(stage="train", message=message, traceback=trace))
    world.emit(ev.RunEnded(outcome="FAILED", code=1, message=message))
    world.status("ended", "train", alive=False)
    return world


def checked(root: Path, old: bool = False, recipe: str = RECIPE, answers: bool = False) -> World:
    """A run that was measured and decided, and no more; ``old`` by an earlier version.

    ``answers`` has the decision name those that it was made on.
    """
    world = World(root)
    write_atomic(world.run.recipe_path, recipe)
    world.start(("scan", "probe", "decide"))
    world.stage("scan", scan(old=old))
    world.stage("probe", probe(old=old))
    named = {"answers": answers_digest(recipe)} if answers else {}
    decided = {**decide(), **named}
    world.stage("decide", decided)
    if answers:
        world.run.write_artifact("decide", decided, "print")
        world.emit(ev.RunEnded(outcome="GO", code=0, message="go"))
    world.status("ended", "decide", alive=False)
    return world


def draft(root: Path) -> Run:
    """A run that is only an interview so far."""
    run = Run(private_dir(root / "runs" / "draft-20260101-000000-0001"))
    write_atomic(run.recipe_path, '[recipe]\nname = "draft"\n\n[model]\nid = "/models/smol"\n')
    return run


def recipe_values(run: Run) -> dict[str, Any]:
    """The recipe on disk as plain values."""
    import tomllib

    return json.loads(json.dumps(tomllib.loads(run.recipe_path.read_text())))
