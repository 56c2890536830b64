"""Is a verdict what its scores give? Recomputed from the item scores of both arms.

A ``gate.json`` that was edited, or that is of other weights than those that are there, must not
decide what is shipped or trained on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.gate import BaselineArtifact, GateArtifact, GateVerdict, ScoredArm
from engine.errors import CptError, InputError
from engine.files import digest, sha256_file
from engine.gate.chat_guard import chat_rise_of, with_chat
from engine.gate.judge import conclude, rise_of
from engine.gate.looks import Corrected, Tested, compare_endpoints
from engine.gate.outcome import Sides
from engine.gold.draws import registered_gold
from engine.gold.summary import item_groups
from engine.recipe.gate import Gate
from engine.recipe.registered import FIRST_RULES, gate_as_registered
from engine.recipe.sections import Recipe
from engine.recipe.toml import load_recipe, parse_toml
from engine.runs.run import UNREADABLE, Run
from engine.stages import VERSIONS
from engine.thresholds import effective

TOLERANCE = 1e-6
"""Of a number, or of 1 where that is larger: libraries may round the last digits otherwise."""
COMPARED = (
    "outcome",
    "label",
    "estimate",
    "low",
    "high",
    "p_value",
    "margin",
    "items",
    "seeds",
    "guard",
    "base_scores",
    "cpt_scores",
    "won",
    "lost",
    "tied",
)
"""What item scores and the registered gate give anew."""
SHOWN = 3
"""Differences that a sentence names."""


class _Terms(NamedTuple):
    """The gate that judged, and what it read."""

    gate: Gate
    limits: dict[str, float]
    groups: list[str] | None


def verdict_inputs(model_sha256: str, baseline: str, contaminated: Sequence[int]) -> list[object]:
    """What a verdict is of: the trained weights, the base's arm, the items left out of its rest.

    ``baseline`` is the fingerprint of that stage.
    """
    return [model_sha256, baseline, list(contaminated)]


def find_difference(run: Run) -> str:
    """How a run's verdict differs from what its scores give, in a clause; empty where it does not.

    Empty too where there is no verdict. InputError where the recipe cannot be read.
    """
    made = run.read_artifacts("scan", "baseline", "train", "gate")
    if made.gate is None:
        return ""
    if made.baseline is None or not made.baseline.per_item or not made.gate.per_item:
        return "the item scores that it was made from are not there, or not as they were written"
    if _is_stale(run, made):
        return "it was given for other weights, or on another baseline, than those that are there"
    try:
        terms = _read_terms(run, made.gate)
        sides = _read_sides(made.baseline, made.gate)
        tested = compare_endpoints(sides.base, sides.cpt, terms.gate, terms.groups)
        again = _recompute(sides, tested, made.gate, terms)
    except CptError as error:
        return f"its item scores cannot be judged: {error}"
    found = [name for name in COMPARED if not _same(_of(made.gate, name), _of(again, name))]
    told = [
        f"{name} {_shown(_of(made.gate, name))} instead of {_shown(_of(again, name))}"
        for name in found[:SHOWN]
    ]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    odd = "" if told else _odd_correction(made.gate, tested)
    return f"it says {', '.join(told)}{more}" if told else odd


def _recompute(sides: Sides, tested: Tested, said: GateArtifact, terms: _Terms) -> GateVerdict:
    """The verdict of these scores, by the count of tries and the corrected p that it was given by.

    Raises InputError where the tables are no scores.
    """
    corrected = tested.p[0] if said.p_adjusted is None else said.p_adjusted
    ranked = said.ranking.p_adjusted if said.ranking else None
    correction = Corrected(corrected, tested.p[1] if ranked is None else ranked, said.tries)
    found = conclude(sides, terms.gate, rise_of(said), terms.limits, correction, terms.groups)
    return with_chat(found, chat_rise_of(said), terms.gate, terms.limits)


def _read_sides(baseline: BaselineArtifact, said: GateArtifact) -> Sides:
    """Both arms as they were judged; InputError where the kept scores contradict each other."""
    base = said.base or baseline.arm or ScoredArm(scores=baseline.per_item)
    cpt = said.cpt or ScoredArm(scores=said.per_item)
    first = len(baseline.per_item)
    if base.scores[:first] != baseline.per_item or cpt.scores != said.per_item:
        raise InputError("the scores of an arm are kept twice, and differ")
    return Sides.of(base, cpt)


def _odd_correction(said: GateArtifact, tested: Tested) -> str:
    """A correction for tries never makes p smaller, and of one try it changes nothing."""
    pairs = [(said.p_adjusted, tested.p[0])]
    pairs += [(said.ranking.p_adjusted, tested.p[1])] if said.ranking else []
    for corrected, alone in pairs:
        if corrected is None:
            continue
        lone = said.tries == 1 and not _same(corrected, alone)
        if lone or said.tries < 1 or corrected < alone - TOLERANCE:
            return f"it says p {corrected:g} after correction for tries, and p is {alone:g}"
    return ""


def _is_stale(run: Run, made: Artifacts) -> bool:
    """Whether the verdict is of other inputs than those that are there."""
    if made.train is None:
        return False
    contaminated = made.scan.contaminated_items if made.scan else []
    inputs = verdict_inputs(made.train.model_sha256, run.fingerprint("baseline"), contaminated)
    versions = range(1, VERSIONS["gate"] + 1)
    return run.fingerprint("gate") not in [digest(["gate", v, *inputs]) for v in versions]


def _read_terms(run: Run, said: GateVerdict) -> _Terms:
    """The gate as it was registered; what the registration does not have is the recipe's.

    A registration of an older version has no rules and is judged by the first; without a
    registration the verdict's own are taken.
    """
    recipe, _ = load_recipe(run.recipe_path)
    limits, gate = effective(recipe.probe.thresholds), recipe.gate
    registered = _registered(run)
    if registered:
        gate = gate_as_registered(gate, {}, registered)
    elif said.rules == 1:
        gate = gate.model_copy(update=FIRST_RULES)
    for name in limits:
        limit = registered.get(f"probe.thresholds.{name}")
        limits[name] = float(limit) if isinstance(limit, (int, float)) else limits[name]
    return _Terms(gate, limits, _groups(run, gate))


def registered_recipe(run: Run) -> Recipe:
    """A run's recipe, once it is trained with its gate as it was registered.

    What the recipe leaves out is then what was registered, whatever today's defaults are.
    InputError where either cannot be read.
    """
    recipe, text = load_recipe(run.recipe_path)
    if not run.training_begun:
        return recipe
    table = parse_toml(text, run.recipe_path.name).get("gate")
    written = table if isinstance(table, dict) else {}
    gate = gate_as_registered(recipe.gate, written, _registered(run))
    return recipe.model_copy(update={"gate": gate})


def _registered(run: Run) -> Mapping[str, object]:
    """The registered terms; empty where they cannot be read, or are not as they were written."""
    path = run.artifact_path("registration")
    expected = run.written_hash("baseline", path)
    try:
        if expected and sha256_file(path) != expected:
            return {}
        found = json.loads(path.read_text())
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def _groups(run: Run, gate: Gate) -> list[str] | None:
    """The source of each item of the registered gold set; None where it names none."""
    found = registered_gold(run.path / "gate", gate)
    return item_groups(found) if found else None


def _of(verdict: GateVerdict, name: str) -> object:
    found: object = getattr(verdict, name)
    return found


def _same(one: object, two: object) -> bool:
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, float) or isinstance(two, float):
        return _close(one, two)
    return one == two


def _close(one: object, two: object) -> bool:
    if not isinstance(one, (int, float)) or not isinstance(two, (int, float)):
        return False
    return math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value[:SHOWN]))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value or "none")
