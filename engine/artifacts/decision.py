"""All evidence that a decision reads, and the decision with the path it took."""

from __future__ import annotations

from pydantic import Field

from engine.artifacts.gate import GateFiles
from engine.artifacts.probe import Continuation, Cost, Fluency, Pilot
from engine.artifacts.record import Record
from engine.artifacts.scan import Fertility, Scan


class Evidence(Record):
    """All that is known before the decision; None where it was not measured."""

    scan: Scan | None = None
    fertility: Fertility | None = None
    fluency: Fluency | None = None
    pilot: Pilot | None = None
    explanations: list[Continuation] = Field(default_factory=list)
    gate: GateFiles | None = None
    cost: Cost | None = None


class Step(Record):
    """One node of the decision tree as it was walked."""

    node: str
    question: str
    rule: str
    answer: str
    """What was measured or answered, with its number."""
    outcome: str
    """``go``, ``note``, ``not_yet``, ``no_go``, or ``open`` (not measured, not answered)."""
    instead: str = ""
    """For no_go and not_yet: what to do instead."""
    source: str = ""
    measured: bool = True
    unverified: bool = False


class Verdict(Record):
    """The decision before training."""

    outcome: str
    """GO, NO-GO or NOT YET."""
    sentence: str
    instead: str = ""
    deciding_node: str = ""
    path: list[Step] = Field(default_factory=list)
    override: str = ""
    thresholds_overridden: dict[str, float] = Field(default_factory=dict)
    answers: str = ""
    """Digest of the answers it was made on (``recipe.toml.answers_digest``); empty where the
    run is of an older version."""
