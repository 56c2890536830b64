"""Near-duplicates: found by similarity whatever the order, groups are closed, memory is on disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.quality import near_duplicates
from engine.quality.near_duplicates import Clusters, Signatures
from engine.quality.shingles import words_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prose(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS, k=5)) for _ in range(count)]


def changed(words: list[str], places: int, seed: int) -> list[str]:
    """The words with so many of them replaced, evenly spread."""
    rng = random.Random(seed)
    words = list(words)
    for n in range(places):
        words[(2 * n + 1) * len(words) // (2 * places)] = "".join(rng.choices(LETTERS, k=7))
    return words


def cluster(folder: Path, texts: list[str], batch: int = 7) -> Clusters:
    signatures = Signatures(folder)
    for at in range(0, len(texts), batch):
        signatures.feed(words_of(texts[at : at + batch]))
    found = signatures.clusters()
    signatures.close()
    assert list(folder.iterdir()) == []
    return found


def jaccard(one: list[str], other: list[str]) -> float:
    sets = [{tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_similar_documents_are_grouped_and_others_not(tmp_path: Path) -> None:
    base = [prose(400, n) for n in range(60)]
    near = [changed(words, 4, n) for n, words in enumerate(base[:20])]
    far = [changed(words, 40, n) for n, words in enumerate(base[20:40])]
    assert jaccard(base[0], near[0]) > 0.88
    assert jaccard(base[20], far[0]) < 0.5
    found = cluster(tmp_path, [" ".join(words) for words in base + near + far])
    assert found.dropped.tolist() == list(range(60, 80))
    assert found.first[60:80].tolist() == list(range(20))
    assert (found.twin[60:80] == np.arange(20)).all()
    estimates = found.similarity[60:80]
    exact = [jaccard(base[n], near[n]) for n in range(20)]
    assert np.abs(estimates - exact).mean() < 0.05


def test_a_chain_is_one_group(tmp_path: Path) -> None:
    chain = [prose(400, 1)]
    for step in range(5):
        words, at = list(chain[-1]), 20 * step
        words[at : at + 20] = prose(20, 50 + step)
        chain.append(words)
    assert jaccard(chain[0], chain[5]) < 0.8
    found = cluster(tmp_path, [" ".join(words) for words in chain])
    assert found.first.tolist() == [0] * 6


def test_many_copies_cost_one_group(tmp_path: Path) -> None:
    base = prose(100, 3)
    found = cluster(tmp_path, [" ".join(changed(base, 1, n)) for n in range(500)], batch=50)
    assert len(np.unique(found.first)) == 1
    assert len(found.dropped) == 499


@pytest.mark.parametrize("texts", [[], [""], ["one two three"] * 3, ["", "a b c d", ""]])
def test_texts_without_a_shingle_have_no_twin(tmp_path: Path, texts: list[str]) -> None:
    found = cluster(tmp_path, texts)
    assert found.first.tolist() == list(range(len(texts)))
    assert found.dropped.tolist() == []


def test_documents_beyond_the_limit_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "MOST", 10)
    found = cluster(tmp_path, [" ".join(prose(50, 1))] * 14, batch=4)
    assert found.first.tolist() == [0] * 10 + [10, 11, 12, 13]


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 9))
def test_groups_do_not_depend_on_batches(copies: list[int], batch: int) -> None:
    import tempfile

    texts = [" ".join(prose(80, seed)) for seed in copies]
    with tempfile.TemporaryDirectory() as folder:
        found = cluster(Path(folder), texts, batch)
    assert found.first.tolist() == [copies.index(seed) for seed in copies]
