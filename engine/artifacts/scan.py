"""What the scan stage writes: both sides of the text, its shape, quality and fertility.

Sizes are in tokens of the model's own tokenizer, shares in [0, 1].
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.artifacts.gate import GateFiles
from engine.artifacts.record import Interval, Record


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


class SharedLine(Record):
    """A line that many documents share."""

    text: str
    documents: int


class SpecialString(Record):
    """The written form of a special token, found in the text."""

    text: str
    documents: int
    """Documents that hold it; they are tokenised as plain characters."""
    at_end: int = 0
    """Those of them that end with it."""
    own: bool = True
    """Whether it is a special token of this tokenizer; else one of another model's."""


class Language(Record):
    """A language's share of the sampled text."""

    name: str
    """English name; ``unknown`` where the detector has no opinion."""
    share: float


class WordOrder(Record):
    """What the order of the words is worth, measured without a model."""

    words: int
    """Words looked at; a script without blanks is counted by characters."""
    unit: Literal["words", "characters"] = "words"
    """What was shuffled: characters where no words come again."""
    run: int = 2
    """Words, or characters, in a row that are compared."""
    share: float = 0
    """Share of the runs that stand in another document too."""
    shuffled_share: float = 0
    """The same with the words, or the characters, of each document shuffled."""
    ratio: Interval | None = None
    """``share`` over ``shuffled_share``, 95% jackknife over documents; None where unknown."""
    why: str = ""
    """Why the ratio is unknown."""


class Quality(Record):
    """What the text of one side is like, and how much of it is new."""

    documents: int
    """Unique documents looked at for near-duplicates."""
    near_duplicate_documents: int
    near_duplicate_tokens: int
    """Tokens of the near-duplicates: left out of training unless the recipe keeps them."""
    repeated_passages_share: float = 0
    """Share of the runs of 13 words that came before, within a document or in another."""
    repeated_passages_tokens: int = 0
    """Tokens in such passages of the documents that are no near-duplicates, estimated."""
    near_pairs: list[NearPair] = Field(default_factory=list)
    exact_examples: list[str] = Field(default_factory=list)
    """Origins of exact duplicates, with what they repeat."""
    boilerplate_share: float = 0
    """Share of the bytes in lines that many documents share."""
    boilerplate: list[SharedLine] = Field(default_factory=list)
    gzip_ratio: float = 0
    """Compressed over raw size of a sample; running English is about 0.4, repetition far less."""
    odd_words_share: float = 0
    """Share of words that look like no word (OCR noise, hashes), by the rule in the docstring."""
    odd_characters_share: float = 0
    """Share of characters that are replacement, control or private-use ones."""
    languages: list[Language] = Field(default_factory=list)
    word_order: WordOrder | None = None
    """None in a run of an older version."""
    notes: list[str] = Field(default_factory=list)
    """What was sampled instead of read whole, in words."""


class SourceScan(Record):
    """One source of a side: what it gives to training, and where it was fetched."""

    source: str
    documents: int
    tokens: int
    train_documents: int
    """Neither held out nor left out as near-duplicates."""
    train_tokens: int
    name: str = ""
    """What a lock calls it; empty for files of this machine."""
    revision: str = ""
    """Commit of a hub data set."""
    sha256: str = ""
    """Of what was fetched."""
    bytes: int = 0
    folder: str = ""
    """Where it lies in the cache."""


