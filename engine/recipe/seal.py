"""The recipe's own hashes: was it changed since a run wrote it, and on which answers does a
decision stand?

Read as plain TOML, without the recipe's model: comments and order may change, a value may not
without being said.
"""

from __future__ import annotations

import re
import tomllib

from engine.files import digest

KEY = "recipe_sha256"
_LINE = re.compile(rf'^{KEY} = ".*"\n?', re.MULTILINE)


def recipe_digest(text: str) -> str:
    """sha256 of all values but the hash itself. Raises ValueError for a text that is no TOML."""
    tables = tomllib.loads(text)
    added = tables.get("provenance")
    if isinstance(added, dict):
        added.pop(KEY, None)
    return digest(tables)


def without_seal(text: str) -> str:
    """The text of a recipe that begins anew: what it was once written as does not bind it."""
    return _LINE.sub("", text)


def find_change(text: str) -> str:
    """What became of a recipe since a run wrote it; empty where it is the same, or none did."""
    try:
        added = tomllib.loads(text).get("provenance")
        kept = added.get(KEY, "") if isinstance(added, dict) else ""
        if not kept or kept == recipe_digest(text):
            return ""
    except (ValueError, RecursionError):
        return "its recipe cannot be read (not valid TOML)"
    return "its recipe was changed since its worker wrote it"


# --- the answers that a decision stands on -----------------------------------------------------

RESULTS = ("evidence", "verdict", "provenance")
"""Tables that a run adds; they are no part of the intent."""
LATER = (*RESULTS, "arms", "finish")
"""And those that are asked for after a verdict."""


def answers_digest(text: str) -> str:
    """Identity of what the user answered: a decision stands as long as it is the same.

    Empty for a text that is no TOML. What a run adds, and what is asked for after its verdict,
    does not count.
    """
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    return digest({name: table for name, table in tables.items() if table and name not in LATER})
