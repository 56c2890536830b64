"""The arms of the speed table do the same work: their numbers are equal, whatever their times."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.nn.functional as F
from transformers import AutoTokenizer

from engine.corpus.corpus import Corpus
from engine.recipe.sections import Source
from engine.worker.tokens import encoder
from engine.worker.tokens.unique_documents import Reading
from tests import tiny
from tests.benchmarks.speed import (
    BARE,
    BEFORE,
    OURS,
    attention_arms,
    compare,
    head_arms,
    step_arms,
    table,
    token_arms,
)


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no fused head")
def test_the_arms_of_each_row_are_equal(tiny_model: Path) -> None:
    rows = [
        compare("head", head_arms(300, 512, 32), 1),
        compare("attention", attention_arms(64, 16, (4, 2, 8)), 1),
        compare("step", step_arms(tiny_model, 2, 64), 1),
    ]
    for row in rows:
        assert set(row.seconds) >= {OURS, BEFORE, BARE}
        assert row.apart < 1e-5, row
    assert table(rows).count("\n") == 2 + sum(len(row.ratios) for row in rows)


def test_the_arms_of_the_tokens_are_equal(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "FIRST", 5_000)
    rows = [{"text": text} for text in tiny.documents(60, 2)]
    corpus = Corpus(Source(path=str(tiny.write_jsonl(tmp_path / "c.jsonl", rows))))
    batches = list(Reading(corpus).batches()) * 2
    row = compare("tokens", token_arms(batches, AutoTokenizer.from_pretrained(tiny_model)), 1)
    assert set(row.seconds) == {OURS, BEFORE, BARE}
    assert row.apart == 0
