"""Repeated passages: planted shares are found as such, within and across documents."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from engine.quality import passages
from engine.quality.heldout_leaks import Leaks
from engine.quality.passages import Repeated
from engine.quality.shingles import words_of
from tests.engine.quality.test_contamination import prose


def measured(folder: Path, texts: list[str], dropped: tuple[int, ...] = ()) -> Repeated:
    leaks = Leaks(folder)
    for at in range(0, len(texts), 7):
        leaks.feed(words_of(texts[at : at + 7]))
    mask = np.zeros(len(texts), dtype=bool)
    mask[list(dropped)] = True
    found = leaks.repeated(mask)
    leaks.close()
    return found


def planted(share: float, inside: bool, documents: int = 60, words: int = 1000) -> list[str]:
    """Documents of which ``share`` of the words are passages of 100 words that came before."""
    rng = random.Random(0)
    texts, pool = [], [prose(100, 10_000 + n).split() for n in range(documents * 10)]
    fresh, used = iter(pool), []
    for _ in range(documents):
        mine: list[list[str]] = []
        for _ in range(words // 100):
            before = mine if inside else used
            again = bool(before) and rng.random() < share
            mine.append(rng.choice(before) if again else next(fresh))
        used += mine
        texts.append(" ".join(word for part in mine for word in part))
    return texts


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_planted_shares_are_found(tmp_path: Path, share: float, inside: bool) -> None:
    texts = planted(share, inside)
    words = [text.split() for text in texts]
    every = [tuple(one[at : at + 13]) for one in words for at in range(len(one) - 12)]
    found = measured(tmp_path, texts)
    assert found.everywhere == pytest.approx(1 - len(set(every)) / len(every), abs=0.02)
    # A run across a seam is new even where both passages came before: 12 in 100 are missed.
    assert 0.7 * share <= found.everywhere <= share + 0.02
    assert found.kept == found.everywhere


def test_a_near_duplicate_is_not_counted_twice(tmp_path: Path) -> None:
    texts = [prose(400, n) for n in range(20)]
    found = measured(tmp_path, [*texts, *texts[:5]], (20, 21, 22, 23, 24))
    assert found.everywhere == pytest.approx(0.2, abs=0.03)
    assert found.kept == 0


def test_a_large_corpus_is_sampled_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = planted(0.3, inside=False, documents=100)
    whole = measured(tmp_path, texts).everywhere
    monkeypatch.setattr(passages, "MOST", 3000)
    assert measured(tmp_path, texts).everywhere == pytest.approx(whole, abs=0.05)


def test_no_text_repeats_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path, ["", "three short words"]) == Repeated(0.0, 0.0)
