"""The extend stage: new tokens for the domain, and what they cost and save before any training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine.artifacts.scan import StoreFolders
from engine.artifacts.training import ExtendArtifact, FirstRun, NewToken
from engine.corpus.mixture import open_corpus
from engine.decision.mix_back import domain_budget
from engine.errors import InputError
from engine.runs.events import Facts, VocabPoint
from engine.stages import EXTEND
from engine.thresholds import effective
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.model import base as models
from engine.worker.model import embeddings
from engine.worker.model.base import sequence_length
from engine.worker.model.job import Job, need
from engine.worker.model.precision import run_precision
from engine.worker.scoring import self_check
from engine.worker.step import memory
from engine.worker.tokens.build import store_folder
from engine.worker.tokens.checks import open_stores, stores_exist
from engine.worker.tokens.document_order import shuffled, take
from engine.worker.tokens.overlap import open_store
from engine.worker.tokens.store import TokenStore
from engine.worker.vocabulary import heldout as heldout_text
from engine.worker.vocabulary import tokenizer
from engine.worker.vocabulary.heldout import HeldoutText
from engine.worker.vocabulary.merges import Merge, Word, enough, merges, occurrences, pieces
from engine.worker.vocabulary.permission import check_first_run

EXTENDED = "extended"
SHOWN = 20
SIDES = ("domain", "generic")
PROVEN_TEXTS = 400
"""Held-out texts of each side that must read back unchanged."""

Stores = tuple[TokenStore, TokenStore]


@dataclass(frozen=True)
class TokenChoice:
    """The tokens to add, and how they were chosen."""

    found: list[Merge]
    words: dict[Word, int]
    tokens: int
    """Of the training text, in the base's own."""
    least: int
    """Times a new token must stand there."""
    candidates: list[Merge]
    """All that stand often enough."""


class ExtendStage(Stage[ExtendArtifact]):
    """Adds tokens to the base; all that follows reads, trains and judges the base that has them."""

    name = EXTEND

    def __init__(self, job: Job) -> None:
        self.job = job

    def inputs(self) -> list[object]:
        recipe = self.job.recipe
        return [
            self.job.fingerprint("scan"),
            self.job.base.identity,
            recipe.vocab.model_dump(),
            recipe.pack.model_dump(),
            recipe.train.max_tokens,
            recipe.train.epochs,
            recipe.train.seed,
            recipe.train.eval_tokens,
            effective(recipe.probe.thresholds)["vocab_occurrences"],
        ]

    def make(self, fingerprint: str) -> ExtendArtifact:
        stores = open_stores(need(self.job.made.scan).stores)
        return extend_base(self.job.context, self.job.base, stores, self.check_first_run())

    def files(self, made: ExtendArtifact) -> list[Path]:
        return sorted((self.job.run.path / EXTENDED).iterdir())

    def is_usable(self, made: ExtendArtifact) -> bool:
        return stores_exist(made.stores)

    def check_first_run(self) -> FirstRun:
        """What the first run measured; InputError where it does not argue for new tokens."""
        recipe, base = self.job.recipe, self.job.base
        corpus = store_folder(open_corpus(recipe.corpus), base.tokenizer).name
        return check_first_run(recipe, base.identity, corpus)


def extend_base(
    context: Context, base: models.Base, stores: Stores, first_run: FirstRun
) -> ExtendArtifact:
    """Choose the tokens, write the extended base, read both sides anew, and compare."""
    known = tokenizer.pieces_of(base.tokenizer)
    model = models.load(base)
    chosen = choose(context, base, model, known, stores[0])
    stands_for = pieces(chosen.found)
    folder = context.run.path / EXTENDED
    wide = tokenizer.write_base(base, known, chosen.found, stands_for, folder)
    texts = [heldout_text.heldout_texts(s, base, context.recipe) for s in stores]
    tokenizer.prove(
        base.tokenizer, wide.tokenizer, [t for side in texts for t in side[:PROVEN_TEXTS]]
    )
    read = read_again(context, wide)
    losses = {
        "before": measure(context, base, model, texts, "before"),
        "init": measure(context, wide, models.load(wide), texts, "init"),
    }
    domain, generic = (str(store.folder) for store in read)
    made = describe_choice(chosen, known, stands_for).model_copy(
        update={
            "base": wide.identity,
            "first_run": first_run,
            "tokens_per_document": {
                side: [per_document(store) for store in pair]
                for side, *pair in zip(SIDES, stores, read, strict=True)
            },
            "bits_per_byte": losses,
            "stores": StoreFolders(domain=domain, generic=generic),
        }
    )
    before, after = made.tokens_per_document["domain"]
    facts = {
        "vocabulary": f"{made.tokens:,} new tokens behind {made.first:,}",
        "tokens a document": f"{before:.0f} -> {after:.0f} ({after / before - 1:+.1%})",
    }
    context.emit(Facts(stage="extend", facts=facts))
    return made


