"""Which answers does a decision stand on? Read as plain TOML, without the recipe's model."""

from __future__ import annotations

import tomllib

from engine.files import digest

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
