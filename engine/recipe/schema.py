"""``schema.json`` for editors; ``python -m engine.recipe.schema`` writes the ready one.

A recipe names it in its first line (``#:schema ./schema.json``), as Taplo and Even Better TOML
read it. The path is relative, so that a recipe holds no path of a machine; to cpt it is a comment.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from engine.files import write_atomic
from engine.recipe.sections import Recipe
from engine.recipe.sources import SIDES
from engine.recipe.toml import recipe_folder

FILE = "schema.json"
DIRECTIVE = f"#:schema ./{FILE}"
_DIRECTIVE = re.compile(r"\A#:schema\b.*\n?")


def schema() -> dict[str, Any]:
    """JSON Schema of a recipe, for editors (Taplo and others read it)."""
    made = Recipe.model_json_schema(by_alias=True)
    for side in SIDES:
        one = made["properties"][side]
        made["properties"][side] = {"anyOf": [one, {"type": "array", "items": one}]}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **made, "title": "cpt recipe"}


def with_directive(text: str) -> str:
    """The TOML text of a recipe with the schema beside it named in the first line."""
    return f"{DIRECTIVE}\n{_DIRECTIVE.sub('', text)}"


def place_beside(recipe: Path) -> None:
    """Put the schema into a recipe's folder; a file of that name that is there stays."""
    target = recipe.parent / FILE
    if not target.exists():
        write_atomic(target, (recipe_folder() / FILE).read_text())


def main() -> None:
    write_atomic(recipe_folder() / FILE, json.dumps(schema(), indent=1) + "\n")


if __name__ == "__main__":
    main()
