"""Typed events and their log: one JSON object a line, appended with one write.

The log is the only thing that screens read. A torn tail (a crash, a full disk) is cut
off when a writer opens the log, and ignored by readers until it is complete.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from engine.files import open_regular
from engine.redaction import masked
from engine.runs.typed_fields import (
    LATEST,
    Field,
    checked_values,
    decode_json,
    fields_of,
    is_shallow,
)

KINDS: dict[str, type[Event]] = {}
_FIELDS: dict[type[Event], tuple[Field, ...]] = {}
"""What to check of a class: a long log asks for it a million times."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events. ``t`` is Unix seconds, set by the writer if 0."""

    kind: ClassVar[str] = "event"
    t: float = 0.0

    def __init_subclass__(cls, kind: str) -> None:
        cls.kind = kind
        KINDS[kind] = cls

    def to_json(self) -> str:
        """One line of JSON without its newline; non-finite floats become null, tokens a mask."""
        values = {f.name: masked(_finite(getattr(self, f.name))) for f in dataclasses.fields(self)}
        return json.dumps({"kind": self.kind, **values}, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class Unknown(Event, kind="unknown"):
    """What is no event of this version; viewers count it and go on."""

    raw: dict[str, Any] = field(default_factory=dict)
    """The event of a kind that a newer version writes, kept whole."""
    fault: str = ""
    """Why it is none; empty for an event of a newer version."""


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event, kind="run.started"):
    """A worker took the run (again)."""

    run: str
    pid: int
    stages: list[str]
    version: str = ""
    resumed: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts(Event, kind="facts"):
    """What is really on: model, dtype, attention kernel, threads, masking, …"""

    stage: str
    facts: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event, kind="stage.started"):
    stage: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Progress(Event, kind="progress"):
    """Progress inside a stage; ``total`` 0 means unknown, ``eta_s`` None means unknown."""

    stage: str
    label: str
    done: float
    total: float = 0
    unit: str = ""
    eta_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class StageDone(Event, kind="stage.done"):
    """A stage's artifact is written; ``evidence`` is what screens show of it."""

    stage: str
    seconds: float
    evidence: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainStep(Event, kind="train.step"):
    """One optimizer step. Loss is nats per token of the global batch; None if not finite."""

    step: int
    total: int
    tokens: int
    loss: float | None
    lr: float
    grad_norm: float | None
    tokens_per_s: float
    eta_s: float | None = None
    memory_gb: float = 0.0
    series: str = "train"
    """``train`` for CPT; ``base`` while a demo builds its base model; ``pilot`` for pilots."""


@dataclass(frozen=True, kw_only=True)
class EvalPoint(Event, kind="train.eval"):
    """Held-out losses (nats per token) at a step; None where that side was not measured."""

    step: int
    domain: float | None
    generic: float | None
    series: str = "train"


@dataclass(frozen=True, kw_only=True)
class VocabPoint(Event, kind="vocab.loss"):
    """Held-out bits per byte around a vocabulary extension, over the same text each time.

    ``point``: ``before`` (the base's own tokens), ``init`` (new rows at their mean), ``rows``
    (after the steps that train these alone) or ``end``.
    """

    point: str
    domain: float
    generic: float
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class SampleWritten(Event, kind="train.sample"):
    """What base and model write after a prompt; text of strangers, to be cleaned on show."""

    stage: str
    step: int
    prompt: str
    base: str
    current: str


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event, kind="train.checkpoint"):
    step: int
    name: str
    megabytes: float


@dataclass(frozen=True, kw_only=True)
class Alarm(Event, kind="alarm"):
    """Something a watcher must not miss; ``level`` is ``note``, ``amber`` or ``red``."""

    level: str
    stage: str
    message: str
    step: int | None = None
    """The training step it came after; a reader of the log sets it."""


@dataclass(frozen=True, kw_only=True)
class Unreadable(Alarm, kind="unreadable"):
    """Lines that are not as they were written; a reader of the log says it in their place."""

    count: int

    @classmethod
    def of(cls, count: int) -> Unreadable:
        lines = "1 line of the log is" if count == 1 else f"{count:,} lines of the log are"
        message = f"{lines} not as written, and left out: what follows may lack something"
        return cls(level="red", stage="log", message=message, count=count)


@dataclass(frozen=True, kw_only=True)
class ArmSeed(Event, kind="gate.seed"):
    """One SFT probe finished: score is in points (0-100) over ``items`` gold items.

    ``lr`` is the probe's peak rate; ``logprob`` the mean nats of the gold answers.
    """

    arm: str
    seed: int
    score: float
    items: int
    done: int
    total: int
    lr: float | None = None
    logprob: float | None = None