class EditCounts(Record):
    """What the recipe's edits changed in the texts of one side."""

    lines: int = 0
    """Lines dropped that many documents share; each is kept where it came first."""
    line_bytes: int = 0
    emptied_documents: int = 0
    """Documents of which nothing was left."""
    emails: int = 0
    """E-mail addresses replaced."""
    addresses: int = 0
    """Public IP addresses replaced."""


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
    copies_kept: int = 0
    """Exact copies that the recipe keeps; ``duplicate_documents`` are those left out."""
    edits: EditCounts | None = None
    """None where the recipe asks for no edits."""
    left_out_documents: int = 0
    """Near-duplicates that are neither trained on nor held out."""
    left_out_tokens: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    """Skipped pieces by reason."""
    skipped_bytes: int = 0
    notes: list[str] = Field(default_factory=list)
    """One line for each file that could not be read or was odd."""
    median_tokens: float = 0
    padding_share: float = 0
    """Share of a padded (unpacked) batch that would have been padding."""
    text_column: str | None = None
    companions: list[str] = Field(default_factory=list)
    """Files beside the corpus that were left out, the first of them."""
    separators: dict[str, int] = Field(default_factory=dict)
    """Marks that stood between documents and were taken as borders, with how often they did."""
    special_strings: list[SpecialString] = Field(default_factory=list)
    """Special tokens spelt out inside documents."""
    unknown_tokens: int = 0
    """Tokens that stand for what the tokenizer cannot write (``<unk>``)."""
    encodings: dict[str, int] = Field(default_factory=dict)
    """Files by detected encoding."""
    mojibake_documents: int = 0
    """Documents that look wrongly decoded (repaired only on request)."""
    parts: list[SourceScan] = Field(default_factory=list)
    """By source, in the recipe's order; empty in a run of an older version."""
    quality: Quality | None = None

    @property
    def unknown_share(self) -> float:
        """Of the tokens, those that say only that something was there."""
        return self.unknown_tokens / max(1, self.tokens)

    @property
    def effective_tokens(self) -> int:
        """Tokens that say something new: what the size node judges.

        Exact copies are not read; near-duplicates and repeated passages are counted off.
        """
        if self.quality is None:
            return self.tokens
        twice = self.quality.near_duplicate_tokens + self.quality.repeated_passages_tokens
        return max(0, self.tokens - twice)


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
    """Domain documents chosen to be held out."""
    heldout_in_train: int = 0
    """Of these, documents of which most 13-grams also stand in training documents: they left
    the held-out side."""
    examples: list[str] = Field(default_factory=list)


class ChatSigns(Record):
    """What says that the base was trained to chat."""

    name: str = ""
    """The word in its name: ``instruct``, ``chat``, ...; empty where there is none."""
    template: bool = False
    """Whether its tokenizer has a chat template; some bases carry their chat model's."""
    tokens: list[str] = Field(default_factory=list)
    """Tokens that begin or end turns; alone they say little, since bases often hold them too."""

    @property
    def is_chat(self) -> bool:
        """Whether the guard reads answers too."""
        return bool(self.name) or self.template


class Scan(Record):
    """The scan stage: both sides and the shape of the corpus."""

    domain: SideScan
    generic: SideScan
    shape: Shape
    generic_kind: str = ""
    """Kind of the generic side, looked at where the domain is code; else empty."""
    contamination: Contamination | None = None
    chat: ChatSigns | None = None
    """None in a run of an older version."""


class ShatteredTerm(Record):
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
    worst_terms: list[ShatteredTerm] = Field(default_factory=list)
    whole_word_saving: float = 0
    """Share of the corpus's tokens that tokens of their own for the listed terms would save."""


class StoreFolders(Record):
    """Where the tokens of both sides lie: folders of the cache."""

    domain: str = ""
    generic: str = ""


class ScanArtifact(Record):
    """What the scan stage writes."""

    scan: Scan
    fertility: Fertility | None = None
    gate: GateFiles | None = None
    """None where the recipe names no gold set or no SFT data."""
    stores: StoreFolders = StoreFolders()
    texts: dict[str, str] = Field(default_factory=dict)
    """sha256 of what was read, by side; an older version did not keep it."""

    @property
    def domain(self) -> SideScan:
        """The user's own text."""
        return self.scan.domain

    @property
    def generic(self) -> SideScan:
        """The generic text beside it."""
        return self.scan.generic

    @property
    def contaminated_items(self) -> list[int]:
        """Numbers (0-based) of the gold items that also stand in the corpus."""
        return self.gate.contaminated_items if self.gate else []
