"""The gate's verdict as a record. JSON in, JSON out; scores in points (0-100)."""

from __future__ import annotations

from pydantic import Field, FiniteFloat, field_serializer, field_validator

from engine.artifacts.gate_probe import ProbeSteps
from engine.artifacts.record import Interval, Record
from engine.artifacts.tables import pack_table, unpack_table


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
    floor: float | None = None
    """That effect with as many seeds as a recipe can have; None in an older version."""
    items_wanted: int | None = None
    """Independent items at which the plausible gain would show; None where no number does."""
    enough_spare_at: int | None = None
    """SFT examples a seed that leave enough labelled rows over, which judge too; None where none
    do or none are wanted."""
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


class EndpointResult(Record):
    """The crossed test of one measure of both arms, in points."""

    base: float
    cpt: float
    """Means over seeds and sources."""
    estimate: float
    low: float
    high: float
    """CPT minus base, with the interval at its ``alpha``."""
    alpha: float
    p_value: float
    """Of this look alone, not corrected."""
    p_adjusted: float | None = None
    """After the looks, the other endpoint and the tries; None for what decides nothing."""


class GateLook(Record):
    """One look of a sequential gate, as it was taken: it stands, and is never taken again."""

    seeds: int
    """Scored in each arm."""
    alpha: float
    """What this look spends, two-sided."""
    estimate: float
    low: float
    high: float
    """Points of the primary score, CPT minus base, with the (1 - alpha) interval of the look."""
    boundary: float
    """Points from 0 at which EARNED or HURT by the primary score begins at this look."""
    p_value: float
    """Least over endpoints, times what look and endpoint leave of alpha: valid by itself."""
    predicted: float
    """Chance that the last look decides, from what is seen; 0 after the last."""
    stop: bool
    decided: str = ""
    """``accuracy`` or ``ranking``: the endpoint that stopped it; empty where none did."""
    why: str = ""
    """A clause: why it stops, or goes on."""


class GateVerdict(Record):
    """The gate's answer for one checkpoint."""

    outcome: str
    """EARNED, TIE, HURT, or NOT JUDGED where the SFT does not learn."""
    label: str
    """For a TIE: equivalent, trivial or underpowered; for EARNED: 'at a cost', 'by ranking' or
    both, with a comma; for HURT 'by ranking'; else ''."""
    estimate: float
    low: float
    high: float
    """Points, CPT minus base, with the t interval at ``alpha``, not corrected for tries."""
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
    rules: int = 1
    """Rules of judging; 1 in a verdict of an older version."""
    alpha: float | None = None
    """What the look that ended the gate spends: the printed interval's; None under rules 1."""
    primary: str = "raw"
    """Endpoint that ``estimate`` is of: raw or prior_matched."""
    raw: EndpointResult | None = None
    """Raw accuracy beside a prior-matched one; None where raw is the primary."""
    ranking: EndpointResult | None = None
    """The centred macro-AUC; None where it is no endpoint."""
    looks: list[GateLook] = Field(default_factory=list)
    replaced: tuple[int, int] = (0, 0)
    """Seeds of the base and the CPT arm that collapsed and were trained anew with their spare."""
    constant: tuple[int, int] = (0, 0)
    """Seeds of each arm that gave all items one answer."""
    spare_gap: float | None = None
    """Points by which the difference on spare items exceeds that on gold items."""
    spare_disagrees: bool = False
    """That gap is beyond three standard errors."""
    try_p: float | None = None
    """What this try counts with beside others: the lesser p of both endpoints, after look and
    endpoint. None under rules 1, where ``p_value`` is that."""
    cpt_seed_variance: float | None = None
    """Of the CPT arm's scores over its seeds, points squared."""
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
    rate: ArmRate | None = None
    """How the rate was found; None where it was pinned."""
    likelihoods: list[list[float]] = Field(default_factory=list)
    """[n][K], summed nats of each choice with the end-of-text token, in the item's own order of
    ``choices``; empty for continuations, and in a file of an older version."""
    trained_seed: int | None = None
    """The seed that was trained: the spare's number where the first one collapsed."""
    steps: int | None = None
    """SFT steps that were taken."""
    sft_loss: float | None = None
    """Mean completion loss over the last tenth of the steps, nats a token."""

    @field_validator("likelihoods", mode="before")
    @classmethod
    def _unpacked(cls, value: object) -> object:
        return unpack_table(value)

    @field_serializer("likelihoods", when_used="json")
    def _packed(self, value: list[list[float]]) -> dict[str, str | int]:
        return pack_table(value)


class ScoredArm(Record):
    """One arm as far as it is scored: what the judge reads, ``[S][n]`` each, by seed."""

    scores: list[list[float]]
    """Shares of the primary score."""
    raw: list[list[float]] = Field(default_factory=list)
    """Of the raw metric; empty where that is the primary."""
    ranking: list[list[float]] = Field(default_factory=list)
    """Jackknife values of the centred macro-AUC; empty where it is no endpoint."""
    logprobs: list[list[float]] = Field(default_factory=list)
    """Nats of each gold answer."""
    seeds: list[int] = Field(default_factory=list)
    """The registered seeds in their order, one a row."""
    replaced: list[int] = Field(default_factory=list)
    """Those of them whose SFT collapsed; their rows are those of ``spare_seed``."""
    constant: list[int] = Field(default_factory=list)
    """Those under which every item got one and the same answer."""
    steps: int | None = None
    """SFT steps of every seed, pinned on the base arm."""


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
    plan: ProbeSteps | None = None
    """How long the probe trains, in both arms; None in an artifact of an older version."""
    arm: ScoredArm | None = None
    """The arm under the first look's seeds; None in an artifact of an older version."""


class GateArtifact(GateVerdict):
    """What the gate stage writes: the verdict, and the CPT arm's scores behind it."""

    per_item: list[list[float]] = Field(default_factory=list)
    per_item_logprob: list[list[float]] = Field(default_factory=list)
    logprob: Interval | None = None
    """Gain of the gold answers' log-probability, nats an answer; it decides nothing."""
    probe: ArmRate | None = None
    constant_seeds: int = 0
    base: ScoredArm | None = None
    """The base arm under all seeds that were judged; None in an artifact of an older version."""
    cpt: ScoredArm | None = None

    @property
    def verdict(self) -> GateVerdict:
        """The verdict alone, without the scores."""
        return GateVerdict.model_validate(self.model_dump(include=set(GateVerdict.model_fields)))
