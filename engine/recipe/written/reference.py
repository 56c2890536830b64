"""The recipe's keys as Markdown; ``python -m engine.recipe.written.reference`` writes them.

Made from the model that validates recipes, so that no key is described but the ones there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.files import write_atomic
from engine.recipe.base import OneOf, Section
from engine.recipe.seal import RESULTS
from engine.recipe.sections import Recipe

START, END = "<!-- reference: python -m engine.recipe.written.reference -->", "<!-- /reference -->"


def reference() -> str:
    """Every section with its keys, what they hold, their defaults, and what they mean."""
    parts: list[str] = []
    for name, field in Recipe.model_fields.items():
        section = _section(field)
        if name not in RESULTS and section is not None:
            parts += _tables(name, section)
    return "\n\n".join(parts) + "\n"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a field holds, if it holds one."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def _tables(name: str, section: type[BaseModel]) -> Iterator[str]:
    """A table of a section, and those of the sections in it."""
    rows = [f"### `[{name}]`", "", "| key | holds | default | |", "|---|---|---|---|"]
    inner = []
    for key, field in section.model_fields.items():
        shown = field.alias or key
        table = _section(field)
        if table is not None and table is not section:  # [[corpus]] holds sources of its own kind
            inner.append((f"{name}.{shown}", table))
            continue
        cells = (f"`{shown}`", _kind(field), _default(field), field.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    yield "\n".join(rows)
    for path, table in inner:
        yield from _tables(path, table)


WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _kind(field: FieldInfo) -> str:
    """What a key holds: the names of its table where it takes them from one."""
    tables = [found for found in field.metadata if isinstance(found, OneOf)]
    if tables:
        return ", ".join(f'`"{name}"`' for name in tables[0].names)
    return _holds(field.annotation)


def _holds(kind: object) -> str:
    """A type in words: ``number``, ``"fp32" or "bf16"``, ``list of text``."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _holds(inside[0])
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_holds(part) for part in inside if part is not type(None))
    if origin in (list, tuple):
        return f"list of {_holds(inside[0])}"
    if origin is dict:
        return "table"
    if isinstance(kind, type) and issubclass(kind, Section):
        return "table"
    return WORDS.get(kind, "") if isinstance(kind, type) else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value in (None, "") or field.default_factory is not None:
        return ""
    shown = str(value).lower() if isinstance(value, bool) else value
    return f"`{list(shown) if isinstance(shown, tuple) else shown}`"


def replace_between(text: str, start: str, end: str, new: str) -> str:
    """The text with what stands between two marks replaced. ValueError without the marks."""
    found = re.search(rf"{re.escape(start)}\n.*?{re.escape(end)}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"no '{start}' in the page")
    return text[: found.start()] + f"{start}\n\n{new}\n{end}" + text[found.end() :]


def main() -> None:
    page = Path(__file__).parents[3] / "recipes" / "README.md"
    write_atomic(page, replace_between(page.read_text(), START, END, reference()))


if __name__ == "__main__":
    main()
