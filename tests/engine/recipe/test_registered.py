"""An old registration is judged by its own rules and its own defaults."""

from __future__ import annotations

from engine.recipe.gate import Gate
from engine.recipe.registered import FIRST_RULES, LATER_PROBE, gate_as_registered


def registration(rules: int = 2, **said: object) -> dict[str, object]:
    """What a run registered, with ``said`` in its recipe."""
    gate = Gate.model_validate(said)
    later = set(FIRST_RULES) if rules == 1 else set()
    terms = {f"gate.{k}": v for k, v in gate.model_dump(exclude={"probe"} | later).items()}
    probe = gate.probe.model_dump(exclude=set(LATER_PROBE) if rules == 1 else set())
    return {**terms, **{f"gate.probe.{k}": v for k, v in probe.items()}}


def test_what_the_recipe_leaves_out_is_what_was_registered() -> None:
    then = {**registration(1), "gate.plausible_gain": 10.0, "gate.probe.epochs": 2.0}
    found = gate_as_registered(Gate(), {}, then)
    assert (found.rules, found.primary, found.ranking_share) == (1, "raw", 0.0)
    assert (found.plausible_gain, found.probe.epochs) == (10.0, 2.0)


def test_what_the_recipe_writes_stays_for_the_registration_to_refuse() -> None:
    gate = Gate.model_validate({"margin": 3, "probe": {"lrs": [1e-4, 1e-3]}})
    then = registration(margin=2, probe={"lr": 1e-3})
    found = gate_as_registered(gate, {"margin": 3, "probe": {"lrs": [1e-4, 1e-3]}}, then)
    assert found.margin == 3
    assert (found.probe.lr, found.probe.rates) == (None, (1e-4, 1e-3))


def test_new_rules_keep_their_endpoints_and_looks() -> None:
    said = {"primary": "prior_matched", "ranking_share": 0.8}
    sequence = {"seeds": list(range(20)), "looks": [5, 10, 20]}
    found = gate_as_registered(Gate(), {}, registration(**said, **sequence))
    assert (found.rules, found.primary, found.ranking_share) == (2, "prior_matched", 0.8)
    assert found.look_sizes == (5, 10, 20)
    assert gate_as_registered(found, {}, {}) is found
