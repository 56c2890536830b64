"""The gate's verdict as a record. JSON in, JSON out; scores in points (0-100)."""

from __future__ import annotations

from pydantic import Field, FiniteFloat

from engine.artifacts.record import Interval, Record


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
    """Share of gold items that also stand in the corpus (see ``engine.overlap``)."""
    contaminated_items: list[int] = Field(default_factory=list)
    """Their numbers (0-based), so that the verdict is also given without them."""
    mde: float
    """Minimum detectable effect in points at 80% power, from prior variances."""
    plausible_gain: float
    overlong_share: float = 0
    """Share of the prompts that do not fit the model's context, of gold set or SFT data."""
    remarks: list[str] = Field(default_factory=list)
    """What is odd about the files, one sentence each."""


class TagResult(Record):
    """The gate's test on the items of one tag: secondary, never the verdict."""

    tag: str
    items: int
    """Independent items: one a source."""
    estimate: float
    low: float
    high: float
    """Points, CPT minus base, with the uncorrected (1 - alpha) t interval."""
    p_value: float
    p_adjusted: float
    """Holm among the tags."""


class GateVerdict(Record):
    """The gate's answer for one checkpoint."""

    outcome: str
    """EARNED, TIE or HURT."""
    label: str
    """For a TIE: equivalent, trivial or underpowered; for EARNED: '' or 'at a cost'."""
    estimate: float
    low: float
    high: float
    """Points, CPT minus base, with the (1 - alpha) t interval, not corrected for tries."""
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
    generic_low: float | None = None
    generic_high: float | None = None
    """95% document-bootstrap interval of the rise; None where only the rise is known."""
    generic_guard: str = ""
    """The guard of generic text alone, where ``guard`` is the worse of two; else empty."""
    chat_guard: str = ""
    """The guard of the held-out answers alone; empty where the base is no chat model."""
    chat_rise: float | None = None
    chat_low: float | None = None
    chat_high: float | None = None
    """Rise of the loss of held-out answers, with its 95% interval over conversations."""
    tries: int = 1
    """Counted tries against this gold set, this one among them (``engine.tries``)."""
    p_adjusted: float | None = None
    """Holm over those tries: what decides. None in a verdict of an older version."""
    items_wanted: int | None = None
    seeds_wanted: int | None = None
    """For an underpowered TIE: independent items (or seeds) in all at which an effect of the
    size seen, or the margin where that is larger, would show; None where no number does."""
    won: int = 0
    lost: int = 0
    tied: int = 0
    """Gold items by the sign of their mean difference over the seeds."""
    by_tag: list[TagResult] = Field(default_factory=list)
    sentence: str = ""
    clean_outcome: str = ""
    """The verdict without contaminated gold items; empty where there are none."""
    clean_items: int = 0
    clean_estimate: float | None = None


class TriedRate(Record):
    """A learning rate of the grid, with the dev loss that it gave."""

    lr: float
    loss: float | None = None
    """Nats per completion token; None where it diverged."""


class ArmRate(Record):
    """The learning rate of an arm's SFT, and how it was found."""

    lr: float
    loss: float | None = None
    grid: list[TriedRate] | None = None
    """None where the rate was pinned, or too few examples were there to choose by."""
    dev_examples: int | None = None


class SeedScores(Record):
    """What is kept of one finished seed of an arm."""

    scores: list[FiniteFloat]
    """[n], shares of the metric."""
    logprobs: list[float] = Field(default_factory=list)
    """[n], nats of each gold answer."""
    answers: list[str] = Field(default_factory=list)
    """[n], what was answered, shortened."""
    lr: float | None = None


class RateLoss(Record):
    """What is kept of one dev trial of a rate."""

    loss: float | None = None
    """Nats per completion token; None where it diverged."""


class BaselineArtifact(Record):
    """What the baseline stage writes: the base's own arm, before compute is spent."""

    scores: list[float] = Field(default_factory=list)
    """Points by seed."""
    items: int | None = None
    mde: float = 0.0
    """Smallest effect, in points, that this arm's variance lets the gate show in 4 of 5 runs."""
    per_item: list[list[float]] = Field(default_factory=list)
    """[S][n], shares of the metric."""
    per_item_logprob: list[list[float]] = Field(default_factory=list)
    """[S][n], nats of each gold answer."""
    probe: ArmRate | None = None
    constant_seeds: int = 0
    """Seeds under which every item got one and the same answer."""
    registration: str = ""
    """sha256 of the registration."""


class GateArtifact(GateVerdict):
    """What the gate stage writes: the verdict, and the CPT arm's scores behind it."""

    per_item: list[list[float]] = Field(default_factory=list)
    per_item_logprob: list[list[float]] = Field(default_factory=list)
    logprob: Interval | None = None
    """Gain of the gold answers' log-probability, nats an answer; it decides nothing."""
    probe: ArmRate | None = None
    constant_seeds: int = 0

    @property
    def verdict(self) -> GateVerdict:
        """The verdict alone, without the scores."""
        return GateVerdict.model_validate(self.model_dump(include=set(GateVerdict.model_fields)))