def choose(
    context: Context,
    base: models.Base,
    model: torch.nn.Module,
    known: tokenizer.Pieces,
    store: TokenStore,
) -> TokenChoice:
    """The merges that save most on the text that will be trained on.

    A token must stand often enough to train its row, and save more tokens than its row in the
    head costs: hidden size over parameters, as a share of the compute of a token (6 N a token,
    Kaplan 2020). InputError where none does.
    """
    recipe = context.recipe
    order = shuffled(store, heldout=False, seed=recipe.train.seed)
    if (budget := domain_budget(recipe)) is not None:
        order = take(store, order, budget, 1 + (base.bos is not None))
    context.progress("counting words", 0)
    words = known.words(store, order)
    tokens = int(store.lengths[order].sum())
    worth = tokens * embeddings.width(model) / models.count(model)
    wanted = effective(recipe.probe.thresholds)["vocab_occurrences"]
    least = int(np.ceil(max(wanted, worth, 2)))
    size = recipe.vocab.size or len(known.texts)
    candidates = merges(words, known.texts, size, least, set(known.texts))
    if not candidates:
        raise InputError(
            f"[vocab] extend: no new token would stand {least:,} times in the {tokens:,} tokens "
            "of training text, too few to train its row; give more text, or leave [vocab] "
            "extend out"
        )
    count = len(candidates) if recipe.vocab.size else max(1, enough(candidates))
    return TokenChoice(candidates[:count], words, tokens, least, candidates)


def describe_choice(
    chosen: TokenChoice, known: tokenizer.Pieces, stands_for: dict[int, Word]
) -> ExtendArtifact:
    """The choice in numbers, and the tokens that save most."""
    often = occurrences(chosen.words, chosen.found)
    saving = {token: n * (len(stands_for[token]) - 1) for token, n in often.items()}
    largest = sorted(saving, key=lambda token: (-saving[token], token))[:SHOWN]
    saved = [merge.saved for merge in chosen.found]
    return ExtendArtifact(
        tokens=len(chosen.found),
        first=len(known.texts),
        least=chosen.least,
        training_tokens=chosen.tokens,
        saving=sum(saved) / max(1, chosen.tokens),
        candidates=len(chosen.candidates),
        candidates_saving=sum(m.saved for m in chosen.candidates) / max(1, chosen.tokens),
        on_the_way=sum(n < chosen.least for n in often.values()),
        largest=[
            NewToken(
                token=known.text(stands_for[token]),
                pieces=[known.text([piece]) for piece in stands_for[token]],
                count=often[token],
                saved=saving[token],
            )
            for token in largest
        ],
    )


def read_again(context: Context, wide: models.Base) -> Stores:
    """Both sides' token stores under the extended tokenizer; the split stays, being by content."""
    recipe = context.recipe
    domain, generic = (
        open_store(
            context, open_corpus(source), wide.tokenizer, f"{side} text with new tokens", []
        )[0]
        for side, source in zip(SIDES, (recipe.corpus, recipe.generic), strict=True)
    )
    return domain, generic


def per_document(store: TokenStore) -> float:
    """Mean tokens of a held-out document."""
    return float(store.lengths[store.heldout].mean()) if store.heldout.any() else 0.0


def measure(
    context: Context, base: models.Base, model: torch.nn.Module, texts: list[list[str]], point: str
) -> dict[str, float]:
    """Held-out bits per byte of both sides, as an event too."""
    precision = run_precision(context, base, model)
    self_check.prove(context, base, model, precision)
    length = sequence_length(context.recipe, base)
    batch = memory.reading_rows(context.recipe.train, length)
    losses = {
        side: heldout_text.read(said, base).bits_per_byte(
            model, precision, batch, context.raise_if_stopped
        )
        for side, said in zip(SIDES, texts, strict=True)
    }
    context.emit(VocabPoint(point=point, domain=losses["domain"], generic=losses["generic"]))
    return losses


@dataclass(frozen=True)
class Extended:
    """A finished extension, as training uses it."""

    made: ExtendArtifact
    """The stage's artifact."""
    heldout: tuple[HeldoutText, HeldoutText]
    """Both sides in the new tokens."""
    base_tokens: int
    """Of the generic held-out text, in the base's own tokens."""

    @property
    def rows(self) -> range:
        """Ids of the new tokens."""
        return range(self.made.first, self.made.first + self.made.tokens)


def open_extension(
    context: Context, base: models.Base, wide: models.Base, stores: Stores, made: ExtendArtifact
) -> Extended:
    """The extension that a finished stage made; ``stores`` are the base's own."""
    texts = [heldout_text.heldout_texts(store, base, context.recipe) for store in stores]
    domain, generic = (heldout_text.read(said, wide) for said in texts)
    own = heldout_text.read(texts[1], base)
    return Extended(made, (domain, generic), own.tokens)


def wide_base(run_path: Path, base: models.Base) -> models.Base:
    """The extended base that the stage wrote."""
    return tokenizer.open_base(base, run_path / EXTENDED)
