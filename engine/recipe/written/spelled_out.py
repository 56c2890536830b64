"""A recipe with nothing left implicit: every effective value with what it means beside it.

For a person who owns the file: intent first, then what a run measured, below a fold line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import tomlkit
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.recipe.seal import RESULTS

if TYPE_CHECKING:
    from engine.recipe.sections import Recipe

SPELLED = ("pack", "train", "lora", "gate")
"""Sections whose every value is written."""
FOLD = "# " + "-" * 30 + " measured by a run, not asked for " + "-" * 30
WIDEST = 100


def spell_out(recipe: Recipe, text: str, known: Mapping[str, str] | None = None) -> str:
    """TOML of the recipe; ``text`` is the file it was read from, which holds the results.

    ``known`` says what a value that is left to a default comes to here, by its dotted key.
    """
    written = tomlkit.parse(text)
    parts = []
    for name in type(recipe).model_fields:
        if name in SPELLED:
            parts.append("\n".join(_section(name, getattr(recipe, name), known or {})))
        elif name not in RESULTS and name in written:
            parts.append(tomlkit.dumps({name: written[name]}).strip())
    results = {name: written[name] for name in RESULTS if name in written}
    if results:
        parts += [FOLD, tomlkit.dumps(results).strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(name: str, section: BaseModel, known: Mapping[str, str]) -> Iterator[str]:
    """A table and, behind it, the tables in it."""
    yield f"[{name}]"
    inner = []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        shown = field.alias or key
        if isinstance(value, BaseModel):
            inner.append((f"{name}.{shown}", value))
        else:
            yield _line(shown, value, field, known.get(f"{name}.{shown}", ""))
    for path, value in inner:
        yield ""
        yield from _section(path, value, known)


def _line(key: str, value: object, field: FieldInfo, known: str) -> str:
    """``margin = 2.0  # points``; one that is left open stands there to be filled in."""
    why = f"  # {field.description}" if field.description else ""
    if value is None or value in ("", [], {}):
        here = f"  # here: {known}" if known else why
        return f"# {key} ={here}"[:WIDEST]
    plain = list(value) if isinstance(value, tuple) else value
    return f"{key} = {tomlkit.item(plain).as_string()}{why}"
