"""More arms beside the verdict: what each comparison says, on tables with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.artifacts.arms import ArmRow, ArmsResult, Kind
from engine.artifacts.gate import GateVerdict
from engine.artifacts.record import Interval
from engine.errors import InputError
from engine.gate.arms import Judged, compare_arms, steps_of
from engine.gate.judge import judge
from engine.recipe.sections import Arms
from engine.recipe.toml import load_recipe, parse_toml, validate
from engine.thresholds import effective
from tests import gate_world
from tests.gate_world import FIXED

LIMITS = effective({})
GATE = FIXED


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


def judged(
    rows: list[ArmRow],
    base: Any,
    cpt: Any,
    rise: Interval | float | None = 0.0,
    missing: dict[str, str] | None = None,
    contaminated: tuple[int, ...] = (),
) -> tuple[GateVerdict, ArmsResult]:
    verdict = judge(base, cpt, GATE, rise, LIMITS)
    terms = Judged(table(base), table(cpt), verdict, GATE, LIMITS, None, contaminated)
    return verdict, compare_arms(rows, terms, missing or {})


def test_a_gain_that_other_text_does_not_give_comes_from_the_corpus() -> None:
    base, cpt, other = arms(gain=12, control=-5)
    verdict, found = judged([row("control", "control", other)], base, cpt)
    assert verdict.outcome == "EARNED"
    assert "comes from this corpus, not from more training alone" in found.sentences[0]
    (control,) = found.rows
    assert control.cpt_over is not None
    assert control.over_base is not None
    assert control.cpt_over.low > 0 > control.over_base.low
    assert control.minus_base == pytest.approx(control.over_base.estimate)
    assert control.cpt_over.estimate + control.over_base.estimate == pytest.approx(verdict.estimate)


def test_a_gain_that_any_text_gives_is_not_the_corpus() -> None:
    base, cpt, other = arms(gain=12, control=12)
    _, found = judged([row("control", "control", other)], base, cpt)
    assert "more training of any kind may be what earned it" in found.sentences[0]


def test_a_gain_that_other_text_gives_in_part_is_shared_out() -> None:
    """Most of it comes with any text: what is left is the corpus's, and no more is claimed."""
    base, cpt, other = arms(gain=20, control=12, seed=1)
    _, found = judged([row("control", "control", other)], base, cpt)
    (control,) = found.rows
    assert control.cpt_over is not None
    assert control.over_base is not None
    own, shared = control.cpt_over.estimate, control.over_base.estimate
    said = f"of the gain, {own:.1f} points are this corpus's and {shared:.1f} come with any text"
    assert said in found.sentences[0]
    assert "not from more training alone" not in found.sentences[0]


def test_a_control_that_may_give_a_part_is_not_taken_for_none() -> None:
    """Absence of evidence: its interval reaches far above the margin."""
    base, cpt, other = (arm[:, :150] for arm in arms(gain=20, control=3, seed=2))
    _, found = judged([row("control", "control", other)], base, cpt)
    (control,) = found.rows
    assert control.cpt_over is not None
    assert control.over_base is not None
    assert control.over_base.low < 0 < 2 < control.over_base.high
    least = f"at least {control.cpt_over.low:.1f} points of the gain are this corpus's"
    assert found.sentences[0].endswith(f"{least}.")


def test_a_lead_below_the_margin_is_not_the_corpuss() -> None:
    base = np.zeros((5, 400))
    other, cpt = base.copy(), base.copy()
    other[:, :40] = 1
    cpt[:, :45] = 1
    verdict, found = judged([row("control", "control", other)], base, cpt)
    assert verdict.outcome == "EARNED"
    (control,) = found.rows
    assert control.cpt_over is not None
    assert control.cpt_over.low > 0
    assert control.cpt_over.outcome == "TIE"
    assert "a difference of 2 points or more is not shown" in found.sentences[0]


def test_gold_items_in_the_control_are_said() -> None:
    base, cpt, other = arms(gain=12, control=0)
    leaky = row("control", "control", other).model_copy(update={"contaminated": 3})
    _, found = judged([leaky], base, cpt)
    assert found.sentences[0].endswith("; 3 gold items stand in that text.")


