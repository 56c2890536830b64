"""``recipes/schema.json`` from the model; ``python -m engine.recipe.schema`` writes it."""

from __future__ import annotations

import json
from typing import Any

from engine.files import write_atomic
from engine.recipe.sections import Recipe
from engine.recipe.toml import recipe_folder


def schema() -> dict[str, Any]:
    """JSON Schema of a recipe, for editors (Taplo and others read it)."""
    made = Recipe.model_json_schema(by_alias=True)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **made, "title": "cpt recipe"}


def main() -> None:
    write_atomic(recipe_folder() / "schema.json", json.dumps(schema(), indent=1) + "\n")


if __name__ == "__main__":
    main()
