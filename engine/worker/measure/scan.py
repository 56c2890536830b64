"""The scan stage: both sources tokenised and split, shape, fertility, and the gate's files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.artifacts.scan import (
    Contamination,
    Fertility,
    Quality,
    Scan,
    ScanArtifact,
    Shape,
    ShatteredTerm,
    SideScan,
    SourceScan,
    StoreFolders,
)
from engine.corpus.corpus import Corpus
from engine.corpus.mixture import open_corpus
from engine.corpus.shape import detect_shape
from engine.errors import InputError
from engine.files import sha256_file
from engine.gold.draws import gate_items
from engine.gold.summary import gate_files
from engine.quality.contamination import Overlapped
from engine.recipe.sources import Source
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.model.base import Base
from engine.worker.model.chat import chat_signs
from engine.worker.model.job import Job
from engine.worker.scoring.examples import Encoder, cut_by_context
from engine.worker.tokens.build import STORE_VERSION
from engine.worker.tokens.checks import check_ids, open_stores, stores_exist
from engine.worker.tokens.overlap import open_store
from engine.worker.tokens.store import TokenStore, encode, tokenizer_identity

WORST_TERMS = 15
READS = ("metric", "template", "gold_columns", "sft_columns", "pattern")
"""What decides how the gate's files are read and checked."""
CODE_SHARE = 0.5
"""Of the bytes, from which the generic side is looked at too."""
PADDED_BATCH = 8
"""Rows of the padded batch that packing is compared with."""


class ScanStage(Stage[ScanArtifact]):
    """Reads both texts, tokenises them once, and measures what they are like."""

    name = "scan"

    def __init__(self, job: Job) -> None:
        self.job = job

    def inputs(self) -> list[object]:
        """Both texts, the tokenizer, the split, and the gate's files.

        What is elsewhere is fetched here: its content is part of what the stage depends on.
        """
        self.fetch()
        recipe, gate = self.job.recipe, self.job.recipe.gate
        files = [Path(name) for name in (gate.gold, gate.sft) if name]
        return [
            STORE_VERSION,
            open_corpus(recipe.corpus).fingerprint(),
            open_corpus(recipe.generic).fingerprint(),
            tokenizer_identity(self.job.base.tokenizer),
            recipe.corpus.handling,
            recipe.generic.handling,
            gate.model_dump(include=set(READS)),
            len(gate.seeds),
            gate.plausible_gain,
            [sha256_file(f) for f in files if f.is_file()],
            self.job.base.context,
            gate.max_items,
            gate.probe.max_examples,
            *([gate.probe.spare, "spare rows"] if gate.rules > 1 else []),
        ]

    def fetch(self) -> None:
        """Bring both texts onto this disk, so that what follows needs no network."""
        recipe = self.job.recipe
        for side, source in (("domain", recipe.corpus), ("generic", recipe.generic)):
            open_corpus(source).fetch_all(partial(self._say_fetched, f"fetching the {side} text"))

    def _say_fetched(self, label: str, done: int) -> None:
        self.job.context.progress(label, done, 0, "bytes")

    def make(self, fingerprint: str) -> ScanArtifact:
        """Read, clean, leave exact copies out, tokenise, and look at the gate's files."""
        made = scan_texts(self.job.context, self.job.base)
        for store in open_stores(made.stores):
            check_ids(store, self.job.base)
        return made

    def is_usable(self, made: ScanArtifact) -> bool:
        return stores_exist(made.stores)

    def check(self, made: ScanArtifact) -> None:
        """InputError where a judged run's texts are others now: its verdict stands.

        ``check_texts`` says so earlier, but for a text on the hub and a scan of an older version.
        """
        run = self.job.run
        before = run.read_artifacts(self.name).scan if run.judged else None
        if before is None:
            return
        was, now = ([side.fingerprint for side in (s.domain, s.generic)] for s in (before, made))
        if was != now:
            raise InputError(
                f"The text of run {run.id}, or the way it is read, changed since its verdict, "
                "which stands with its report; put it back as it was, or start a new run"
            )


def scan_texts(context: Context, base: Base) -> ScanArtifact:
    """Both sides as token stores, with all that one pass over them measures."""
    recipe = context.recipe
    domain, generic = open_corpus(recipe.corpus), open_corpus(recipe.generic)
    for corpus in (domain, generic):
        corpus.check()
    gate = recipe.gate
    files = gate.gold and gate.sft and (Path(gate.gold), Path(gate.sft))
    items = gate_items(*files, gate) if files else None
    gold = items.gold if items else []
    shape = detect_shape(domain)
    store, overlapped = open_store(context, domain, base.tokenizer, "domain text", gold)
    other, _ = open_store(context, generic, base.tokenizer, "generic text", [])
    scan = Scan(
        domain=side_scan(store, base, recipe.corpus),
        generic=side_scan(other, base, recipe.generic),
        shape=shape,
        generic_kind=detect_shape(generic).kind if has_code(shape) else "",
        contamination=contamination(store, overlapped, len(gold)),
        chat=chat_signs(base),
    )
    checked = None
    if files and items:
        cuts = cut_by_context(Encoder(base, gate.template), gold, items.sft.pool)
        checked = gate_files(*files, gate, overlapped, cuts)
    return ScanArtifact(
        scan=scan,
        fertility=measure_fertility(store, other, base),
        gate=checked,
        stores=StoreFolders(domain=str(store.folder), generic=str(other.folder)),
        texts={"domain": domain.fingerprint(), "generic": generic.fingerprint()},
    )


