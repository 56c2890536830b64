"""Paths as they are typed: what they may go on with."""

from __future__ import annotations

import os
from pathlib import Path

MOST_SHOWN = 40
"""Names read of a folder for one completion's list."""


def complete_path(typed: str) -> tuple[str, list[str]]:
    """(the text as far as every match agrees, the names that match) for a path being typed.

    A folder ends in a slash; hidden names come only where a dot was typed. ``~`` stays as typed.
    """
    folder, _, start = typed.rpartition("/")
    head = f"{folder}/" if "/" in typed else ""
    place = Path(head or ".").expanduser()
    try:
        with os.scandir(place) as entries:
            names = sorted(
                f"{entry.name}/" if entry.is_dir() else entry.name
                for entry in entries
                if entry.name.startswith(start) and (start or not entry.name.startswith("."))
            )
    except OSError:
        return typed, []
    if not names:
        return typed, []
    return head + os.path.commonprefix(names), names  # noqa: RUF071 (names, not paths)


def name_matches(names: list[str], width: int) -> str:
    """The names in a line of at most ``width`` cells, with how many there are."""
    shown: list[str] = []
    for name in names[:MOST_SHOWN]:
        if sum(len(one) + 2 for one in [*shown, name]) > width - 12:
            break
        shown.append(name)
    more = len(names) - len(shown)
    return "  ".join(shown) + (f"  and {more:,} more" if more else "")
