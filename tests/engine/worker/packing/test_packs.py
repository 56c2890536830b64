"""Packing: the ledger balances, nothing is lost, order is arithmetic, memory is flat."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.files import write_json
from engine.worker.packing import packs
from engine.worker.packing.best_fit import BestFit
from engine.worker.packing.packs import PackedRows, PackLedger, batch_order, segments, write_pack
from engine.worker.step.rows import IGNORE
from engine.worker.tokens.store import TokenStore

lengths = st.lists(st.integers(1, 64), min_size=1, max_size=120)


def pack(
    folder: Path, sizes: list[int], length: int = 64
) -> tuple[PackedRows, PackLedger, list[np.ndarray]]:
    """Pack numbered segments; token ids are unique, so that each can be found again."""
    starts = np.cumsum([0, *sizes])
    pieces = [np.arange(a, b) + 1 for a, b in itertools.pairwise(starts)]
    ledger = PackLedger(documents=len(sizes), text_tokens=sum(sizes))
    return write_pack(folder, iter(pieces), length, "uint32", 0, ledger), ledger, pieces


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(sizes=lengths)
def test_every_token_is_packed_exactly_once(tmp_path: Path, sizes: list[int]) -> None:
    made, ledger, pieces = pack(tmp_path / "p", sizes)
    ledger.check(64)
    rows = made.rows(np.arange(len(made)))
    kept = Counter(
        int(t) for row, fill in zip(rows.ids, made.fill, strict=True) for t in row[: int(fill)]
    )
    assert kept == Counter(int(t) for piece in pieces for t in piece)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(sizes=lengths)
def test_positions_restart_and_first_tokens_carry_no_loss(tmp_path: Path, sizes: list[int]) -> None:
    made, _, pieces = pack(tmp_path / "p", sizes)
    rows = made.rows(np.arange(len(made)))
    firsts = {int(piece[0]) for piece in pieces}
    for ids, positions, labels, fill in zip(
        rows.ids, rows.positions, rows.labels, made.fill, strict=True
    ):
        for at in range(int(fill)):
            assert (positions[at] == 0) == (int(ids[at]) in firsts)
            assert labels[at] == (IGNORE if positions[at] == 0 else ids[at])
        assert (labels[int(fill) :] == IGNORE).all()


def test_a_false_ledger_does_not_pass(tmp_path: Path) -> None:
    _, ledger, _ = pack(tmp_path / "p", [5, 60, 12])
    ledger.text_tokens += 1
    with pytest.raises(AssertionError):
        ledger.check(64)


def store(folder: Path, sizes: list[int]) -> TokenStore:
    """A token store whose documents hold 1, 2, 3, … in order."""
    folder.mkdir(exist_ok=True)
    offsets = np.cumsum([0, *sizes])
    (np.arange(offsets[-1]) + 1).astype("uint32").tofile(folder / "tokens.bin")
    np.save(folder / "offsets.npy", offsets)
    np.array(sizes, dtype="int64").tofile(folder / "lengths.bin")
    write_json(folder / "meta.json", {"dtype": "uint32"})
    return TokenStore(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    budget=st.integers(1, 900) | st.none(),
    bos=st.sampled_from([None, 7]),
    length=st.integers(2, 64),
)
def test_a_budget_is_held_to_the_token(
    tmp_path: Path, sizes: list[int], budget: int | None, bos: int | None, length: int
) -> None:
    """What is packed is the beginning of the whole stream, and the cut is in the ledger."""
    made, heads = store(tmp_path / "s", sizes), 0 if bos is None else 1
    order = np.arange(len(sizes))
    stream = np.concatenate([*segments(made, order, 10**6, 9, bos, PackLedger())])
    ledger = PackLedger()
    pieces = list(segments(made, order, length, 9, bos, ledger, budget))
    kept = np.concatenate([*pieces, np.zeros(0, dtype="uint32")])
    assert (kept == stream[: len(kept)]).all()
    asked = len(stream) if budget is None else min(budget, len(stream))
    assert asked - heads <= len(kept) == ledger.tokens <= asked
    assert ledger.cut + len(kept) == sum(sizes[: ledger.documents]) + ledger.documents * (1 + heads)
    assert max(map(len, pieces), default=0) <= length
    write_pack(tmp_path / "p", iter(pieces), length, "uint32", 9, ledger)


def test_long_documents_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open rows hold the tail pieces of many documents: they must not hold the documents."""
    monkeypatch.setattr(packs, "WINDOW", 64)
    monkeypatch.setattr(packs, "OPEN_ROWS", 512)
    made = store(tmp_path / "s", [16_400] * 200)
    tracemalloc.start()
    pieces = segments(made, np.arange(200), 128, 0, None, PackLedger())
    write_pack(tmp_path / "p", pieces, 128, "uint32", 0, PackLedger(text_tokens=200 * 16_401))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6, peak  # the documents are 13 MB


def test_packing_can_be_left_between_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "WINDOW", 10)
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    pieces = (np.zeros(5, dtype="uint32") for _ in range(100))
    with pytest.raises(KeyboardInterrupt):
        write_pack(tmp_path / "p", pieces, 64, "uint32", 0, PackLedger(), check)
    assert len(calls) == 3


def test_best_fit_takes_the_tightest_row() -> None:
    fit = BestFit(10)
    assert fit.place(np.zeros(4)) is None
    assert fit.place(np.zeros(7)) is None
    assert [len(s) for s in fit.place(np.zeros(3)) or []] == [7, 3]
    assert fit.rooms == [6]


def test_packing_wastes_little_on_real_lengths(tmp_path: Path) -> None:
    sizes = np.random.default_rng(0).integers(1, 64, 3000).tolist()
    made, ledger, _ = pack(tmp_path / "p", sizes)
    assert ledger.padding / (len(made) * 64) < 0.04


def test_order_is_a_function_of_data_seed_and_epoch() -> None:
    one = batch_order(100, 0, "ab" * 32, 0)
    assert (one == batch_order(100, 0, "ab" * 32, 0)).all()
    assert sorted(one) == list(range(100))
    for other in (batch_order(100, 1, "ab" * 32, 0), batch_order(100, 0, "cd" * 32, 0)):
        assert (one != other).any()
    assert (one != batch_order(100, 0, "ab" * 32, 1)).any()
