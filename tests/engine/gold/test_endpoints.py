"""Prior-matched accuracy and ranking: what they forgive, and what they must not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from engine.artifacts.gate import SeedScores
from engine.errors import InputError
from engine.gold.classes import class_shares, shares_hash
from engine.gold.endpoints import answers_alike, arm_of, score_seed
from engine.gold.example import Example
from engine.gold.metrics import Answer, f1_values, source_weights
from engine.recipe.gate import Gate, spare_seed
from engine.stats.crossed_test import group_means
from engine.stats.prior_matching import prior_offsets
from engine.stats.ranking import ranking_values
from tests.label_world import Arm, Labels, Task

NAMES = ("alpha", "beta", "gamma")
BOTH = Gate.model_validate({"primary": "prior_matched", "ranking_share": 0.8})


def gold_of(truth: npt.NDArray[np.int64], groups: list[str] | None = None) -> list[Example]:
    """Items whose choices stand in another order each."""
    return [
        Example(
            f"p{number}",
            NAMES[k],
            NAMES[number % 3 :] + NAMES[: number % 3],
            label=NAMES[k],
            group=groups[number] if groups else "",
        )
        for number, k in enumerate(truth)
    ]


def answers_of(gold: list[Example], z: npt.NDArray[np.float64]) -> list[Answer]:
    return [
        Answer(tuple(float(row[NAMES.index(name)]) for name in example.choices), logprob=-1.0)
        for example, row in zip(gold, z, strict=True)
    ]


def likelihoods(
    count: int = 150, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    truth = np.sort(rng.choice(3, count, p=[0.5, 0.3, 0.2]))
    z = rng.normal(0, 1, (count, 3))
    z[np.arange(count), truth] += 1.5
    return truth, z


def test_a_label_offset_costs_nothing() -> None:
    truth, z = likelihoods()
    gold = gold_of(truth)
    fair = score_seed(gold, answers_of(gold, z), BOTH)
    biased = score_seed(gold, answers_of(gold, z + np.array([4.0, 0.0, -2.0])), BOTH)
    assert biased.raw is not None
    assert fair.raw is not None
    assert np.mean(biased.raw) < np.mean(fair.raw) - 0.1
    assert biased.scores == fair.scores
    assert biased.ranking == pytest.approx(fair.ranking)
    assert len(set(biased.answers)) == 3
    shares = [biased.answers.count(name) / len(gold) for name in NAMES]
    assert shares == pytest.approx(list(class_shares(gold).values()), abs=0.1)


def test_being_surer_earns_no_ranking() -> None:
    truth, z = likelihoods()
    gold = gold_of(truth)
    one = score_seed(gold, answers_of(gold, z), BOTH)
    two = score_seed(gold, answers_of(gold, 5 * z), BOTH)
    assert one.ranking == pytest.approx(two.ranking)
    assert abs(np.mean(one.scores) - np.mean(two.scores)) < 0.03


def test_offsets_bring_the_mean_probability_to_the_shares() -> None:
    _, z = likelihoods(400)
    shares, weights = np.array([0.5, 0.3, 0.2]), np.ones(400)
    z = 4 * (z + np.array([3.0, 0, -3]))
    moved = z + prior_offsets(z, shares, weights)
    odds = np.exp(moved - moved.max(axis=1, keepdims=True))
    assert (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0) == pytest.approx(shares, abs=0.01)
    none = prior_offsets(z, np.array([0.6, 0.4, 0.0]), weights)
    assert none[2] == -np.inf
    assert not np.isnan(none).any()


def test_ranking_is_the_macro_auc_of_sklearn() -> None:
    from sklearn.metrics import roc_auc_score

    truth, z = likelihoods()
    z = z.round(1)  # with ties
    centred = z - z.mean(axis=1, keepdims=True)
    expected = [roc_auc_score(truth == k, centred[:, k]) for k in range(3)]
    values = ranking_values(z[None], truth, np.ones(len(truth)))
    assert values is not None
    assert values.mean() == pytest.approx(np.mean(expected))
    few = np.array([0] * 141 + [1] * 9)
    assert ranking_values(z[None, :, :2], few, np.ones(150)) is None


def test_jackknife_values_of_ranking_have_its_standard_error() -> None:
    """The values' spread against 400 fresh gold sets: within a sixth."""
    world = Labels(items=200, rest=0.5)
    means, errors = [], []
    for seed in range(400):
        values = np.asarray(Arm(Task(world, 7, seed), 0).tables(1, True, True).ranking)
        means.append(values.mean())
        errors.append(values.std(ddof=1) / np.sqrt(200))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=1 / 6)


