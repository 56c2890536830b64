"""The pilot's size: by recipe and corpus; what time forced is kept, and a replay uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.artifacts.probe import ProbeArtifact
from engine.recipe.sections import Recipe
from engine.recipe.toml import load_recipe, write_results
from engine.worker.measure.pilot import LEAST_TOKENS, fitting_tokens, replayed_tokens
from tests.engine.decision.decision_cases import pilot

TEXTS = ["domain text", "generic text"]
RAN = {"full_tokens": 25_000, "wanted_tokens": 100_000}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A recipe as a run leaves it whose pilot time had shrunk."""
    path = tmp_path / "recipe.toml"
    path.write_text('[model]\nid = "m"\n\n[corpus]\npath = "c"\n\n[probe]\nbudget_seconds = 60\n')
    probe = ProbeArtifact(pilot=pilot(0.1, 0.05, 0.2).model_copy(update=RAN))
    known = dict(zip(("corpus_sha256", "generic_sha256"), TEXTS, strict=True))
    known |= {"model_sha256": "model", "probe_seconds": 60}
    write_results(path, {"evidence": {"probe": probe.to_json()}, "provenance": known})
    return path


def kept(recipe: Recipe, model: str = "model", wanted: int = 100_000) -> int | None:
    return replayed_tokens(recipe, model, TEXTS, wanted)


def test_a_replay_uses_the_size_that_its_recipe_was_measured_with(written: Path) -> None:
    assert kept(load_recipe(written)[0]) == 25_000


def test_another_model_text_or_request_is_sized_anew(written: Path) -> None:
    recipe = load_recipe(written)[0]
    assert kept(recipe, model="another") is None
    assert kept(recipe, wanted=50_000) is None
    assert replayed_tokens(recipe, "model", ["other", TEXTS[1]], 100_000) is None
    more_time = recipe.probe.model_copy(update={"budget_seconds": 600})
    assert kept(recipe.model_copy(update={"probe": more_time})) is None
    assert kept(recipe.model_copy(update={"evidence": {"probe": {"pilot": 3}}})) is None


@pytest.mark.parametrize(
    ("seconds_per_token", "tokens"), [(0.0001, 100_000), (0.001, 50_000), (1.0, 6_250)]
)
def test_time_halves_the_size_until_it_fits(seconds_per_token: float, tokens: int) -> None:
    assert fitting_tokens(100_000, seconds_per_token, 60) == tokens
    assert tokens > LEAST_TOKENS
