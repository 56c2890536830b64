"""What the stages pack, extend and train write."""

from __future__ import annotations

from pydantic import Field

from engine.artifacts.record import Record
from engine.artifacts.scan import StoreFolders


class PackingLedger(Record):
    """Where every document and token of the training text went; it balances.

    The names in the file are those that an older version showed to people.
    """

    documents_in: int = Field(0, alias="documents in")
    exact_duplicates: int = Field(0, alias="exact duplicates dropped")
    near_duplicates: int = Field(0, alias="near-duplicates left out")
    emptied: int = Field(0, alias="documents of shared lines only")
    shared_lines: int = Field(0, alias="shared lines dropped")
    shared_line_bytes: int = Field(0, alias="bytes of shared lines dropped")
    masked: int = Field(0, alias="e-mail and IP addresses masked")
    held_out: int = Field(0, alias="held out")
    capped_documents: int = Field(0, alias="left out by the token cap")
    capped_tokens: int = Field(0, alias="tokens cut by the token cap")
    packed_documents: int = Field(0, alias="packed documents")
    text_tokens: int = Field(0, alias="text tokens")
    eos_tokens: int = Field(0, alias="EOS tokens")
    bos_tokens: int = Field(0, alias="BOS tokens")
    domain_tokens: int = Field(0, alias="domain tokens packed")
    generic_tokens: int = Field(0, alias="generic tokens packed")
    generic_tokens_used: int = Field(0, alias="generic tokens used")
    padding: int = 0
    split_documents: int = Field(0, alias="long documents split")

    def entries(self) -> dict[str, tuple[str, int]]:
        """(words, number) of each entry that the run counted, in order, by its field."""
        fields = type(self).model_fields.items()
        held = [(name, field) for name, field in fields if name in self.model_fields_set]
        return {name: (field.alias or name, getattr(self, name)) for name, field in held}

    def lines(self) -> list[tuple[str, int]]:
        """(words, number) of each entry that the run counted, in order."""
        return list(self.entries().values())


class PackArtifact(Record):
    """What the pack stage writes."""

    sequence_length: int
    rows: int
    """Domain and generic rows of one epoch."""
    steps: int = 0
    generic_rows: int = 0
    generic_repeats: int = 0
    """Times that the generic text is repeated."""
    tokens: int = 0
    asked_mix: float = 0.0
    achieved_mix: float = 0.0
    """Share of generic tokens, asked for and reached, in [0, 1]."""
    domain_parts: list[int] = Field(default_factory=list)
    generic_parts: list[int] = Field(default_factory=list)
    """Tokens by source, where the recipe gives shares."""
    ledger: PackingLedger = PackingLedger()
    seams: list[str] = Field(default_factory=list)
    """Decoded borders between documents."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """Of the packs' files."""


class NewToken(Record):
    """A token that the extension adds."""

    token: str
    pieces: list[str]
    """What it stands for, in the old tokens."""
    count: int
    saved: int
    """Tokens of the training text that it saves."""


class FirstRun(Record):
    """What the finished run measured that argues for new tokens."""

    run: str
    fertility_ratio: float | None = None
    limit: float | None = None
    default_limit: float | None = None
    domain_before: float | None = None
    domain_after: float | None = None


Sides = dict[str, float]
"""A number for ``domain`` and one for ``generic``."""


class ExtendArtifact(Record):
    """What the extend stage writes: the new tokens, and what they cost and save."""

    tokens: int
    """New tokens."""
    first: int = 0
    """Id of the first one."""
    least: int = 0
    """Times that a new token had to stand in the training text."""
    training_tokens: int = 0
    saving: float = 0.0
    """Share of the training tokens that the new ones save."""
    candidates: int = 0
    candidates_saving: float = 0.0
    on_the_way: int = 0
    """New tokens that are steps on the way to longer ones and stand less often themselves."""
    largest: list[NewToken] = Field(default_factory=list)
    base: str = ""
    """Identity of the extended base."""
    first_run: FirstRun | None = None
    tokens_per_document: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """(before, after) of both sides."""
    bits_per_byte: dict[str, Sides] = Field(default_factory=dict)
    """Held-out loss of both sides by point: ``before``, ``init``."""
    stores: StoreFolders = StoreFolders()


class RateTrial(Record):
    """One rate of the learning-rate pilot: held-out losses in nats per token after its steps."""

    lr: float
    domain: float | None = None
    generic: float | None = None
    generic_rise: float | None = None
    broken: bool = False
    """The loss was not finite; then there is no loss to show."""


class NewRowsOutcome(Record):
    """What training with new tokens came to."""

    new_tokens: int = 0
    rows_steps: int = 0
    """First steps, in which only the new rows were trained."""
    bits_per_byte: dict[str, Sides] = Field(default_factory=dict)
    tokens_per_document: dict[str, tuple[float, float]] = Field(default_factory=dict)


class TrainArtifact(Record):
    """What the train stage writes. Losses are held-out ones in nats per token."""

    steps: int = 0
    tokens: int = 0
    domain_before: float | None = None
    domain_after: float | None = None
    generic_before: float | None = None
    generic_after: float | None = None
    generic_rise: float | None = None
    guard: str = "unknown"
    """Forgetting: ``green``, ``amber`` or ``red``."""
    used: str = "last"
    """Which weights the model has: those of the ``last`` or of the ``best`` evaluation."""
    used_step: int | None = None
    best_step: int | None = None
    dtype: str = ""
    lr: float | None = None
    lr_why: str = ""
    lr_pilot: list[RateTrial] = Field(default_factory=list)
    method: str = ""
    micro_batch: int | None = None
    vocab: NewRowsOutcome | None = None
    """None without new tokens."""
    model_sha256: str = ""
