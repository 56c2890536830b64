"""Everything that a run's stages have written so far, one optional field a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field, ValidationError

from engine.artifacts.arms import ArmsResult
from engine.artifacts.decision import Evidence, Verdict
from engine.artifacts.gate import BaselineArtifact, GateArtifact
from engine.artifacts.probe import ProbeArtifact
from engine.artifacts.record import Record
from engine.artifacts.scan import ScanArtifact
from engine.artifacts.shipping import ExportArtifact, FinishArtifact, ReportArtifact
from engine.artifacts.training import ExtendArtifact, PackArtifact, TrainArtifact
from engine.thresholds import LARGEST

RECORDS: dict[str, type[Record]] = {
    "scan": ScanArtifact,
    "probe": ProbeArtifact,
    "decide": Verdict,
    "baseline": BaselineArtifact,
    "extend": ExtendArtifact,
    "pack": PackArtifact,
    "train": TrainArtifact,
    "gate": GateArtifact,
    "report": ReportArtifact,
    "arms": ArmsResult,
    "finish": FinishArtifact,
    "export": ExportArtifact,
}
"""The record of each stage's artifact."""
FAULT_CHARACTERS = 200
"""Shown of the place of a fault."""


class Artifacts(Record):
    """What is there of every stage; None where it has not run."""

    scan: ScanArtifact | None = None
    probe: ProbeArtifact | None = None
    decide: Verdict | None = None
    baseline: BaselineArtifact | None = None
    extend: ExtendArtifact | None = None
    pack: PackArtifact | None = None
    train: TrainArtifact | None = None
    gate: GateArtifact | None = None
    report: ReportArtifact | None = None
    arms: ArmsResult | None = None
    finish: FinishArtifact | None = None
    export: ExportArtifact | None = None
    unreadable: dict[str, str] = Field(default_factory=dict)
    """Stages whose artifact is not what this version can read, and the first fault of each."""

    @classmethod
    def of(cls, raw: Mapping[str, object]) -> Artifacts:
        """Records of plain values by stage; empty ones count as absent, faulty ones are named."""
        found: dict[str, Record] = {}
        unreadable = {}
        for stage, value in raw.items():
            if not value or stage not in RECORDS:
                continue
            try:
                found[stage] = parse_artifact(stage, value)
            except ValidationError as error:
                unreadable[stage] = describe_fault(error)
            except ValueError as error:
                unreadable[stage] = str(error)
        return cls.model_validate({**found, "unreadable": unreadable})

    def having(self, stage: str, made: Record) -> Artifacts:
        """The same with one more stage's artifact."""
        return self.model_copy(update={stage: made})

    def describe_unreadable(self, stage: str) -> str:
        """``scan: its evidence cannot be read (field: fault)``; empty where nothing is wrong."""
        fault = self.unreadable.get(stage)
        return f"{stage}: its evidence cannot be read ({fault})" if fault else ""

    @property
    def evidence(self) -> Evidence:
        """All evidence so far, as the decision reads it."""
        scan, probe = self.scan, self.probe or ProbeArtifact()
        return Evidence(
            scan=scan and scan.scan,
            fertility=scan and scan.fertility,
            gate=scan and scan.gate,
            fluency=probe.fluency,
            pilot=probe.pilot,
            explanations=probe.explanations,
            cost=probe.cost,
        )


def parse_artifact(stage: str, value: object) -> Record:
    """The record of a stage's plain values.

    Raises ValidationError where the record refuses them, and ValueError for a number that no
    run can have measured.
    """
    record = RECORDS[stage].model_validate(value)
    if odd := find_odd_number(record):
        raise ValueError(f"{in_short('.'.join(odd))}: not a number that a run can have measured")
    return record


def find_odd_number(value: object) -> tuple[str, ...]:
    """The path in a record to the first number that is not finite or beyond ``LARGEST``."""
    if isinstance(value, (int, float)):
        return () if -LARGEST <= value <= LARGEST else ("value",)
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, Record):
        parts = vars(value).items()
    elif isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    for name, part in parts:
        if odd := find_odd_number(part):
            return (str(name), *(() if isinstance(part, (int, float)) else odd))
    return ()


def describe_fault(error: ValidationError) -> str:
    """The first fault of a record, in words: ``pack.rows: Input should be a valid integer``."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    return f"{in_short(where)}: {first['msg']}"


def in_short(text: str) -> str:
    """On one line and cut: a place in a log may be named by a stranger's key."""
    return " ".join(text.split())[:FAULT_CHARACTERS]
