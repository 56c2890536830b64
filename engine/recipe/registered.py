"""The gate as a run registered it, where the recipe leaves a value to a default that changed.

A run's recipe holds what its author wrote. Defaults are those of the version that runs it, but a
registered gate is judged by what was registered.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from engine.errors import InputError
from engine.recipe.gate import Gate, Sft

FIRST_RULES: dict[str, object] = {
    "rules": 1,
    "primary": "raw",
    "ranking_share": 0.0,
    "looks": None,
    "look_shares": None,
}
"""What gates have that were registered before there were rules: one raw endpoint, one look."""
LATER_PROBE: tuple[str, ...] = ("most_epochs", "why_unlearnt", "spare")
"""Keys of ``[gate.probe]`` that registrations under the first rules do not have."""


def gate_as_registered(
    gate: Gate, written: Mapping[str, object], registered: Mapping[str, object]
) -> Gate:
    """``gate`` with what ``written``, its recipe's ``[gate]`` table, leaves out as registered.

    A key of the recipe stays as it is: whether it changed is for the registration to say. Raises
    InputError where a registered value is none that a gate can have.
    """
    if not registered:
        return gate
    own = dict(_left_out("gate", Gate.model_fields, written, registered))
    part = written.get("probe")
    probe = _left_out(
        "gate.probe", Sft.model_fields, part if isinstance(part, Mapping) else {}, registered
    )
    first = {} if "gate.rules" in registered else FIRST_RULES
    if isinstance(part, Mapping) and {"lr", "lrs"} & set(part):
        probe = {name: value for name, value in probe.items() if name not in ("lr", "lrs")}
    values = gate.model_dump()
    values["probe"] = {**values["probe"], **probe}
    if len(values["probe"]["lrs"] or ()) == 1:  # registered as the rates that a pinned one is
        values["probe"]["lr"] = values["probe"]["lrs"][0]
    if values["probe"]["lr"] is not None:
        values["probe"]["lrs"] = None
    try:
        return Gate.model_validate({**values, **own, **first})
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise InputError(
            f"the registered gate cannot be read ({said}); restore artifacts/registration.json, "
            "or start a new run"
        ) from None


def _left_out(
    section: str,
    names: Mapping[str, object],
    written: Mapping[str, object],
    registered: Mapping[str, object],
) -> dict[str, object]:
    """Registered values of the keys that the recipe does not write."""
    places = {name: f"{section}.{name}" for name in names if name not in written}
    return {name: registered[place] for name, place in places.items() if place in registered}
