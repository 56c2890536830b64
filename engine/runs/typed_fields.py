"""Are a record's fields of their types? Checked as a line of a log is read, in microseconds.

Numbers must be finite and within what a run can have measured, tables must not nest without end:
whoever reads an event then needs to ask for none of that again.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from engine.thresholds import LARGEST

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EXACT = float(2**53)
"""Whole numbers beyond it are not exact any more as a float or in other readers of JSON."""
LATEST = 253_402_300_799.0
"""The last second of the year 9999: later ones have no date."""
RANGES = {"t": (0.0, LATEST), "code": (0.0, 255.0), "count": (1.0, EXACT)}
"""Fields with a range of their own: times have a date, an exit code is a byte."""
DEPTH = 64
"""Levels of a table in an event; what stages write has fewer than ten."""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_json(data: bytes) -> object:
    """The value of a line. ValueError for no JSON, NaN and Infinity among it; RecursionError."""
    return _DECODER.decode(data.decode(errors="surrogatepass"))


class Field(NamedTuple):
    """One field of a record, ready to be checked."""

    name: str
    kinds: frozenset[type]
    low: float
    high: float
    numeric: bool
    holds: Callable[[object], bool] | None
    """What a table or a list must hold; None where the type says all."""
    default: object
    make_default: Callable[[], object] | None
    required: bool


def fields_of(record: type[DataclassInstance]) -> tuple[Field, ...]:
    """What to check of a dataclass, by its annotations."""
    hints = typing.get_type_hints(record)
    return tuple(_field(field, hints[field.name]) for field in dataclasses.fields(record))


def _field(field: dataclasses.Field[object], hint: object) -> Field:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = {_plain(option) for option in options}
    numeric = bool(kinds & {int, float})
    limit = LARGEST if float in kinds else EXACT
    low, high = RANGES.get(field.name, (-limit, limit))
    kinds |= {int} if float in kinds else set()
    make = None if field.default_factory is dataclasses.MISSING else field.default_factory
    missing = field.default is dataclasses.MISSING
    return Field(
        field.name,
        frozenset(kinds),
        low,
        high,
        numeric,
        next((test for option in options if (test := _HOLDS.get(str(option)))), None),
        None if missing else field.default,
        make,
        missing and make is None,
    )


def _plain(hint: object) -> type:
    found = typing.get_origin(hint) or hint
    assert isinstance(found, type)
    return found


def checked_values(fields: tuple[Field, ...], raw: dict[str, object]) -> dict[str, object] | None:
    """A record's values in the order of its fields; None where one is missing or wrong.

    ``bool`` is no number here, although Python counts with it.
    """
    values: dict[str, object] = {}
    for name, kinds, low, high, numeric, holds, default, make, required in fields:
        if name not in raw:
            if required:
                return None
            values[name] = make() if make else default
            continue
        value = raw[name]
        if type(value) not in kinds:
            return None
        if numeric:
            if value is not None and not low <= value <= high:  # type: ignore[operator]
                return None
        elif holds is not None and not holds(value):
            return None
        values[name] = value
    return values


def is_shallow(value: object) -> bool:
    """Whether a value nests no deeper than ``DEPTH``, and has no number that is not finite."""
    level = [value]
    for _ in range(DEPTH):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            elif isinstance(one, (int, float)) and not -LARGEST <= one <= LARGEST:
                return False
        if not below:
            return True
        level = below
    return False


def _holds_text(value: object) -> bool:
    held = value.values() if isinstance(value, dict) else value
    return all(type(one) is str for one in held)  # type: ignore[attr-defined]


_HOLDS: dict[str, Callable[[object], bool]] = {
    "list[str]": _holds_text,
    "dict[str, str]": _holds_text,
    "dict[str, typing.Any]": is_shallow,
}
"""What the fields of events hold, by their annotation."""
