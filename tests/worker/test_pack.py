"""Packing: the ledger balances, nothing is lost, order is arithmetic, memory is flat."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.worker.loop import IGNORE
from engine.worker.pack import BestFit, Ledger, Pack, batch_order, write_pack

lengths = st.lists(st.integers(1, 64), min_size=1, max_size=120)


def pack(folder: Path, sizes: list[int], length: int = 64) -> tuple[Pack, Ledger, list[np.ndarray]]:
    """Pack numbered segments; token ids are unique, so that each can be found again."""
    starts = np.cumsum([0, *sizes])
    pieces = [np.arange(a, b) + 1 for a, b in itertools.pairwise(starts)]
    ledger = Ledger(documents=len(sizes), text_tokens=sum(sizes))
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
