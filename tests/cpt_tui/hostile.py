"""A run whose every foreign text tries to reach the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import tomlkit

from engine.files import write_atomic
from engine.runs import events as ev
from engine.runs.run import Run
from tests.cpt_tui import gated, worlds
from tests.cpt_tui.measured import EVIL, probe, scan

NAME = "evil\x1b[31mEVIL\x1b]0;pwned\x07\u009b31m\u202e[nope]-0001"
"""A file name that a file system takes."""
FORBIDDEN = ("\x1b]0;pwned", "\x1b[31mEVIL", "\u200b")
"""Planted payloads; one of them in the bytes of a terminal is a hole."""


def escaped(raw: bytes) -> list[str]:
    """The planted payloads and deceiving characters found in a terminal's bytes."""
    text = raw.decode(errors="surrogateescape")
    found = [payload for payload in FORBIDDEN if payload in text]
    bidi = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    odd = {c for c in text if 0x80 <= ord(c) <= 0x9F or ord(c) in bidi}
    return [*found, *(f"U+{ord(c):04X}" for c in sorted(odd))]


def run(root: Path, trained: bool = True) -> Run:
    """Every kind of event with the payload in every text, ended by an error.

    Not ``trained``: measured and decided only, so that answers can still be changed.
    """
    world = worlds.World(root, NAME)
    _recipe(world.run)
    world.start()
    world.emit(ev.Facts(stage="scan", facts={"model": EVIL, EVIL: "value"}))
    world.emit(ev.Progress(stage="scan", label=EVIL, done=1, total=2, unit=EVIL))
    world.stage("scan", scan(hostile=True))
    world.stage("probe", probe(hostile=True))
    decided = worlds.decide()
    for step in decided["path"]:
        step.update(answer=EVIL, question=EVIL, source=EVIL)
    decided.update(sentence=EVIL, instead=EVIL, override=EVIL)
    world.stage("decide", decided)
    if trained:
        _training(world)
    world.status(EVIL, EVIL, alive=False)
    write_atomic(world.run.log_path, f"{EVIL}\nlast words {EVIL}\n")
    write_atomic(world.run.report_path, f"# {EVIL}\n\n{EVIL}\n")
    return world.run


def _training(world: worlds.World) -> None:
    packed = worlds.pack(hostile=True)
    packed["ledger"][EVIL] = 3
    world.stage("pack", packed)
    worlds.training(world, 60, hostile=True)
    world.emit(ev.CheckpointSaved(step=60, name=EVIL, megabytes=1.0))
    world.emit(ev.Alarm(level="amber", stage="train", message=EVIL))
    tags = [{**tag, "tag": EVIL} for tag in gated.JUDGED["by_tag"]]
    judged = {**gated.JUDGED, **worlds.GATE, "sentence": EVIL, "label": EVIL, "by_tag": tags}
    world.stage("gate", judged)
    gated.gold(world.run, hostile=True)
    gated.arms(world.run, {"base": 5, "cpt": 5}, answers=True)
    world.emit(ev.Failed(stage="train", message=EVIL, traceback=f"Traceback\n{EVIL}\n"))
    world.emit(ev.RunEnded(outcome="FAILED", code=1, message=EVIL))


def _recipe(run: Run) -> None:
    """Answers of a stranger's recipe."""
    document = tomlkit.parse(worlds.RECIPE)
    document["recipe"]["purpose"] = EVIL  # type: ignore[index]
    document["interview"]["fluency_goal"] = EVIL  # type: ignore[index]
    document["interview"]["term_marks"] = {EVIL: "passable"}  # type: ignore[index]
    document["model"]["id"] = f"/models/{NAME}"  # type: ignore[index]
    document["corpus"]["path"] = f"/data/letters {EVIL}"  # type: ignore[index]
    document["probe"] = {"thresholds": {"fluent_ratio": 1.2}}
    write_atomic(run.recipe_path, tomlkit.dumps(document))


def raw_events(run: Run) -> str:
    """What the log really holds, to prove that the payload was there."""
    return "".join(json.dumps(json.loads(line)) for line in run.events_path.open())
