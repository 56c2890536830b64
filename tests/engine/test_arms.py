"""More arms beside the verdict: what each comparison says, on tables with a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.arms import ArmRow, ArmsResult, Kind, steps_of, summed
from engine.errors import InputError
from engine.gate import judge
from engine.gate_verdict import GateVerdict
from engine.recipe import Arms, Gate
from engine.recipe_io import load_recipe, validate
from engine.thresholds import effective
from tests import gate_world

LIMITS = effective({})
GATE = Gate.model_validate({})


def table(values: Any) -> list[list[float]]:
    found: list[list[float]] = np.asarray(values).tolist()
    return found


def row(
    name: str, kind: Kind, values: Any, seeds: list[int] | None = None, rise: float = 0.0
) -> ArmRow:
    return ArmRow(
        name=name,
        kind=kind,
        tokens=1000,
        seeds=seeds or list(GATE.seeds),
        per_item=table(values),
        score=round(100 * float(np.mean(values)), 4),
        lr=1e-4,
        generic_rise=rise,
        guard="green",
    )


def arms(gain: float, control: float, seed: int = 0) -> tuple[Any, Any, Any]:
    """Base, CPT and control on the same 400 items; gains in points."""
    rng = np.random.default_rng(seed)
    item = gate_world.items_of(rng, 400)
    base, cpt, other = (
        gate_world.arm(rng, item, 5, 1.0, points, 0.2) for points in (0.0, gain, control)
    )
    return base, cpt, other


def judged(rows: list[ArmRow], base: Any, cpt: Any) -> tuple[GateVerdict, ArmsResult]:
    verdict = judge(base, cpt, GATE, 0.0, LIMITS)
    return verdict, summed(rows, table(base), table(cpt), verdict, GATE, LIMITS, None)


def test_a_gain_that_other_text_does_not_give_comes_from_the_corpus() -> None:
    base, cpt, other = arms(gain=12, control=0)
    verdict, found = judged([row("control", "control", other)], base, cpt)
    assert verdict.outcome == "EARNED"
    assert "comes from this corpus, not from more training alone" in found.sentences[0]
    (control,) = found.rows
    assert control.cpt_over is not None
    assert control.over_base is not None
    assert control.cpt_over.low > 0 > control.over_base.low
    assert control.cpt_over.estimate + control.over_base.estimate == pytest.approx(verdict.estimate)


def test_a_gain_that_any_text_gives_is_not_the_corpus() -> None:
    base, cpt, other = arms(gain=12, control=12)
    _, found = judged([row("control", "control", other)], base, cpt)
    assert "more training of any kind may be what earned it" in found.sentences[0]


def test_other_text_that_does_better_is_said() -> None:
    base, cpt, other = arms(gain=0, control=12)
    _, found = judged([row("control", "control", other)], base, cpt)
    assert "other text does better than this corpus" in found.sentences[0]


def test_a_tie_claims_no_gain() -> None:
    base, cpt, other = arms(gain=0, control=-12)
    verdict, found = judged([row("control", "control", other)], base, cpt)
    assert verdict.outcome == "TIE"
    assert "the gain" not in found.sentences[0]


def test_checkpoints_tell_what_the_rest_of_training_paid() -> None:
    base, cpt, early = arms(gain=15, control=3)
    _, found = judged([row("25%", "checkpoint", early), row("75%", "checkpoint", cpt)], base, cpt)
    assert "the rest of training paid" in found.sentences[0]
    assert "no difference is shown" in found.sentences[1]
    assert "another try" in found.sentences[1]


def test_the_arms_are_corrected_among_themselves() -> None:
    base, cpt, other = arms(gain=6, control=2, seed=3)
    names = [f"{share}%" for share in (10, 20, 30, 40)]
    _, one = judged([row("10%", "checkpoint", other)], base, cpt)
    _, four = judged([row(name, "checkpoint", other) for name in names], base, cpt)
    single, among = one.rows[0].cpt_over, four.rows[0].cpt_over
    assert single is not None
    assert among is not None
    assert among.p_value == single.p_value
    assert among.p_adjusted == pytest.approx(min(1.0, 4 * single.p_value))


def runs(spread: float, seed: int) -> tuple[Any, Any, list[ArmRow]]:
    """Base, the judged checkpoint, and a run for each seed whose gain varies by ``spread``."""
    rng = np.random.default_rng(seed)
    item = gate_world.items_of(rng, 400)
    gains = rng.normal(4, spread, 5)
    base = gate_world.arm(rng, item, 5, 1.0, 0, 0.2)
    tables = [gate_world.arm(rng, item, 5, 1.0, gain, 0.2) for gain in gains]
    rows = [row(f"seed {s}", "seed", tables[s][s : s + 1], [s], rise=0.1) for s in range(1, 5)]
    return base, tables[0], rows


def test_the_recipes_verdict_has_one_training_run_behind_each_seed() -> None:
    base, cpt, rows = runs(spread=0.0, seed=1)
    _, found = judged(rows, base, cpt)
    assert found.recipe is not None
    expected = [float(100 * np.mean(cpt[0])), *(r.score for r in rows)]
    assert found.recipe.cpt_scores == pytest.approx(expected, abs=1e-3)
    assert "speaks for the recipe" in found.recipe.sentence
    assert found.sentences[-1] == f"For the recipe: {found.recipe.sentence}"
    assert found.recipe.generic_rise == pytest.approx(0.08)
    assert found.recipe.guard == "red"


def test_runs_that_differ_widen_the_recipes_interval() -> None:
    """What one checkpoint cannot show: its verdict is sure, the recipe's is not."""
    widths: dict[float, list[tuple[float, float]]] = {0.0: [], 8.0: []}
    for spread, seen in widths.items():
        for seed in range(20):
            base, cpt, rows = runs(spread, seed)
            verdict, found = judged(rows, base, cpt)
            assert found.recipe is not None
            seen.append((verdict.high - verdict.low, found.recipe.high - found.recipe.low))
    same, other = (np.median([b / a for a, b in widths[spread]]) for spread in (0.0, 8.0))
    assert same < 1.3
    assert other > 1.8


def test_shares_become_steps_of_the_run() -> None:
    assert steps_of([0.25, 0.5], 10) == {2: 0.25, 5: 0.5}
    assert steps_of([0.01], 10) == {1: 0.01}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[arms]\ncheckpoints = [0.5, 0.5]", "differ from each other"),
        ("[arms]\ncheckpoints = [1.0]", "less than 1"),
        ("[arms]\ncpt_seeds = true\n[vocab]\nextend = true\nfirst_run = 'x'", "does not go with"),
        ("[arms.control]\npath = 'x'\ntypo = 1", "unknown key"),
    ],
)
def test_arms_that_cannot_be_are_refused(text: str, words: str) -> None:
    from engine.recipe_io import parse_toml

    text = f'[model]\nid = "m"\n[corpus]\npath = "c"\n{text}\n'
    with pytest.raises(InputError, match=words):
        validate(parse_toml(text, "r"), text, "r")


def test_a_controls_path_belongs_to_the_recipes_folder(tmp_path: Any) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[model]\nid = "m"\n[corpus]\npath = "c"\n[arms.control]\npath = "other"\n')
    recipe, _ = load_recipe(path)
    assert recipe.arms.control is not None
    assert recipe.arms.control.path == str(tmp_path / "other")
    assert recipe.arms.asked
    assert not Arms.model_validate({}).asked
