"""The benchmark of the evidence, in small: what it prints at length must hold at each commit."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests import tiny
from tests.benchmarks.evidence import Bench, judged, lines_of, planted, write_all, write_jsonl

CODE = "def f{n}(x):\n    if x > {n}:\n        return [x, {n}]\n    return None\n"
DOCUMENTS = {
    "prose": [f"{text}\n\nIt goes on." for text in tiny.documents(40, 3, size=60)],
    "code": ["".join(CODE.format(n=n + 100 * k) for k in range(5)) for n in range(40)],
    **lines_of(1, 100),
}
ONE_LENGTH = "hashes"
"""Strings of one length may be one string that was cut into lines, so a text file stays whole."""


@pytest.fixture(scope="module")
def bench(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("evidence")
    return Bench(folder, AutoTokenizer.from_pretrained(tiny_model))


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != ONE_LENGTH])
def test_a_corpus_is_the_same_in_every_kind_of_file(bench: Bench, name: str) -> None:
    texts = DOCUMENTS[name]
    paths = write_all(bench.folder / name, texts, not any("\n" in text for text in texts))
    found = {judged(bench, path) for path in paths}
    assert len(paths) == 5
    assert len(found) == 1
    assert next(iter(found))[1] == len(texts)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_effective_tokens_are_those_of_the_text_before_the_repeats(
    bench: Bench, share: float
) -> None:
    texts = tiny.documents(30, 8, size=900)
    path = bench.folder / f"{share}.jsonl"
    found = bench.scan(write_jsonl(path, planted(texts, share, inside=False)))
    assert found.quality
    assert found.quality.repeated_passages_share == pytest.approx(share, abs=0.06)
    assert found.effective_tokens == pytest.approx(bench.tokens(texts), rel=0.12)