def has_code(shape: Shape) -> bool:
    """Whether a good part of the corpus is source code."""
    return any(part.kind == "code" and part.share >= CODE_SHARE for part in shape.parts)


def side_scan(store: TokenStore, base: Base, source: Source) -> SideScan:
    """The scan record of one store."""
    meta, lengths, heldout = store.meta, store.lengths, store.heldout
    return SideScan(
        source=meta["source"],
        fingerprint=meta["fingerprint"],
        files=meta["files"],
        documents=len(store),
        bytes=int(store.nbytes.sum()),
        words=meta["words"],
        tokens=int(lengths.sum()),
        heldout_documents=int(heldout.sum()),
        heldout_tokens=int(lengths[heldout].sum()),
        duplicate_documents=meta["duplicates"],
        duplicate_bytes=meta["duplicate_bytes"],
        copies_kept=meta["copies_kept"],
        edits=meta["edits"],
        left_out_documents=len(store.dropped),
        left_out_tokens=int(lengths[store.dropped].sum()),
        skipped=meta["skipped"],
        skipped_bytes=meta["skipped_bytes"],
        notes=meta["notes"],
        median_tokens=float(np.median(lengths)),
        padding_share=padding_share(lengths, min(base.context, 2048)),
        text_column=meta["text_column"],
        companions=meta["companions"],
        separators=meta["separators"],
        special_strings=meta["special_strings"],
        unknown_tokens=meta["unknown_tokens"],
        encodings=meta["encodings"],
        mojibake_documents=meta["mojibake_documents"],
        parts=[source_scan(store, number, part) for number, part in enumerate(source.parts)],
        quality=Quality.model_validate(meta["quality"]),
    )


def source_scan(store: TokenStore, number: int, source: Source) -> SourceScan:
    """The scan record of one of a side's sources."""
    mine, train = store.sources == number, np.zeros(len(store), dtype=bool)
    train[store.side(heldout=False)] = True
    counts = {
        "documents": int(mine.sum()),
        "tokens": int(store.lengths[mine].sum()),
        "train_documents": int((mine & train).sum()),
        "train_tokens": int(store.lengths[mine & train].sum()),
    }
    corpus = Corpus(source)
    if not source.is_remote:
        return SourceScan(source=corpus.label, **counts)
    found = corpus.fetch()
    return SourceScan(
        source=corpus.label,
        **counts,
        name=found.meta.name,
        revision=found.meta.revision,
        sha256=found.meta.sha256,
        bytes=found.meta.bytes,
        folder=str(found.folder),
    )


def contamination(store: TokenStore, overlapped: Overlapped | None, items: int) -> Contamination:
    """What the corpus holds of the gold set, and its training side of its held-out side."""
    found = overlapped or Overlapped()
    return Contamination(
        gold_items=items,
        gold_in_corpus=found.contaminated,
        gold_common=found.common,
        gold_short=found.short,
        heldout_documents=int(store.heldout.sum() + (~store.heldout[store.leaked]).sum()),
        heldout_in_train=len(store.leaked),
        examples=[
            f'gold item {item + 1} in {store.origin(document)}: "{said}"'
            for item, document, said in found.examples
        ]
        + store.meta["leaks"],
    )


def padding_share(lengths: np.ndarray[Any, Any], length: int) -> float:
    """Padding in batches of eight unpacked documents padded to their longest, in [0, 1]."""
    sizes = np.minimum(lengths, length)
    sizes = sizes[: len(sizes) // PADDED_BATCH * PADDED_BATCH].reshape(-1, PADDED_BATCH)
    if sizes.size == 0:
        return 0.0
    padded = int(sizes.max(axis=1).sum()) * PADDED_BATCH
    return 1.0 - float(sizes.sum()) / padded if padded else 0.0


def measure_fertility(domain: TokenStore, generic: TokenStore, base: Base) -> Fertility:
    """Tokens per word and per byte of both sides, and the domain's most shattered words."""
    sides = {}
    for name, store in (("domain", domain), ("generic", generic)):
        tokens = int(store.lengths.sum())
        words, size = store.meta["words"], int(store.nbytes.sum())
        sides[name] = (tokens / max(1, words), tokens / max(1, size))
    terms = worst_terms(domain, generic, base)
    return Fertility(
        domain_tokens_per_word=sides["domain"][0],
        generic_tokens_per_word=sides["generic"][0],
        domain_tokens_per_byte=sides["domain"][1],
        generic_tokens_per_byte=sides["generic"][1],
        ratio=sides["domain"][0] / max(1e-9, sides["generic"][0]),
        worst_terms=terms,
        whole_word_saving=sum(t.saved for t in terms) / max(1, int(domain.lengths.sum())),
    )


def worst_terms(domain: TokenStore, generic: TokenStore, base: Base) -> list[ShatteredTerm]:
    """Words typical of the domain by the tokens that a piece of their own would save."""
    common = generic.meta["terms"]
    terms = [(w, n) for w, n in domain.meta["terms"].items() if n >= 3 and w not in common]
    if not terms:
        return []
    ids = encode(base.tokenizer, [f" {word}" for word, _ in terms])
    ranked = sorted(zip(terms, ids, strict=True), key=lambda item: -item[0][1] * (len(item[1]) - 1))
    return [
        ShatteredTerm(
            term=word,
            count=count,
            pieces=[base.tokenizer.decode([i]) for i in pieces],
            saved=count * (len(pieces) - 1),
        )
        for (word, count), pieces in ranked[:WORST_TERMS]
        if len(pieces) > 1
    ]
