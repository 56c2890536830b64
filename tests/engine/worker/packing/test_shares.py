"""Shares of several sources: what the decision promises is what packing reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.scan import Scan
from engine.artifacts.training import PackArtifact
from engine.decision.mix_back import (
    MAX_REPEATS,
    plan_mix_back,
    take_domain,
    take_generic,
    wanted_tokens,
)
from engine.recipe.sections import Recipe
from engine.runs.event_log import EventLog
from engine.runs.run import create_run
from engine.worker.job.context import Context
from engine.worker.measure.scan import scan_texts
from engine.worker.packing.stage import pack_texts
from engine.worker.tokens.checks import open_stores
from tests import tiny
from tests.folders import resolved

LENGTH = 64
counts = st.lists(st.integers(0, 10**9), min_size=1, max_size=5)


@given(available=counts, wanted=st.integers(0, 10**9), even=st.booleans())
def test_no_source_gives_more_than_it_has(available: list[int], wanted: int, even: bool) -> None:
    shares = [1 / len(available)] * len(available) if even else None
    generic = take_generic(available, shares, wanted)
    domain = take_domain(available, shares, wanted)
    for have, much, own in zip(available, generic, domain, strict=True):
        assert 0 <= much <= MAX_REPEATS * have
        assert 0 <= own <= have + 1
    assert sum(generic) <= wanted + len(available)
    assert sum(domain) <= wanted + len(available)


def test_the_rarest_source_bounds_a_mixed_corpus() -> None:
    assert take_domain([100, 900], [0.5, 0.5], None) == [100, 100]
    assert take_domain([100, 900], [0.5, 0.5], 60) == [30, 30]
    assert take_domain([100, 900], None, None) == [100, 900]
    assert take_generic([10, 900], [0.5, 0.5], 200) == [40, 100]
    assert wanted_tokens(900, 0.1) == 100


def packed(
    folder: Path, model: Path, corpus: object, generic: object, mix: float
) -> tuple[PackArtifact, Scan, Recipe]:
    """The texts scanned and packed, as a run does."""
    recipe = Recipe.model_validate(
        {
            "model": {"id": str(model)},
            "corpus": corpus,
            "generic": generic,
            "pack": {"sequence_length": LENGTH, "mix_back": mix},
            "train": {"eval_tokens": 500},
        }
    )
    run = create_run("shares", "", folder / "home")
    context, base = Context(run, recipe, EventLog(run.events_path), stage="scan"), resolved(model)
    made = scan_texts(context, base)
    return pack_texts(context, base, *open_stores(made.stores)), made.scan, recipe


def source(folder: Path, seed: int, documents: int, **more: Any) -> dict[str, Any]:
    rows = [{"text": text} for text in tiny.documents(documents, seed, seed > 50)]
    return {"path": str(tiny.write_jsonl(folder / f"{seed}.jsonl", rows)), **more}


@pytest.mark.parametrize("thin", [False, True])
def test_the_promise_is_kept(tiny_model: Path, tmp_path: Path, thin: bool) -> None:
    """Two sources on each side, with plenty of generic text and with too little of one."""
    corpus = [source(tmp_path, 60, 60, share=0.25), source(tmp_path, 61, 60, share=0.75)]
    few = 3 if thin else 60
    generic = [source(tmp_path, 1, 60, share=0.5), source(tmp_path, 2, few, share=0.5)]
    made, scan, recipe = packed(tmp_path, tiny_model, corpus, generic, 0.3)
    plan = plan_mix_back(scan.domain, scan.generic, recipe)
    assert made.achieved_mix == pytest.approx(plan.achievable, abs=2 * LENGTH / made.tokens)
    assert (plan.achievable < 0.29) == thin
    one, two = made.domain_parts
    assert two == pytest.approx(3 * one, abs=3)
    assert made.generic_parts[0] == pytest.approx(plan.wanted / 2, abs=2)
    assert (made.generic_parts[1] < made.generic_parts[0] - 100) == thin
    assert [part.documents for part in scan.generic.parts] == [60, few]


def test_one_source_is_packed_as_ever(tiny_model: Path, tmp_path: Path) -> None:
    corpus, generic = source(tmp_path, 60, 60), source(tmp_path, 1, 60)
    alone, _, _ = packed(tmp_path, tiny_model, corpus, generic, 0.1)
    listed, _, _ = packed(tmp_path, tiny_model, [corpus], [generic], 0.1)
    assert alone.sha256 == listed.sha256
    assert alone.achieved_mix == pytest.approx(0.1, abs=LENGTH / alone.tokens)
    assert alone.generic_parts == []
