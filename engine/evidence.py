"""Evidence: what was measured, with intervals and provenance. JSON in, JSON out.

Units: losses in nats per token unless the name says bits per byte; shares in [0, 1];
scores and margins in points (0-100); sizes in tokens of the model's own tokenizer.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen, exact record; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Record):
    """An estimate with its interval (95% unless the field says otherwise)."""

    value: float
    low: float
    high: float


class Shape(Record):
    """What kind of data the corpus is."""

    kind: str
    """``raw``, ``prompt_completion``, ``chat``, ``preference``, ``short_rows``, ``mixed``."""
    confidence: float
    why: str
    examples: list[str] = Field(default_factory=list)


class SideScan(Record):
    """One text source after reading, cleaning, exact dedup and the held-out split."""

    source: str
    """Where the text came from, as shown to the user; ``embedded sample`` if nobody gave any."""
    fingerprint: str
    """sha256 over content, tokenizer and split parameters: the identity of the token store."""
    files: int
    documents: int
    bytes: int
    """UTF-8 bytes of the kept documents."""
    words: int
    tokens: int
    heldout_documents: int
    heldout_tokens: int
    duplicate_documents: int
    duplicate_bytes: int
    skipped: dict[str, int] = Field(default_factory=dict)
    """Skipped pieces by reason."""
    skipped_bytes: int = 0
    notes: list[str] = Field(default_factory=list)
    """One line for each file that could not be read or was odd."""
    median_tokens: float = 0
    padding_share: float = 0
    """Share of a padded (unpacked) batch that would have been padding."""
    text_column: str | None = None

    @property
    def train_tokens(self) -> int:
        return self.tokens - self.heldout_tokens


class Scan(Record):
    """The scan stage: both sides and the shape of the corpus."""

    domain: SideScan
    generic: SideScan
    shape: Shape


class Term(Record):
    """A word of the corpus that the tokenizer shatters."""

    term: str
    count: int
    pieces: list[str]


class Fertility(Record):
    """Tokens per word and per byte, domain over generic."""

    domain_tokens_per_word: float
    generic_tokens_per_word: float
    domain_tokens_per_byte: float
    generic_tokens_per_byte: float
    ratio: float
    """Tokens per word, domain over generic."""
    worst_terms: list[Term] = Field(default_factory=list)


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


class GateFiles(Record):
    """The gate's files before training: is there a gate, and could it answer?"""

    gold_items: int
    sft_examples: int
    metric: str
    seeds: int
    majority_rate: float
    """Share of the most frequent answer: what a constant guess scores."""
    overlap_items: int
    """Gold items whose prompt also stands in the SFT data."""
    contaminated_share: float
    """Share of gold items with a 13-gram that also stands in the corpus."""
    mde: float
    """Minimum detectable effect in points at 80% power, from prior variances."""
    plausible_gain: float


class Cost(Record):
    """Predicted price on this machine, from a short timing."""

    tokens: int
    tokens_per_s: float
    train_seconds: float
    gate_seconds: float
    memory_gb: float
    train_flops: float


class Continuation(Record):
    """The base asked about a surprising term."""

    term: str
    prompt: str
    text: str


class Evidence(Record):
    """All that is known before the decision; None where it was not measured."""

    scan: Scan | None = None
    fertility: Fertility | None = None
    fluency: Fluency | None = None
    pilot: Pilot | None = None
    explanations: list[Continuation] = Field(default_factory=list)
    gate: GateFiles | None = None
    cost: Cost | None = None


class GateVerdict(Record):
    """The gate's answer for one checkpoint."""

    outcome: str
    """EARNED, TIE or HURT."""
    label: str
    """For a TIE: equivalent, trivial or underpowered; for EARNED: '' or 'at a cost'."""
    estimate: float
    low: float
    high: float
    """Points, CPT minus base, with the (1 - alpha) t interval."""
    mde: float
    margin: float
    items: int
    seeds: int
    base_scores: list[float]
    cpt_scores: list[float]
    p_value: float
    degrees_of_freedom: float
    guard: str = "green"
    """Forgetting: green, amber or red; ``unknown`` where generic loss was not measured."""
    generic_rise: float | None = None
    sentence: str = ""


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
