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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from engine.files import write_atomic
from engine.runs import events as ev
from engine.runs.series import Series
from engine.runs.view import Curve, RunView, StageView

if TYPE_CHECKING:
    from engine.artifacts.record import Json

FORMAT = 5
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


def _packed(snapshot: Snapshot) -> dict[str, object]:
    """A snapshot as plain JSON values."""
    view = snapshot.view
    packed: dict[str, object] = {f.name: getattr(view, f.name) for f in dataclasses.fields(view)}
    packed["stages"] = [_stage(stage) for stage in view.stages.values()]
    packed["curves"] = {name: _curve(curve) for name, curve in view.curves.items()}
    packed["alarms"] = [_event(alarm) for alarm in view.alarms]
    packed["checkpoints"] = [_event(checkpoint) for checkpoint in view.checkpoints]
    packed["samples"] = [_event(sample) for sample in view.samples]
    packed["controls"] = [_event(control) for control in view.controls]
    packed["arms"] = [_event(seed) for arm in view.arms.values() for seed in arm.values()]
    packed["looks"] = [_event(look) for look in view.looks.values()]
    packed["failure"] = _event(view.failure)
    return {"view": packed, "landmarks": snapshot.landmarks}


def _event(event: ev.Event | None) -> dict[str, object] | None:
    return None if event is None else {"kind": event.kind, **vars(event)}


def _stage(stage: StageView) -> dict[str, object]:
    return {**vars(stage), "progress": _event(stage.progress)}


def _curve(curve: Curve) -> dict[str, object]:
    values = {n: v.state() for n, v in vars(curve).items() if isinstance(v, Series)}
    return {"series": values, "step": _event(curve.step)}


def _unpacked(packed: Json, offset: int) -> Snapshot:
    """The way back from ``_packed``. Raises one of ``BROKEN`` where a part is missing or wrong."""
    whole = _table(packed)
    values = _table(whole["view"])
    stages = [_stage_back(stage) for stage in _items(values["stages"])]
    curves = {name: _curve_back(curve) for name, curve in _table(values["curves"]).items()}
    arms: dict[str, dict[int, ev.ArmSeed]] = {}
    for seed in _events(values["arms"], ev.ArmSeed):
        arms.setdefault(seed.arm, {})[seed.seed] = seed
    back: dict[str, object] = {
        **values,
        "stages": {stage.name: stage for stage in stages},
        "curves": curves,
        "alarms": _events(values["alarms"], ev.Alarm),
        "checkpoints": _events(values["checkpoints"], ev.CheckpointSaved),
        "samples": _events(values["samples"], ev.SampleWritten),
        "controls": _events(values["controls"], ev.Control),
        "arms": arms,
        "looks": {look.seeds: look for look in _events(values["looks"], ev.GateLooked)},
        "failure": _event_back(values["failure"], ev.Failed),
    }
    marks = _table(whole["landmarks"]).items()
    landmarks = {name: [_landmark(mark) for mark in _items(kept)] for name, kept in marks}
    return Snapshot(_built(RunView, back), landmarks, offset)


def _stage_back(value: Json) -> StageView:
    raw = _table(value)
    return _built(StageView, {**raw, "progress": _event_back(raw["progress"], ev.Progress)})


def _curve_back(value: Json) -> Curve:
    raw = _table(value)
    series = {name: Series.restored(_items(kept)) for name, kept in _table(raw["series"]).items()}
    return _built(Curve, {**series, "step": _event_back(raw["step"], ev.TrainStep)})


def _landmark(value: Json) -> tuple[int, int]:
    at, step = _items(value)
    if not isinstance(at, int) or not isinstance(step, int):
        raise TypeError("a landmark is two whole numbers")
    return at, step


T = TypeVar("T")
E = TypeVar("E", bound=ev.Event)


def _built(make: Callable[..., T], values: Mapping[str, object]) -> T:
    """An object of fields by name, whose types the index's digest stands for."""
    return make(**values)


def _events(value: Json, kind: type[E]) -> list[E]:
    found = [_event_back(raw, kind) for raw in _items(value)]
    return [event for event in found if event is not None]


def _event_back(value: Json, kind: type[E]) -> E | None:
    if value is None:
        return None
    event = ev.from_raw(_table(value))
    if not isinstance(event, kind):
        raise TypeError(f"not a {kind.kind}")
    return event


def _table(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("not a table")
    return value


def _items(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value
