"""The gate's SFT probe: its rate, its seeds, stops and resumes that change no number."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.artifacts.gate import ArmRate
from engine.errors import InputError, Interrupted
from engine.gold.draws import SftRows
from engine.gold.example import Example
from engine.recipe import sections as recipes
from engine.recipe.gate import Sft
from engine.runs.event_log import EventLog
from engine.runs.events import Alarm, ArmSeed, Progress, read_all
from engine.runs.run import create_run
from engine.worker.gate.arm import SftArm, TrainedProbe
from engine.worker.gate.sft import Tuner, dev_split
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.fast_paths import enable_fast_paths
from engine.worker.scoring import generate, likelihood
from engine.worker.scoring.examples import Encoder, cut_by_context
from engine.worker.scoring.self_check import examine
from tests.engine.worker.scoring.test_gold import FP32, items
from tests.tiny import WORDS


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> models.Base:
    return models.resolve(recipes.Model(id=str(tiny_model)))


def arm(base: models.Base, folder: Path, metric: str = "choice", **probe: Any) -> SftArm:
    run = create_run("arm", "", folder)
    recipe = recipes.Recipe.model_validate(
        {
            "model": {"id": "x"},
            "corpus": {"path": "y"},
            "gate": {
                "metric": metric,
                "seeds": [3, 4],
                "why_fewer_seeds": "a test",
                "probe": {"lr": 1e-3, "batch": 4, "epochs": 1, "why_unlearnt": "a test", **probe},
            },
        }
    )
    context = Context(run, recipe, EventLog(run.events_path), stage="baseline")
    model = models.load(base)
    enable_fast_paths(model, examine(model, base, FP32))
    sft = SftRows(items(12), 12)
    return SftArm(context, base, "base", model, FP32, sft, items(9), "fingerprint")


def again(one: SftArm) -> SftArm:
    """The same arm in a new worker of the same run."""
    context = Context(one.context.run, one.context.recipe, one.context.log, stage="baseline")
    model, sft, gold = one.model, one.sft, one.gold
    return SftArm(context, one.base, "base", model, FP32, sft, gold, one.fingerprint)


def stop_at(one: SftArm, forward: int, patch: pytest.MonkeyPatch) -> None:
    """A stop is asked for at this forward pass of the scoring of the second seed."""
    begun, passes = one._trained, [0]

    def trained(seed: int, trained: int, lr: float) -> TrainedProbe | None:
        probe = begun(seed, trained, lr)
        assert probe is not None
        if seed == 4:

            def count(*_: Any) -> None:
                passes[0] += 1
                if passes[0] == forward:
                    one.context._on_signal(signal.SIGTERM, None)

            probe.model.get_decoder().register_forward_hook(count)  # type: ignore[operator]
        return probe

    patch.setattr(one, "_trained", trained)


def kept(one: SftArm) -> list[str]:
    return sorted(p.name for p in (one.context.run.path / "artifacts" / "arms").iterdir())


def test_a_diverging_arm_names_itself(base: models.Base, tmp_path: Path) -> None:
    """Weights far too large: the first loss is finite, its update is not survived."""
    diverging = arm(base, tmp_path, lr=1.0)
    with torch.no_grad():
        for parameter in diverging.model.parameters():
            parameter.mul_(1e18)
    with pytest.raises(InputError) as caught:
        diverging.result()
    for part in ("base arm", "seed 3", "learning rate 1", "gate.probe.lr"):
        assert part in str(caught.value)
    assert not (diverging.context.run.path / "artifacts" / "arms").exists()


@pytest.mark.parametrize(
    ("metric", "method"), [("choice", "full"), ("choice", "lora"), ("token_f1", "full")]
)
def test_a_stopped_arm_goes_on_at_its_batch_with_the_same_numbers(
    base: models.Base, tmp_path: Path, metric: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finished seed, the trained probe and its scored batches are kept; nothing differs."""
    monkeypatch.setattr(likelihood, "SCORE_TOKENS", {"cpu": 50, "cuda": 50})
    monkeypatch.setattr(generate, "BATCH", 4)
    whole = arm(base, tmp_path / "whole", metric, method=method, rank=2).result()
    stopped = arm(base, tmp_path / "stopped", metric, method=method, rank=2)
    stop_at(stopped, 3 if metric == "choice" else 12, monkeypatch)
    with pytest.raises(Interrupted):
        stopped.result()
    assert kept(stopped) == ["base-3.json", "base-4.answers.jsonl", "base-4.safetensors"]
    scored = (stopped.files.folder / "base-4.answers.jsonl").read_text().splitlines()
    assert scored

    def never(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Tuner, "train", never)
    resumed = again(stopped)
    passes = [0]
    hook = likelihood._batch
    monkeypatch.setattr(
        likelihood, "_batch", lambda *a: (passes.__setitem__(0, passes[0] + 1), hook(*a))[1]
    )
    found = resumed.result()
    assert found.scores.tolist() == whole.scores.tolist()
    assert found.logprobs.tolist() == whole.logprobs.tolist()
    assert [one.answers for one in found.kept] == [one.answers for one in whole.kept]
    phases = {json.loads(line)[1] for line in scored}
    assert ("texts" in phases) == (metric != "choice")
    if metric != "choice":
        assert passes == [0], "all log-probabilities had been kept"
    assert kept(stopped) == ["base-3.json", "base-4.json"]


def test_torn_and_foreign_answers_are_done_again(base: models.Base, tmp_path: Path) -> None:
    whole = arm(base, tmp_path / "a").result()
    torn = arm(base, tmp_path / "b")
    path = torn.files.answers("3").path
    path.write_text(
        json.dumps(["another", "choices", [[0, [0.0, 9.0, 9.0]]]])
        + "\n"
        + '["fingerprint", "choices", [[0, [0.0, 9.'
    )
    assert torn.result().logprobs.tolist() == whole.logprobs.tolist()


