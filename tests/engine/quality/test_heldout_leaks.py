"""Leaks: held-out documents whose text training documents hold too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.quality.heldout_leaks import Leaks, is_sampled
from engine.quality.shingles import LONG, words_of
from tests.engine.quality.test_contamination import prose


def leaked(folder: Path, texts: list[str], heldout: list[int], batch: int = 4) -> list[int]:
    leaks = Leaks(folder)
    for at in range(0, len(texts), batch):
        leaks.feed(words_of(texts[at : at + batch]))
    mask = np.zeros(len(texts), dtype=bool)
    mask[heldout] = True
    documents, shared = leaks.leaked(mask, ~mask)
    for index in documents.tolist():
        grams, _ = words_of([texts[index]]).grams(LONG)
        assert np.isin(grams[is_sampled(grams)], shared).any()
    leaks.close()
    assert list(folder.iterdir()) == []
    return [int(index) for index in documents]


def test_contained_text_leaks(tmp_path: Path) -> None:
    texts = [prose(300, n) for n in range(20)]
    texts[10] = f"{prose(500, 90)} {texts[3]} {prose(500, 91)}"  # holds all of a held-out one
    texts[11] = f"{texts[4]} {prose(300, 92)}"
    assert leaked(tmp_path, texts, [3, 4, 5]) == [3, 4]
    assert leaked(tmp_path, texts, [11]) == [11]
    assert leaked(tmp_path, texts, [3, 10, 5]) == []


def test_a_shared_tenth_is_no_leak(tmp_path: Path) -> None:
    texts = [prose(300, n) for n in range(10)]
    texts[7] = f"{' '.join(texts[1].split()[:40])} {prose(300, 95)}"
    assert leaked(tmp_path, texts, [1]) == []


def test_wording_of_many_documents_is_no_leak(tmp_path: Path) -> None:
    common = prose(200, 500)
    texts = [f"{common} {prose(60, n)}" for n in range(40)]
    assert leaked(tmp_path, texts, [0, 1]) == []


@pytest.mark.parametrize("texts", [[], ["", ""], ["too short to say", "too short to say"]])
def test_nothing_to_compare(tmp_path: Path, texts: list[str]) -> None:
    assert leaked(tmp_path, texts, list(range(len(texts)))[:1]) == []


def test_one_gram_in_eight_is_kept() -> None:
    grams, _ = words_of([prose(20_000, 1)]).grams(LONG)
    assert is_sampled(grams).mean() == pytest.approx(1 / 8, abs=0.01)
