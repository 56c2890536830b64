"""The pack stage: domain and generic rows, mixed by tokens, and batch k by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.artifacts.scan import EditCounts
from engine.artifacts.training import PackArtifact, PackingLedger
from engine.decision.mix_back import (
    MAX_REPEATS,
    domain_budget,
    take_domain,
    take_generic,
    wanted_tokens,
)
from engine.errors import InputError
from engine.recipe.sources import Source
from engine.runs.events import Alarm
from engine.runs.run import Run
from engine.stages import EXTEND
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.model.base import Base, sequence_length
from engine.worker.model.job import Job, need
from engine.worker.packing.batches import Mix, open_mix
from engine.worker.packing.packs import PackedRows, PackLedger, segments, write_pack
from engine.worker.tokens.checks import open_stores
from engine.worker.tokens.document_order import shuffled, take
from engine.worker.tokens.store import Ints, TokenStore

SEAM_ROWS = 400
"""Rows looked through for seams, evenly spaced; the last ones hold the most pieces."""


def pack_folder(run: Run) -> Path:
    """Where a run's packs lie."""
    return run.path / "pack"


@dataclass(frozen=True)
class _Packer:
    """Packs parts of token stores into folders of one run."""

    context: Context
    base: Base
    length: int

    @property
    def folder(self) -> Path:
        return pack_folder(self.context.run)

    def pack(
        self, name: str, store: TokenStore, parts: Sequence[tuple[Ints, int | None]]
    ) -> tuple[PackedRows, PackLedger]:
        """Pack the first documents of each part's order, up to its budget; honours a stop.

        InputError if that is not a single row.
        """
        ledger = PackLedger()
        chosen = [
            (order if budget is None else take(store, order, budget, self.extra), budget)
            for order, budget in parts
        ]
        total = sum(len(order) for order, _ in chosen)

        def check() -> None:
            self.context.progress(f"packing the {name} text", ledger.documents, total, "documents")

        check()
        pieces = self._pieces(store, chosen, ledger)
        folder, dtype = self.folder / name, store.meta["dtype"]
        made = write_pack(folder, pieces, self.length, dtype, self.base.eos, ledger, check)
        if not ledger.rows:
            raise InputError(
                f"No {name} text is left to pack; give more documents, or raise [train] "
                "max_tokens and eval_tokens"
            )
        return made, ledger

    def _pieces(
        self, store: TokenStore, parts: Sequence[tuple[Ints, int | None]], ledger: PackLedger
    ) -> Iterator[Ints]:
        """The parts' documents one part after the other; what one lacks no other fills up."""
        eos, bos = self.base.eos, self.base.bos
        for order, budget in parts:
            end = None if budget is None else ledger.tokens + budget
            before = ledger.tokens
            yield from segments(store, order, self.length, eos, bos, ledger, end)
            ledger.parts.append(ledger.tokens - before)

    def available(self, store: TokenStore, orders: Sequence[Ints]) -> list[int]:
        """Tokens of each order, with separators."""
        return [int((store.lengths[order] + self.extra).sum()) for order in orders]

    @property
    def extra(self) -> int:
        """Separator tokens of a document."""
        return 1 if self.base.bos is None else 2


def orders_of(store: TokenStore, source: Source, seed: int) -> list[Ints]:
    """Training documents in their seeded order: together, or by source where shares are given."""
    order = shuffled(store, heldout=False, seed=seed)
    if source.shares is None:
        return [order]
    return [order[store.sources[order] == number] for number in range(len(source.parts))]


class PackStage(Stage[PackArtifact]):
    """Packs both sides into rows, and mixes them by tokens."""

    name = "pack"

    def __init__(self, job: Job) -> None:
        self.job = job

    def inputs(self) -> list[object]:
        recipe = self.job.recipe
        return [
            self.job.fingerprint("scan"),
            self.job.base.context,
            recipe.pack.model_dump(),
            *(shares for shares in (recipe.corpus.shares, recipe.generic.shares) if shares),
            recipe.train.max_tokens,
            recipe.train.epochs,
            recipe.train.batch_tokens,
            recipe.train.seed,
            recipe.train.eval_tokens,
            *([self.job.fingerprint(EXTEND)] if self.job.made.extend else []),
        ]

    def make(self, fingerprint: str) -> PackArtifact:
        read = self.job.made.extend or need(self.job.made.scan)
        return pack_texts(self.job.context, self.job.trained, *open_stores(read.stores))

    def files(self, made: PackArtifact) -> list[Path]:
        """Every file of the run's packs."""
        folder = pack_folder(self.job.run)
        return [
            path
            for name in pack_names(made.generic_rows)
            for path in sorted((folder / name).iterdir())
        ]


