"""The recipe's own hash, which a run writes into ``[provenance]``: was it changed since?

Read as plain TOML: comments and order may change, a value may not without being said.
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
