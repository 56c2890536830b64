"""The index beside a log: what its events fold into up to a byte, so that a viewer starts there.

Derived from ``events.jsonl`` and from nothing else; anyone may delete it at any time. It holds
only for a log that begins and goes on as the one it was made of, and is then exactly what
reading that log would have given (``tests/engine/runs/test_history.py``). An index that is missing,
stale, cut off or damaged is as good as none: the log is read instead.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from engine.files import write_atomic
from engine.runs import events as ev
from engine.runs.series import Series
from engine.runs.view import Curve, RunView, StageView

FORMAT = 1
"""Raise it when views are folded otherwise: older indexes are then made anew."""
PROBE = 4096
"""Bytes of the log's beginning and before the index's end that must be as they were."""
BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
"""What reading a damaged index may raise."""

Landmarks = dict[str, list[tuple[int, int]]]
"""By series of steps: (byte offset, first step from there on), both growing."""


@dataclass
class Snapshot:
    """A log folded up to ``offset``."""

    view: RunView = field(default_factory=RunView)
    landmarks: Landmarks = field(default_factory=dict)
    offset: int = 0


def index_path(log: Path) -> Path:
    """``events.index`` beside ``events.jsonl``."""
    return log.with_suffix(".index")


def save(log: Path, snapshot: Snapshot) -> None:
    """Write the index of a log, atomically. Raises OSError where that fails."""
    body = json.dumps(_packed(snapshot), ensure_ascii=False, separators=(",", ":"))
    raw = body.encode(errors="surrogatepass")
    with log.open("rb") as handle:
        head = {
            "format": FORMAT,
            "sha256": hashlib.sha256(raw).hexdigest(),
            "offset": snapshot.offset,
            "log": _identity(handle, snapshot.offset),
        }
    write_atomic(index_path(log), json.dumps(head).encode() + b"\n" + raw)


def load(log: Path) -> Snapshot | None:
    """The index of a log; None where there is none that holds for it."""
    try:
        first, _, raw = index_path(log).read_bytes().partition(b"\n")
        head = json.loads(first)
        if head["format"] != FORMAT or head["sha256"] != hashlib.sha256(raw).hexdigest():
            return None
        with log.open("rb") as handle:
            if head["log"] != _identity(handle, head["offset"]):
                return None
        return _unpacked(json.loads(raw.decode(errors="surrogatepass")), head["offset"])
    except BROKEN:
        return None


def reach(log: Path) -> int:
    """Where a log's index ends, by its own word; 0 where there is none."""
    try:
        with index_path(log).open("rb") as handle:
            return int(json.loads(handle.readline(PROBE))["offset"])
    except BROKEN:
        return 0


def _identity(handle: BinaryIO, offset: int) -> list[str]:
    """Digests of a log's beginning and of its end before ``offset``.

    Raises ValueError where the log is shorter than that, as after a repair.
    """
    if handle.seek(0, os.SEEK_END) < offset:
        raise ValueError("the log is shorter than its index")
    found = []
    for start in (0, max(0, offset - PROBE)):
        handle.seek(start)
        block = handle.read(min(PROBE, offset - start))
        found.append(hashlib.sha256(block).hexdigest())
    return found


def _packed(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as plain JSON values."""
    view = snapshot.view
    packed = {f.name: getattr(view, f.name) for f in dataclasses.fields(view)}
    packed["stages"] = [_stage(stage) for stage in view.stages.values()]
    packed["curves"] = {name: _curve(curve) for name, curve in view.curves.items()}
    for name in _LISTS:
        packed[name] = [_event(event) for event in packed[name]]
    packed["arms"] = [_event(seed) for arm in view.arms.values() for seed in arm.values()]
    packed["failure"] = _event(view.failure)
    return {"view": packed, "landmarks": snapshot.landmarks}


_LISTS = ("alarms", "checkpoints", "samples", "controls")


def _event(event: ev.Event | None) -> dict[str, Any] | None:
    return None if event is None else {"kind": event.kind, **vars(event)}


def _stage(stage: StageView) -> dict[str, Any]:
    return {**vars(stage), "progress": _event(stage.progress)}


def _curve(curve: Curve) -> dict[str, Any]:
    values = {n: v.state() for n, v in vars(curve).items() if isinstance(v, Series)}
    return {"series": values, "step": _event(curve.step)}


def _unpacked(packed: dict[str, Any], offset: int) -> Snapshot:
    """The way back from ``_packed``."""
    values = packed["view"]
    values["stages"] = {s["name"]: _stage_back(s) for s in values["stages"]}
    values["curves"] = {name: _curve_back(c) for name, c in values["curves"].items()}
    for name in (*_LISTS, "arms"):
        values[name] = [ev.from_raw(raw) for raw in values[name]]
    arms: dict[str, dict[int, ev.ArmSeed]] = {}
    for seed in values["arms"]:
        arms.setdefault(seed.arm, {})[seed.seed] = seed
    values["arms"] = arms
    values["failure"] = values["failure"] and ev.from_raw(values["failure"])
    marks = {name: [(at, step) for at, step in m] for name, m in packed["landmarks"].items()}
    return Snapshot(RunView(**values), marks, offset)


def _stage_back(raw: dict[str, Any]) -> StageView:
    return StageView(**{**raw, "progress": raw["progress"] and ev.from_raw(raw["progress"])})


def _curve_back(raw: dict[str, Any]) -> Curve:
    series: dict[str, Any] = {name: Series.restored(state) for name, state in raw["series"].items()}
    step: Any = raw["step"] and ev.from_raw(raw["step"])
    return Curve(**series, step=step)