def pack_texts(
    context: Context, base: Base, domain: TokenStore, generic: TokenStore
) -> PackArtifact:
    """Write the run's packs and the balancing ledger."""
    recipe = context.recipe
    packer = _Packer(context, base, sequence_length(recipe, base))
    orders, shares = orders_of(domain, recipe.corpus, recipe.train.seed), recipe.corpus.shares
    budgets: list[int | None] = [domain_budget(recipe)]
    if shares is not None:
        budgets = [*take_domain(packer.available(domain, orders), shares, budgets[0])]
    domain_pack, domain_ledger = packer.pack(
        "domain", domain, list(zip(orders, budgets, strict=True))
    )
    generic_ledger, rows, repeats = _pack_generic(packer, generic, domain_ledger.packed)
    for name, store in (("heldout-domain", domain), ("heldout-generic", generic)):
        held = shuffled(store, heldout=True, seed=recipe.train.seed)
        packer.pack(name, store, [(held, recipe.train.eval_tokens)])
    hashes = {
        f"{name}/{file}": value
        for name in pack_names(rows)
        for file, value in PackedRows(packer.folder / name).hashes().items()
    }
    mix = open_mix(packer.folder, recipe, hashes, rows)
    return PackArtifact(
        sequence_length=packer.length,
        rows=mix.rows,
        steps=mix.steps,
        generic_rows=rows,
        generic_repeats=repeats,
        tokens=mix.tokens(),
        asked_mix=recipe.pack.mix_back,
        achieved_mix=mix.achieved_share(),
        domain_parts=domain_ledger.parts if shares is not None else [],
        generic_parts=generic_ledger.parts if recipe.generic.shares is not None else [],
        ledger=balance_ledger(domain, sum(map(len, orders)), domain_ledger, generic_ledger, mix),
        seams=seams(domain_pack, base),
        sha256=hashes,
    )


def pack_names(generic_rows: int) -> list[str]:
    """The packs of a run; what an earlier recipe left behind is none of them."""
    return ["domain", *(["generic"] if generic_rows else []), "heldout-domain", "heldout-generic"]


def _pack_generic(
    packer: _Packer, store: TokenStore, domain_tokens: int
) -> tuple[PackLedger, int, int]:
    """Pack enough generic text; returns its ledger, its rows, and how often it repeats."""
    recipe = packer.context.recipe
    want = wanted_tokens(domain_tokens, recipe.pack.mix_back)
    if want <= packer.extra:
        return PackLedger(), 0, 0
    orders = orders_of(store, recipe.generic, recipe.train.seed)
    available = packer.available(store, orders)
    shares = recipe.generic.shares
    wants = [want] if shares is None else [max(1, round(want * share)) for share in shares]
    repeats = [
        min(MAX_REPEATS, -(-each // max(1, have)))
        for each, have in zip(wants, available, strict=True)
    ]
    if max(repeats) > 1:
        short = sum(take_generic(available, shares, want)) < want - len(wants)
        packer.context.emit(
            Alarm(
                level="amber",
                stage="pack",
                message=f"the generic text is small: repeated {max(repeats)} times for the mix-back"
                + (" and still short of the asked share" if short else ""),
            )
        )
    parts = [
        (np.tile(order, times), each)
        for order, times, each in zip(orders, repeats, wants, strict=True)
    ]
    pack, ledger = packer.pack("generic", store, parts)
    return ledger, len(pack), max(repeats)


def balance_ledger(
    store: TokenStore, train_documents: int, domain: PackLedger, generic: PackLedger, mix: Mix
) -> PackingLedger:
    """Documents and tokens in, and where each of them went; asserts that nothing is missing."""
    used = int(mix.generic.fill[: mix.generic_rows].sum()) if mix.generic is not None else 0
    edits = EditCounts.model_validate(store.meta["edits"] or {})
    edited = {
        "emptied": edits.emptied_documents,
        "shared_lines": edits.lines,
        "shared_line_bytes": edits.line_bytes,
        "masked": edits.emails + edits.addresses,
    }
    ledger = PackingLedger(
        **(edited if store.meta["edits"] else {}),
        documents_in=len(store) + store.meta["duplicates"] + edits.emptied_documents,
        exact_duplicates=store.meta["duplicates"],
        near_duplicates=len(store.dropped),
        held_out=int(store.heldout.sum()),
        capped_documents=train_documents - domain.documents,
        capped_tokens=domain.cut,
        packed_documents=domain.documents,
        text_tokens=domain.text_tokens,
        eos_tokens=domain.eos_tokens,
        bos_tokens=domain.bos_tokens,
        domain_tokens=domain.packed,
        generic_tokens=generic.packed,
        generic_tokens_used=used,
        padding=domain.padding + generic.padding,
        split_documents=domain.splits,
    )
    kept = ledger.held_out + ledger.capped_documents + ledger.packed_documents
    gone = ledger.exact_duplicates + ledger.near_duplicates + ledger.emptied
    assert ledger.documents_in - gone == kept
    return ledger


def seams(pack: PackedRows, base: Base, wanted: int = 6, width: int = 12) -> list[str]:
    """Decoded borders between documents, as the model will see them."""
    found: list[str] = []
    for row in np.linspace(0, len(pack) - 1, min(len(pack), SEAM_ROWS), dtype=int)[::-1]:
        rows = pack.rows(np.array([row]))
        fill = int(pack.fill[row])
        for start in np.flatnonzero(rows.positions[0, :fill] == 0)[1:]:
            before = base.tokenizer.decode(rows.ids[0, max(0, start - width) : start].tolist())
            after = base.tokenizer.decode(rows.ids[0, start : start + width].tolist())
            found.append(f"{before} | {after}")
            if len(found) == wanted:
                return found
    return found