def test_what_is_cut_or_cannot_be_scored_is_said_before_training(
    base: models.Base, tmp_path: Path
) -> None:
    long = Example("p", " " + " ".join(WORDS * 20))
    told = arm(base, tmp_path, "exact_match")
    told.gold.append(long)
    with pytest.raises(InputError, match="1 of 10 gold completions"):
        told.result()
    tall = Example(long.completion, " river")
    cuts = cut_by_context(Encoder(base), [*items(3), tall], [*items(12), long])
    assert cuts.overlong_share == 1 / 4
    assert [line.split(" do not")[0] for line in cuts.remarks] == [
        "1 of 4 gold prompts",
        "1 of 13 SFT completions",
    ]


# --- the rate -----------------------------------------------------------------------------


def taught(count: int) -> list[Example]:
    """Items a rate can be told by: one answer to each of three prompts."""
    return [
        Example(f"{WORDS[n % 3]} {n} is", (" river", " stone", " rain")[n % 3])
        for n in range(count)
    ]


def test_each_seed_takes_the_rate_of_least_dev_loss(base: models.Base, tmp_path: Path) -> None:
    chooser = arm(base, tmp_path, lr=None, lrs=[1e-6, 3e-3], batch=16)
    chooser.sft = SftRows(taught(80), 80)
    found = chooser.result()
    first = found.kept[0].rate
    assert first is not None
    losses = {one.lr: one.loss for one in first.grid or []}
    train, dev = dev_split(chooser.sft.pool)
    assert found.rate.lr == min(losses, key=losses.__getitem__) != 1e-6
    assert found.rate.dev_examples == len(dev) == 16
    model = chooser.tuner.begin(chooser.model, 3)
    chooser.tuner.train(model, train, 3e-3, 3, lambda share: None, plan=found.plan)
    assert losses[3e-3] == chooser.tuner.loss(model, dev)
    seeds = [e for e in read_all(chooser.context.run.events_path) if isinstance(e, ArmSeed)]
    assert [e.lr for e in seeds] == [one.lr for one in found.kept]
    totals = {e.total for e in read_all(chooser.context.run.events_path) if isinstance(e, Progress)}
    assert totals == {2}


def test_a_rate_is_not_chosen_twice(
    base: models.Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = arm(base, tmp_path, lr=None, lrs=[1e-4, 1e-3])
    first.sft = SftRows(taught(40), 40)
    rate = first._rate(3)
    monkeypatch.setattr(Tuner, "train", lambda *_: pytest.fail("a dev trial was repeated"))
    assert again(first)._rate(3) == rate


def test_a_diverging_rate_is_not_taken(base: models.Base, tmp_path: Path) -> None:
    one = arm(base, tmp_path, lr=None, lrs=[1e-4, 1.0], epochs=8)
    one.sft = SftRows(taught(40), 40)
    with torch.no_grad():
        for parameter in one.model.parameters():
            parameter.mul_(1e18)
    with pytest.raises(InputError, match="diverged with every rate"):
        one._rate(3)


def test_the_edge_of_the_grid_is_said(base: models.Base, tmp_path: Path) -> None:
    one = arm(base, tmp_path, lr=None, lrs=[1e-7, 1e-6])
    one.sft = SftRows(taught(40), 40)
    assert one._rate(3).lr == 1e-6
    notes = [e.message for e in read_all(one.context.run.events_path) if isinstance(e, Alarm)]
    assert any("the highest of the grid" in message for message in notes)


def test_too_few_examples_choose_nothing(base: models.Base, tmp_path: Path) -> None:
    one = arm(base, tmp_path, lr=None, lrs=[1e-5, 1e-4, 1e-3])
    assert one._rate(3) == ArmRate(lr=1e-4)
    assert "too few to choose" in one.context.run.events_path.read_text()


def test_a_pinned_default_rate_and_one_way_to_say_a_rate() -> None:
    made = Sft.model_validate
    assert made({}).rates == (5e-5,)
    assert made({"method": "lora"}).rates == (1e-4,)
    assert made({"lr": 1e-3}).rates == (1e-3,)
    assert made({"lrs": [1e-3, 1e-4]}).rates == (1e-4, 1e-3)
    for wrong in ({"lr": 1e-3, "lrs": [1e-3, 1e-4]}, {"lrs": [1e-3, 1e-3]}, {"lrs": [1e-3]}):
        with pytest.raises(ValueError):
            made(wrong)


def test_the_dev_split_keeps_groups_together_and_is_no_matter_of_order() -> None:
    examples = [Example(f"p {n}", " c", group=f"g {n // 4}") for n in range(200)]
    train, dev = dev_split(examples)
    assert 40 <= len(dev) < 44
    assert not {e.group for e in train} & {e.group for e in dev}
    assert set(dev_split(examples[::-1])[1]) == set(dev)
    assert dev_split(examples[:39]) == (examples[:39], [])
    assert len(dev_split([Example(str(n), "c") for n in range(4000)])[1]) == 200


def test_seeds_vary_the_order_and_the_adapters(base: models.Base, tmp_path: Path) -> None:
    one = arm(base, tmp_path, method="lora", rank=2)
    found = [one.tuner.begin(one.model, seed) for seed in (3, 4, 3)]
    weights = [
        np.concatenate([p.detach().numpy().ravel() for p in models.trainable(m)]) for m in found
    ]
    assert np.array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], weights[1])
    logprobs = one.result().logprobs
    assert not np.array_equal(logprobs[0], logprobs[1])
