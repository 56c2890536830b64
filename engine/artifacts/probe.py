"""What the probe stage writes: fluency, pilot, continuations and the predicted cost.

Losses are in nats per token unless the name says bits per byte.
"""

from __future__ import annotations

from pydantic import Field

from engine.artifacts.record import Interval, Record


class SideLoss(Record):
    """Loss of the base on held-out documents of one side (context >= the probe's minimum)."""

    nats_per_token: float
    bits_per_byte: float
    median: float
    """Median over documents of bits per byte."""
    trimmed: float
    """5% trimmed mean over documents of bits per byte."""
    documents: int
    tokens: int
    bytes: int
    spread: list[float] = Field(default_factory=list)
    """Bits per byte at the documents' 0, 5, 10, ... 100th percentile (21 numbers)."""


UNDECIDED = {
    "text": (
        "The interval does not decide, and there is no more held-out text: give more documents, "
        "or a larger heldout_share."
    ),
    "tokens": (
        "The interval does not decide: [probe] max_tokens ended the scoring; a larger one reads on."
    ),
    "time": (
        "The interval does not decide: [probe] budget_seconds ended the scoring; a longer one "
        "reads on."
    ),
}
"""What was missing where the scoring ended before its interval decided."""


class TokenClass(Record):
    """Loss of one class of tokens on both sides."""

    name: str
    """``words``, ``numbers``, ``punctuation`` or ``whitespace``."""
    domain_share: float
    """Share of the side's scored tokens."""
    generic_share: float
    domain_nats: float | None
    """Mean nats per token of the class; None where none of the side's scored tokens is of it."""
    generic_nats: float | None

    @property
    def more_nats(self) -> float | None:
        """What a domain token of the class costs beyond a generic one; None without both."""
        if self.domain_nats is None or self.generic_nats is None:
            return None
        return self.domain_nats - self.generic_nats


class Surprise(Record):
    """A document (excerpt) or a term with its bits per byte under the base."""

    text: str
    bits_per_byte: float
    count: int = 1


class Fluency(Record):
    """The fluency probe: how surprising the domain is beside generic text."""

    domain: SideLoss
    generic: SideLoss
    ratio: Interval
    """Bits per byte, domain over generic, document bootstrap."""
    nats_ratio: float
    surprising_documents: list[Surprise] = Field(default_factory=list)
    surprising_terms: list[Surprise] = Field(default_factory=list)
    seconds: float = 0
    classes: list[TokenClass] = Field(default_factory=list)
    budget_ended: bool = False
    """The text, the token or the time budget ended before the interval decided."""
    ended_by: str = ""
    """Which of them: ``text``, ``tokens`` or ``time``; empty where the interval decided."""

    @property
    def undecided(self) -> str:
        """What was missing for an interval that decides; empty where it did."""
        if not self.budget_ended:
            return ""
        return UNDECIDED.get(self.ended_by, "The budget ended before the interval decided.")


class Pilot(Record):
    """Reducible surprise: gain of a short run on domain minus that of a generic twin."""

    domain_gain: float
    generic_gain: float
    gain: Interval
    """Net gain in nats per token, document bootstrap."""
    tokens: int
    steps: int
    method: str
    lr: float
    seconds: float
    full_tokens: int = 0
    """Size of the whole pilot; ``tokens`` is less where a first look decided. 0 in a run of an
    older version, as is the next."""
    wanted_tokens: int = 0
    """Size by recipe and corpus; the whole pilot is smaller where time forced that."""
    order_ratio: Interval | None = None
    """Bits per byte of held-out domain text with its words shuffled over the same text as it
    is, under the domain pilot's model; None where the text has no words to shuffle."""


class Cost(Record):
    """Predicted price on this machine, from a short timing."""

    tokens: int
    tokens_per_s: float
    idle_tokens_per_s: float = 0
    """The speed if nothing else ran here; 0 in a run of an older version."""
    train_seconds: float
    gate_seconds: float
    memory_gb: float
    train_flops: float
    gate_flops: float = 0
    """0 where no gate is named, or the run is of an older version."""
    gate_memory_gb: float = 0


class Continuation(Record):
    """The base asked about a surprising term."""

    term: str
    prompt: str
    text: str
    passages: list[str] = Field(default_factory=list)
    """What the corpus says about the term: up to three short passages to compare with."""


class ProbeArtifact(Record):
    """What the probe stage writes; all is None where the answers alone settled the decision."""

    fluency: Fluency | None = None
    pilot: Pilot | None = None
    explanations: list[Continuation] = Field(default_factory=list)
    cost: Cost | None = None