def test_an_arm_that_is_missing_is_said_and_takes_no_verdict_with_it() -> None:
    base, cpt, rows = runs(spread=0.0, seed=1)
    _, found = judged(rows[:-1], base, cpt, missing={"seed 4": "it diverged"})
    assert found.recipe is None, "a verdict on four runs of five is not the one asked for"
    assert found.sentences == ["The arm seed 4 was not made: it diverged"]


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
    assert "or more is not shown; choosing it now" in found.sentences[1]
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
    gains = [row.minus_base for row in found.rows]
    assert gains == pytest.approx([r.score - 100 * float(np.mean(base[r.seeds[0]])) for r in rows])
    assert found.sentences[-1] == f"For the recipe: {found.recipe.sentence}"
    assert found.recipe.generic_rise == pytest.approx(0.08)
    assert found.recipe.guard == "red"


def test_the_recipes_guard_is_as_strict_as_the_gates() -> None:
    """0.04 nats with an interval up to 0.06 is red for one checkpoint, and for the runs."""
    base, cpt, rows = runs(spread=0.0, seed=1)
    ends = {"generic_rise": 0.04, "generic_low": 0.02, "generic_high": 0.06}
    rise = Interval(value=0.04, low=0.02, high=0.06)
    verdict, found = judged([r.model_copy(update=ends) for r in rows], base, cpt, rise)
    assert found.recipe is not None
    assert (verdict.guard, found.recipe.guard) == ("red", "red")
    assert found.recipe.generic_high == pytest.approx(0.06)


@pytest.mark.parametrize(("rise", "guard"), [(None, "unknown"), (float("nan"), "red")])
def test_a_run_whose_forgetting_is_not_known_is_not_left_out(rise: Any, guard: str) -> None:
    base, cpt, rows = runs(spread=0.0, seed=1)
    verdict, found = judged(rows, base, cpt, rise)
    assert found.recipe is not None
    assert (verdict.guard, found.recipe.guard) == (guard, guard)


def test_the_recipes_verdict_is_given_without_contaminated_items_too() -> None:
    base, cpt, rows = runs(spread=0.0, seed=1)
    _, found = judged(rows, base, cpt, contaminated=(0, 1, 2))
    assert found.recipe is not None
    assert found.recipe.clean_items == found.recipe.items - 3
    assert "without the 3 items" in found.recipe.sentence


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


GATED = 'gold = "g"\nsft = "s"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[arms]\ncheckpoints = [0.5, 0.5]", "differ from each other"),
        ("[arms]\ncheckpoints = [1.0]", "less than 1"),
        ("[arms]\ncpt_seeds = true\n[vocab]\nextend = true\nfirst_run = 'x'", "does not go with"),
        ("[arms]\ncpt_seeds = true\n[train]\nkeep_best = true\nuse = 'best'", "does not go with"),
        ("[arms.control]\npath = 'x'\ntypo = 1", "unknown key"),
    ],
)
def test_arms_that_cannot_be_are_refused(text: str, words: str) -> None:
    text = f'[model]\nid = "m"\n[corpus]\npath = "c"\n[gate]\n{GATED}{text}\n'
    with pytest.raises(InputError, match=words):
        validate(parse_toml(text, "r"), text, "r")


def test_arms_need_a_gate() -> None:
    text = '[model]\nid = "m"\n[corpus]\npath = "c"\n[arms]\ncpt_seeds = true\n'
    with pytest.raises(InputError, match="needs the gate"):
        validate(parse_toml(text, "r"), text, "r")


def test_a_controls_path_belongs_to_the_recipes_folder(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    control = '[arms.control]\npath = "other"\n'
    path.write_text(f'[model]\nid = "m"\n[corpus]\npath = "c"\n[gate]\n{GATED}{control}')
    recipe, _ = load_recipe(path)
    assert recipe.arms.control is not None
    assert recipe.arms.control.path == str(tmp_path / "other")
    assert recipe.arms.asked
    assert not Arms.model_validate({}).asked