def test_sources_weigh_one_each_in_every_endpoint() -> None:
    """A source repeated ten times changes no score's mean over sources."""
    truth, z = likelihoods(60)
    names = [f"s{number}" for number in range(60)]
    again = np.concatenate([np.arange(60), np.repeat(7, 10)])
    for metric in ("choice", "macro_f1"):
        gate = BOTH.model_copy(update={"metric": metric})
        means = []
        for places in (np.arange(60), again):
            gold = gold_of(truth[places], [names[place] for place in places])
            found = score_seed(gold, answers_of_places(gold, z, places), gate)
            tables = [found.scores, found.raw, found.ranking]
            groups = [example.group for example in gold]
            means.append([group_means([table], groups).mean() for table in tables if table])
        assert means[0] == pytest.approx(means[1])


def answers_of_places(
    gold: list[Example], z: npt.NDArray[np.float64], places: npt.NDArray[np.int64]
) -> list[Answer]:
    return answers_of(gold, z[places])


def test_weighted_macro_f1_is_the_f1_of_the_weighted_items() -> None:
    truth, found = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    doubled = f1_values([*truth, "a"], [*found, "a"], [0.5, 1, 1, 1, 0.5])
    assert doubled[0] == pytest.approx(f1_values(truth, found)[0])
    assert np.average(doubled, weights=[0.5, 1, 1, 1, 0.5]) == pytest.approx(
        np.mean(f1_values(truth, found))
    )


def test_an_arm_is_scored_anew_from_what_its_seeds_kept() -> None:
    truth, z = likelihoods()
    gold = gold_of(truth)
    kept = []
    for number, seed in enumerate((0, 1)):
        answers = answers_of(gold, z + number)
        tables = score_seed(gold, answers, BOTH)
        kept.append(
            SeedScores(
                scores=tables.scores,
                logprobs=[-1.0] * len(gold),
                likelihoods=[list(answer.likelihoods) for answer in answers],
                trained_seed=spare_seed(seed) if number else seed,
                steps=40,
            )
        )
    arm = arm_of([0, 1], kept, gold, BOTH)
    assert (arm.replaced, arm.steps, arm.constant) == ([1], 40, [])
    assert arm.scores == [one.scores for one in kept]
    assert len(arm.raw) == len(arm.ranking) == 2
    raw = arm_of([0, 1], kept, gold, Gate())
    assert (raw.raw, raw.ranking) == ([], [])
    assert raw.scores == arm.raw
    old = [one.model_copy(update={"likelihoods": []}) for one in kept]
    assert arm_of([0, 1], old, gold, Gate()).scores == arm.scores
    with pytest.raises(InputError, match="no likelihoods of the choices"):
        arm_of([0, 1], old, gold, BOTH)


def test_answers_alike_are_counted_after_matching() -> None:
    truth, z = likelihoods()
    gold = gold_of(truth)
    assert answers_alike(gold, answers_of(gold, z + np.array([9.0, 0, 0]))) < 0.7
    flat = np.tile([5.0, 0.0, 0.0], (150, 1))
    assert answers_alike(gold, answers_of(gold, flat)) == 1.0
    words = [Answer(text="same")] * 10
    assert answers_alike([Example("p", "c")] * 10, words) == 1.0


def test_items_of_their_own_choices_stay_raw() -> None:
    gold = [Example(f"p{n}", f"a{n}", (f"a{n}", f"b{n}")) for n in range(4)]
    found = score_seed(gold, [Answer((1.0, 0.0))] * 4, BOTH)
    assert (found.raw, found.ranking, found.scores) == (None, None, [1.0] * 4)
    assert class_shares(gold) == {}
    nan = gold_of(np.array([0, 1, 2] * 20))
    with pytest.raises(InputError, match="gold item 1 is not a finite number"):
        score_seed(nan, [Answer((float("nan"), 0.0, 0.0))] * 60, BOTH)
    thin = gold_of(np.array([0, 1, 2] * 3))
    with pytest.raises(InputError, match="no class has 10 gold items"):
        score_seed(thin, [Answer((0.0, 0.0, 0.0))] * 9, BOTH)


def test_class_shares_are_hashed_for_the_registration() -> None:
    truth, _ = likelihoods()
    gold = gold_of(truth)
    assert shares_hash(gold) == shares_hash(gold[::-1])
    assert shares_hash(gold) != shares_hash(gold[1:])
    assert sum(class_shares(gold).values()) == pytest.approx(1)
    assert all(one >= two for one, two in pairwise(class_shares(gold).values()))
    assert source_weights(gold_of(truth[:3], ["a", "a", "b"])) == [0.5, 0.5, 1.0]
