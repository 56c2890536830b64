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


class ShapePart(Record):
    """One kind of data found in the corpus."""

    kind: str
    share: float
    """Of the corpus's bytes, by the sample."""
    confidence: float
    samples: list[str] = Field(default_factory=list)
    """At most two, cleaned and shortened."""


class Shape(Record):
    """What kind of data the corpus is."""

    kind: str
    """``raw``, ``code``, ``prompt_completion``, ``chat``, ``preference``, ``classification``,
    ``short_rows`` or ``mixed``."""
    confidence: float
    why: str
    examples: list[str] = Field(default_factory=list)
    parts: list[ShapePart] = Field(default_factory=list)
    """Every kind found, by falling share; a mixed corpus has several."""


class NearPair(Record):
    """Two documents that are nearly the same."""

    kept: str
    """Origin (``file:line``) of the document that stays."""
    dropped: str
    similarity: float
    """Estimated Jaccard similarity of their word shingles."""
    text: str
    """Start of the dropped one."""


class Line(Record):
    """A line that many documents share."""

    text: str
    documents: int


class Language(Record):
    """A language's share of the sampled text."""

    name: str
    """English name; ``unknown`` where the detector has no opinion."""
    share: float


class Quality(Record):
    """What the text of one side is like, and how much of it is new."""

    documents: int
    """Unique documents looked at for near-duplicates."""
    near_duplicate_documents: int
    near_duplicate_tokens: int
    """Tokens of the near-duplicates that a dedup would drop."""
    near_pairs: list[NearPair] = Field(default_factory=list)
    exact_examples: list[str] = Field(default_factory=list)
    """Origins of exact duplicates, with what they repeat."""
    boilerplate_share: float = 0
    """Share of the bytes in lines that many documents share."""
    boilerplate: list[Line] = Field(default_factory=list)
    gzip_ratio: float = 0
    """Compressed over raw size of a sample; running English is about 0.4, repetition far less."""
    odd_words_share: float = 0
    """Share of words that look like no word (OCR noise, hashes), by the rule in the docstring."""
    odd_characters_share: float = 0
    """Share of characters that are replacement, control or private-use ones."""
    languages: list[Language] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    """What was sampled instead of read whole, in words."""


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
    encodings: dict[str, int] = Field(default_factory=dict)
    """Files by detected encoding."""
    mojibake_documents: int = 0
    """Documents that look wrongly decoded (repaired only on request)."""
    quality: Quality | None = None

    @property
    def effective_tokens(self) -> int:
        """Unique tokens after exact and near-duplicates: what the size node judges."""
        return self.tokens - (self.quality.near_duplicate_tokens if self.quality else 0)


class Contamination(Record):
    """13-gram overlap of corpus, held-out text and gold set."""

    gold_items: int = 0
    gold_in_corpus: list[int] = Field(default_factory=list)
    """Numbers (0-based) of gold items of which 80% of the words stand in one corpus document,
    by 13-grams that are neither a frame of the prompts nor wording of many documents."""
    gold_common: list[int] = Field(default_factory=list)
    """Numbers of items whose words stand in the corpus, but only as wording of many documents."""
    gold_short: int = 0
    """Items of fewer than eight words, too short to be looked for."""
    heldout_documents: int = 0
    heldout_in_train: int = 0
    """Held-out domain documents of which most 13-grams also stand in training documents."""
    examples: list[str] = Field(default_factory=list)


class Scan(Record):
    """The scan stage: both sides and the shape of the corpus."""

    domain: SideScan
    generic: SideScan
    shape: Shape
    contamination: Contamination | None = None


class Term(Record):
    """A word of the corpus that the tokenizer shatters."""

    term: str
    count: int
    pieces: list[str]
    saved: int = 0
    """Corpus tokens that a token of its own would save: count x (pieces - 1)."""


class Fertility(Record):
    """Tokens per word and per byte, domain over generic."""

    domain_tokens_per_word: float
    generic_tokens_per_word: float
    domain_tokens_per_byte: float
    generic_tokens_per_byte: float
    ratio: float
    """Tokens per word, domain over generic."""
    worst_terms: list[Term] = Field(default_factory=list)
    whole_word_saving: float = 0
    """Share of the corpus's tokens that tokens of their own for the listed terms would save."""


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


class TokenClass(Record):
    """Loss of one class of tokens on both sides."""

    name: str
    """``words``, ``numbers``, ``punctuation`` or ``whitespace``."""
    domain_share: float
    """Share of the side's scored tokens."""
    generic_share: float
    domain_nats: float
    """Mean nats per token of the class; 0 where the side has none."""
    generic_nats: float


class Reference(Record):
    """A reference corpus scored under the same base."""

    name: str
    bits_per_byte: float
    documents: int


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
    references: list[Reference] = Field(default_factory=list)
    percentile: float | None = None
    """Share of reference corpora with fewer bits per byte than the domain, 0 to 100."""
    budget_ended: bool = False
    """The time or token budget ended before the interval decided."""


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
    order_ratio: Interval | None = None
    """Bits per byte of held-out domain text with its words shuffled over the same text as it
    is, under the domain pilot's model; None where the text has no words to shuffle."""


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
    remarks: list[str] = Field(default_factory=list)
    """What is odd about the files, one sentence each."""


class Cost(Record):
    """Predicted price on this machine, from a short timing."""

    tokens: int
    tokens_per_s: float
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
