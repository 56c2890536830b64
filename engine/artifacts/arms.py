"""What the arms stage writes: every arm beside the gate's two, with its comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from engine.artifacts.gate import GateVerdict
from engine.artifacts.record import Record

Kind = Literal["control", "checkpoint", "seed", "curve", "sft", "merge"]
DISPLAY: tuple[Kind, ...] = ("curve", "sft", "merge")
"""Kinds that are shown and have no share of alpha, whatever the other arms have."""


Tables = Sequence[list[list[float]]]


class Difference(Record):
    """A difference of two arms in points, with the gate's (1 - alpha) t interval."""

    estimate: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    """Holm among the arms."""
    outcome: str
    """The gate's own word for it, guard left out: EARNED (ahead), HURT (behind), TIE."""

    @property
    def ends(self) -> str:
        return f"{self.low:+.1f} to {self.high:+.1f}"


class ArmRow(Record):
    """One more arm, trained and scored."""

    name: str
    kind: Kind
    tokens: int
    """Tokens of its training, mix-back among them."""
    seeds: list[int]
    """The gate's seeds that it was scored under."""
    per_item: list[list[float]]
    """[S][n], shares of the metric."""
    score: float
    """Points, mean over seeds and items."""
    lr: float
    """The probe's rate."""
    generic_rise: float | None
    generic_low: float | None = None
    generic_high: float | None = None
    """Nats per token over the base, with the 95% document-bootstrap interval."""
    guard: str
    domain_loss: float | None = None
    """Held-out loss of the text that it was trained on, nats per token."""
    corpus_sha256: str = ""
    """Of a control's text."""
    contaminated: int = 0
    """Gold items that stand in a control's text."""
    side: str = ""
    """Of the curve: ``base`` or ``cpt``."""
    axis: str = ""
    """Of the curve: ``steps`` or ``examples``."""
    share: float | None = None
    """Of the probe's steps or examples, or of CPT's weights in a merge."""
    sft_steps: int = 0
    sft_examples: int = 0
    """SFT steps of a seed, and the rows that it draws."""
    compute_share: float | None = None
    """Of CPT's compute that more SFT took; below 1 where it was cut."""
    minus_base: float | None = None
    """Points over the base under the same seeds."""
    over_base: Difference | None = None
    cpt_over: Difference | None = None
    """This arm minus base, and CPT minus this arm; None for a single seed's run."""


class Worth(Record):
    """CPT in labelled examples: those with which the base would score what CPT scores."""

    examples: int
    """That both arms had."""
    equal: float | None
    low: float | None
    high: float | None
    """With a 95% bootstrap interval; None beyond ``farthest``."""
    farthest: float


class ArmsResult(Record):
    """All of them, and what they say."""

    rows: list[ArmRow]
    recipe: GateVerdict | None = None
    """The verdict over training runs, one for each seed; None where they were not asked for."""
    worth: Worth | None = None
    """None where the curve was not asked for."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Arms that could not be made, and why."""
    sentences: list[str] = Field(default_factory=list)
