"""The probe trains until it has learnt; what has not is replaced; what is known is not redone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.artifacts.gate import SeedScores
from engine.gate.looks import too_many_replaced
from engine.gold.draws import GateItems, SftRows
from engine.gold.endpoints import arm_of
from engine.recipe import sections as recipes
from engine.recipe.gate import spare_seed
from engine.runs.events import Alarm, Facts, read_all
from engine.worker.gate.base_cache import ArmCache, base_cache
from engine.worker.gate.sft import Trained, Tuner
from engine.worker.model import base as models
from engine.worker.model.fast_paths import paths_of
from engine.worker.scoring.examples import cheapest_row, pack_examples
from tests.engine.worker.gate.test_arm import again, arm, taught
from tests.engine.worker.scoring.test_gold import FP32, items


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> models.Base:
    return models.resolve(recipes.Model(id=str(tiny_model)))


LEARNS: dict[str, Any] = {"lr": 2e-2, "epochs": None, "most_epochs": 12, "why_unlearnt": ""}


def learning(base: models.Base, folder: Path, **probe: Any) -> Any:
    one = arm(base, folder, **{**LEARNS, **probe})
    one.sft = SftRows(taught(24), 24)
    return one


def test_the_first_seed_finds_the_length_and_all_seeds_take_it(
    base: models.Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Trained] = []
    train = Tuner.train

    def watched(*given: Any, **named: Any) -> Trained:
        done.append(train(*given, **named))
        return done[-1]

    monkeypatch.setattr(Tuner, "train", watched)
    one = learning(base, tmp_path)
    found = one.result()
    assert found.plan.why in ("learnt", "flat", "cap")
    assert found.plan.hold is not None
    assert len(done) == 2, "finding the length is the first seed's own training"
    assert [len(trained.losses) for trained in done] == [found.plan.steps] * 2
    assert {kept.steps for kept in found.kept} == {found.plan.steps}
    assert all(kept.sft_loss is not None for kept in found.kept)
    assert "probe length" in one.context.run.events_path.read_text()
    other = again(one)
    other.plan = found.plan
    other.name = "cpt"
    assert other.result().plan == found.plan
    assert [len(trained.losses) for trained in done] == [found.plan.steps] * 4


def test_likelihoods_of_all_choices_give_the_scores_again(
    base: models.Base, tmp_path: Path
) -> None:
    one = arm(base, tmp_path)
    found = one.result()
    again_scored = arm_of([3, 4], found.kept, one.gold, one.gate)
    assert again_scored.scores == found.scores.tolist()
    for kept in found.kept:
        assert np.array(kept.likelihoods).shape == (9, 3)
    text = one.files._path("3.json").read_text()
    assert len(text.splitlines()) < 80, "a table is one line, not one line a number"


def test_a_seed_that_has_taught_nothing_is_replaced_once(base: models.Base, tmp_path: Path) -> None:
    one = learning(base, tmp_path, lr=1e-9, most_epochs=2)
    found = one.result()
    assert [kept.trained_seed for kept in found.kept] == [spare_seed(3), spare_seed(4)]
    scored = arm_of([3, 4], found.kept, one.gold, one.gate)
    assert scored.replaced == [3, 4]
    assert "does not learn" in too_many_replaced(scored)
    alarms = [e.message for e in read_all(one.context.run.events_path) if isinstance(e, Alarm)]
    assert sum("taught nothing" in message for message in alarms) == 2
    argued = learning(base, tmp_path / "b", lr=1e-9, most_epochs=2, why_unlearnt="a test")
    assert [kept.trained_seed for kept in argued.result().kept] == [3, 4]


def test_what_another_run_scored_is_taken_from_the_cache(
    base: models.Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = learning(base, tmp_path / "a")
    one.cache = ArmCache(tmp_path / "cache")
    first = one.result()
    monkeypatch.setattr(Tuner, "train", lambda *_, **__: pytest.fail("trained again"))
    other = learning(base, tmp_path / "b")
    other.cache = ArmCache(tmp_path / "cache")
    second = other.result()
    assert second.kept == first.kept
    assert second.plan == first.plan
    facts = [e.facts for e in read_all(other.context.run.events_path) if isinstance(e, Facts)]
    assert {"base arm": "its seeds are known from an earlier run"} in facts
    broken = tmp_path / "cache" / "4.json"
    broken.write_text(broken.read_text().replace("0.", "1.", 1))
    assert other.cache.read("4", SeedScores) is None


def test_the_cache_tells_what_an_arm_is_made_of(
    base: models.Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    one = arm(base, tmp_path)
    both, paths = GateItems(SftRows(items(12), 12), items(9)), paths_of(one.model)

    def key(**changed: Any) -> str:
        gate = one.gate.model_copy(update=changed)
        return base_cache(base, both, gate, FP32, paths).folder.name

    same = key()
    assert key(seeds=[3, 4, 5], alpha=0.01, margin=4.0) == same
    assert key(seeds=[4, 3]) != same, "the first seed finds the length"
    assert key(probe=one.gate.probe.model_copy(update={"lr": 2e-3})) != same
    assert key(template="chat") != same
    fewer = GateItems(both.sft, both.gold[:-1])
    assert base_cache(base, fewer, one.gate, FP32, paths).folder.name != same


def test_rows_are_as_long_as_the_batch_needs() -> None:
    """Less padding, the same examples: nothing else of a step changes."""
    rng = np.random.default_rng(0)
    for width in (32, 576):
        sizes = rng.integers(20, 60, 16).tolist()
        length = cheapest_row(sizes, 1024, width)
        pairs = [np.zeros(size, dtype=[("id", np.int64), ("label", np.int64)]) for size in sizes]
        for pair in pairs:
            pair["label"] = 7
        new, old = pack_examples(pairs, length, 0), pack_examples(pairs, 256, 0)
        assert new.targets == old.targets
        assert new.ids.size <= 1.2 * sum(sizes)
        assert max(sizes) <= length <= 1024
    assert cheapest_row([90, 10], 64, 32) == 64
