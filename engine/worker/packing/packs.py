"""Packing: documents -> memory-mapped rows, best-fit, document-masked, every token accounted.

A document is ``[BOS] tokens EOS``; one longer than a row is split, nothing is cut away.
Segments are placed by best-fit decreasing inside a window of ``WINDOW`` segments; rows with
little room are closed, the others stay open for the next window. Memory depends on the
window, not on the corpus. Positions restart at each segment, which is what separates the
documents in attention.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine.files import private_dir, sha256_file, write_json
from engine.worker.packing.best_fit import BestFit
from engine.worker.step.rows import IGNORE, Rows
from engine.worker.tokens.store import Ints, TokenStore

WINDOW = 16_384
"""Segments sorted together by best-fit decreasing."""


OPEN_ROWS = 1_024
"""Rows carried open from window to window at most."""


@dataclass
class PackLedger:
    """Where every token went. ``check`` proves that it balances."""

    documents: int = 0
    text_tokens: int = 0
    eos_tokens: int = 0
    bos_tokens: int = 0
    splits: int = 0
    """Extra segments made of documents longer than a row."""
    cut: int = 0
    """Tokens of the last document (EOS included) that a token budget left out."""
    rows: int = 0
    padding: int = 0
    packed: int = 0
    """Tokens in rows without padding."""
    parts: list[int] = field(default_factory=list)
    """Tokens taken in of each source, where shares are given."""

    @property
    def tokens(self) -> int:
        """Tokens taken in, separators included."""
        return self.text_tokens + self.eos_tokens + self.bos_tokens

    def check(self, length: int) -> None:
        """AssertionError unless in = out and rows are full of tokens and padding."""
        assert self.packed == self.tokens
        assert self.rows * length == self.packed + self.padding


@dataclass
class _RowWriter:
    """Appends closed rows to ``rows.bin``, ``positions.bin`` and ``fill.bin``."""

    length: int
    dtype: str
    pad: int
    ledger: PackLedger
    files: list[IO[bytes]]

    def write(self, row: list[Ints]) -> None:
        ids = np.full(self.length, self.pad, dtype=self.dtype)
        positions = np.zeros(self.length, dtype=np.uint16)
        filled = 0
        for segment in row:
            end = filled + len(segment)
            ids[filled:end] = segment
            positions[filled:end] = np.arange(len(segment), dtype=np.uint16)
            filled = end
        positions[filled:] = np.arange(self.length - filled, dtype=np.uint16)
        fill = np.array([filled], dtype=np.uint32)
        raw = (ids.tobytes(), positions.tobytes(), fill.tobytes())
        for handle, data in zip(self.files, raw, strict=True):
            handle.write(data)
        self.ledger.rows += 1
        self.ledger.packed += filled
        self.ledger.padding += self.length - filled


def segments(
    store: TokenStore,
    order: Ints,
    length: int,
    eos: int,
    bos: int | None,
    ledger: PackLedger,
    budget: int | None = None,
) -> Iterator[Ints]:
    """Documents of ``order`` with their separators, cut into pieces of at most ``length``.

    ``budget`` ends them after so many tokens, inside a document if need be: one document may
    be larger than all that was asked for. Each piece is a copy, since a view would keep its
    whole document in memory.
    """
    dtype = store.meta["dtype"]
    head = np.array([] if bos is None else [bos], dtype=dtype)
    tail = np.array([eos], dtype=dtype)
    for index in order:
        text = store.document(int(index))
        whole = len(head) + len(text) + 1
        size = whole if budget is None else min(whole, budget - ledger.tokens)
        if size <= len(head):
            return
        document = np.concatenate([head, text[:size], tail])[:size]
        ledger.documents += 1
        ledger.bos_tokens += len(head)
        ledger.eos_tokens += size == whole
        ledger.text_tokens += size - len(head) - (size == whole)
        ledger.cut += whole - size
        ledger.splits += (size - 1) // length
        for start in range(0, size, length):
            yield document[start : start + length].copy()


def write_pack(
    folder: Path,
    pieces: Iterator[Ints],
    length: int,
    dtype: str,
    pad: int,
    ledger: PackLedger,
    check: Callable[[], None] = lambda: None,
) -> PackedRows:
    """Pack segments into rows on disk; ``check`` may raise between windows.

    Raises OSError when the disk is full.
    """
    private_dir(folder)
    names = ("rows.bin", "positions.bin", "fill.bin")
    with contextlib.ExitStack() as stack:
        files: list[IO[bytes]] = [stack.enter_context((folder / name).open("wb")) for name in names]
        writer = _RowWriter(length, dtype, pad, ledger, files)
        fit = BestFit(length)
        for window in _windows(pieces):
            check()
            for segment in sorted(window, key=len, reverse=True):
                if full := fit.place(segment):
                    writer.write(full)
            for row in fit.fullest(OPEN_ROWS):
                writer.write(row)
        for row in fit.fullest(0):
            writer.write(row)
    write_json(folder / "meta.json", {"length": length, "dtype": dtype, "rows": ledger.rows})
    ledger.check(length)
    return PackedRows(folder)


def _windows(pieces: Iterator[Ints]) -> Iterator[list[Ints]]:
    window: list[Ints] = []
    for piece in pieces:
        window.append(piece)
        if len(window) == WINDOW:
            yield window
            window = []
    if window:
        yield window


@dataclass(frozen=True)
class PackedRows:
    """Read side: rows by index, memory-mapped."""

    folder: Path

    @cached_property
    def _meta(self) -> dict[str, Any]:
        import json

        loaded: dict[str, Any] = json.loads((self.folder / "meta.json").read_text())
        return loaded

    @property
    def length(self) -> int:
        return int(self._meta["length"])

    def __len__(self) -> int:
        return int(self._meta["rows"])

    def _map(self, name: str, dtype: str) -> Ints:
        shape = (len(self), self.length)
        return np.memmap(self.folder / name, dtype=dtype, mode="r", shape=shape)

    @cached_property
    def _ids(self) -> Ints:
        return self._map("rows.bin", self._meta["dtype"])

    @cached_property
    def _positions(self) -> Ints:
        return self._map("positions.bin", "uint16")

    @cached_property
    def fill(self) -> Ints:
        """Tokens of each row that are no padding [n]."""
        return np.fromfile(self.folder / "fill.bin", dtype=np.uint32)

    def rows(self, index: Ints) -> Rows:
        """The rows at ``index`` as [B, L]; no loss on first tokens of segments and padding."""
        ids = np.asarray(self._ids[index], dtype=np.int64)
        positions = np.asarray(self._positions[index], dtype=np.int64)
        labels = np.where(positions == 0, IGNORE, ids)
        columns = np.arange(self.length)[None, :]
        labels[columns >= self.fill[index][:, None].astype(np.int64)] = IGNORE
        return Rows(ids, positions, labels)

    def hashes(self) -> dict[str, str]:
        """sha256 of the token files: equal packs have equal hashes."""
        return {p.name: sha256_file(p) for p in sorted(self.folder.glob("*.bin"))}


def batch_order(rows: int, seed: int, fingerprint: str, epoch: int) -> Ints:
    """Permutation of the rows for one epoch: a function of (data, seed, epoch) only."""
    key = [seed, epoch, int(fingerprint[:16], 16)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).permutation(rows)