@dataclass(frozen=True, kw_only=True)
class GateLooked(Event, kind="gate.look"):
    """A look of the gate at so many ``seeds`` of at ``most``; points, CPT minus base. EARNED or
    HURT begins ``boundary`` points from 0; ``predicted``: chance that the last look decides."""

    seeds: int
    most: int
    estimate: float
    low: float
    high: float
    boundary: float
    predicted: float
    stop: bool
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Control(Event, kind="control"):
    """``paused``, ``resumed``, ``checkpoint`` or ``stopping``, as carried out."""

    action: str
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Failed(Event, kind="failed"):
    """The worker stopped on an error; the sentence, and the traceback for one key more."""

    stage: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event, kind="run.ended"):
    """``outcome``: GO, NO-GO, NOT YET, EARNED, TIE, HURT, DONE (an export of a run that no gate
    judged), STOPPED, FAILED; ``code``: exit code."""

    outcome: str
    code: int
    message: str = ""


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_CHECK = re.compile(rb',"crc":"([0-9a-f]{8})"\}\s*$')
"""The end of a line: a checksum of all before it. A disk's flipped bit would else be read as
another loss or score. Lines of an older version have none."""


def encode_line(event: Event) -> bytes:
    """The event as a line of the log, with its checksum."""
    text = event.to_json().encode(errors="replace")
    return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text[:-1])


def is_intact(line: bytes) -> bool:
    """Whether a line has a checksum and is as it was written; far cheaper than to parse it."""
    check = _CHECK.search(line)
    return check is not None and int(check[1], 16) == zlib.crc32(line[: check.start()])


def parse(line: bytes | str) -> Event | None:
    """The event on a line, ``Unknown`` for a kind or shape not known.

    None for no JSON object, and for a line that is not as it was written.
    """
    data = line.encode(errors="replace") if isinstance(line, str) else line
    if (check := _CHECK.search(data)) and int(check[1], 16) != zlib.crc32(data[: check.start()]):
        return None
    try:
        raw = decode_json(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    if raw.get("kind") in (Unknown.kind, Unreadable.kind):
        return _unknown(raw, "a reader's own word for a line, which no worker writes")
    return from_raw(raw)


def parse_lines(data: bytes) -> list[Event]:
    """The events of whole lines, in order; those that cannot be read are counted in their place.

    Lines whose fields are of wrong types are such ones too.
    """
    events: list[Event] = []
    for line in data.split(b"\n"):
        event = parse(line) if line.strip() else None
        if event is not None and not (isinstance(event, Unknown) and event.fault):
            events.append(event)
        elif line.strip():
            last = events.pop() if events and isinstance(events[-1], Unreadable) else None
            events.append(Unreadable.of(1 + (last.count if isinstance(last, Unreadable) else 0)))
    return events


def from_raw(raw: dict[str, Any]) -> Event:
    """The event of a JSON object, ``Unknown`` for a kind not known or for fields of wrong types."""
    kind = raw.get("kind")
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        return _unknown(raw, "" if isinstance(kind, str) else "it has no kind")
    fields = _FIELDS.get(cls)
    if fields is None:
        fields = _FIELDS[cls] = fields_of(cls)
    values = checked_values(fields, raw)
    if values is None:
        return _unknown(raw, f"fields of {cls.kind} are missing or of wrong types")
    # As the frozen class's own constructor, which takes longer than all the rest.
    event = object.__new__(cls)
    event.__dict__.update(values)
    return event


def _unknown(raw: dict[str, Any], fault: str) -> Unknown:
    if not is_shallow(raw):
        return Unknown(fault="it nests too deep, or has a number that is none")
    stamp = raw.get("t")
    timed = isinstance(stamp, (int, float)) and 0 <= stamp <= LATEST
    return Unknown(t=float(stamp or 0.0) if timed else 0.0, raw=raw, fault=fault)


@dataclass
class Tail:
    """Reader of a growing log from a byte offset; any number may follow one log."""

    path: Path
    offset: int = 0

    def read(self, limit: int = 8 << 20) -> list[Event]:
        """Complete events since the last call: at most ``limit`` bytes of them, or one line.

        A log that shrank (repaired after a crash) is read on from its new end. Lines that are
        not as they were written are left out, and an alarm in their place says how many.
        """
        try:
            with open_regular(self.path) as handle:
                size = handle.seek(0, os.SEEK_END)
                self.offset = min(self.offset, size)
                handle.seek(self.offset)
                data = handle.read(limit)
                while b"\n" not in data and (more := handle.read(limit)):
                    data += more
        except OSError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self.offset += len(complete)
        return parse_lines(complete)


def read_all(path: Path) -> Iterator[Event]:
    """Every complete event of a log, in order."""
    tail, before = Tail(path), -1
    while tail.offset > before:
        before = tail.offset
        yield from tail.read()
