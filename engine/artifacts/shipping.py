"""What the stages finish, export and report write."""

from __future__ import annotations

from pydantic import Field

from engine.artifacts.record import Record


class TaskRow(Record):
    """One row of stage two's table: a model before or after the task's SFT."""

    name: str
    gold: float
    """Points."""
    domain: float
    generic: float
    """Held-out losses in nats per token."""
    reused: list[str] = Field(default_factory=list)
    """What training or the gate had measured before."""
    achieved_mix: float | None = None
    generic_passes: float | None = None
    model_sha256: str = ""


class FinishArtifact(Record):
    """What the finish stage writes: the task model and its table."""

    start: str
    """The model that it was trained from: ``base`` or ``CPT``."""
    why: str
    anyway: str = ""
    seed: int = 0
    metric: str = ""
    items: int = 0
    mix_back: float = 0.0
    achieved_mix: float = 0.0
    mix_back_why: str = ""
    rows: list[TaskRow] = Field(default_factory=list)
    gate_gold: dict[str, float] = Field(default_factory=dict)
    """Points of the gate's arms, which had no generic text in their SFT."""
    generic_rise: float = 0.0
    guard: str = "unknown"
    model_sha256: str = ""


class ReloadProof(Record):
    """What a fresh process found when it loaded the exported folder."""

    largest: float
    """Largest difference of a logit from the live model's."""
    largest_logit: float = 0.0
    tolerance: float
    tokens: int = 0
    dtype: str = ""
    head: str = ""
    parameters: int = 0
    odd_keys: list[str] = Field(default_factory=list)
    spare: int = 0
    """Numbers in the files that the model does not hold."""
    against: str = ""
    """What it was compared with."""


class Reloaded(ReloadProof):
    """What the fresh process prints: the proof, and how its tokenizer reads a text."""

    probe_ids: list[int]


class ExportArtifact(Record):
    """What the export stage writes."""

    what: str
    """``cpt`` or ``task``."""
    run: str = ""
    verdict: str = ""
    anyway: str = ""
    model_sha256: str = ""
    proof: ReloadProof
    card: str = ""
    cpt: str = ""
    sha256: dict[str, str] = Field(default_factory=dict)
    path: str
    bytes: int = 0
    gguf: str = ""
    pushed: str = ""


class ReportArtifact(Record):
    """Where the report is."""

    path: str
