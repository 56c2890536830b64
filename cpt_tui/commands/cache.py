"""``cpt cache``: the cache as a table, and what was cleared of it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from cpt_tui.commands.starting import interactive
from cpt_tui.safe import clean, clean_line
from engine.cache import Entry, choose, clear, list_cache
from engine.errors import InputError
from engine.files import cache_folder
from engine.formatting import format_bytes, format_short_duration

if TYPE_CHECKING:
    from engine.artifacts.record import Json


def show_cache(name: str, older: str, json_: bool) -> None:
    """Print what lies in the cache."""
    entries = choose(list_cache(), name, older)
    if json_:
        found: dict[str, Json] = {"folder": str(cache_folder()), "bytes": _bytes(entries)}
        typer.echo(json.dumps({**found, "entries": [_row(entry) for entry in entries]}))
        return
    for line in _lines(entries):
        typer.echo(line)


def clear_cache(name: str, older: str, yes: bool, json_: bool) -> None:
    """Clear it, after asking back. InputError where nobody can be asked."""
    chosen = choose(list_cache(), name, older)
    free = [entry for entry in chosen if not entry.user]
    if free and not yes:
        what = f"{_things(free)} ({format_bytes(_bytes(free))}) of {cache_folder()}"
        if json_ or not interactive():
            raise InputError(f"This would clear {what}; add --yes to do so")
        for line in _lines(free):
            typer.echo(line)
        typer.confirm(f"Clear {clean_line(what)}? It is made again when it is missed", abort=True)
    gone = clear(free)
    kept = [entry for entry in chosen if entry not in gone]
    if json_:
        said: dict[str, Json] = {"cleared": [entry.name for entry in gone], "bytes": _bytes(gone)}
        typer.echo(json.dumps({**said, "kept": [_row(entry) for entry in kept]}))
        return
    typer.echo(f"Cleared {_things(gone)}, {format_bytes(_bytes(gone))}.")
    for entry in kept:
        why = f"{entry.user} uses it" if entry.user else "it could not be removed"
        typer.echo(clean_line(f"Kept {entry.name} ({entry.kind}): {why}."))


def _bytes(entries: Sequence[Entry]) -> int:
    return sum(entry.size for entry in entries)


def _things(entries: Sequence[Entry]) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"


def _lines(entries: Sequence[Entry]) -> list[str]:
    """The entries as a table of text, and their sum."""
    lines = [f"{'name':<22} {'kind':<10} {'size':>8} {'age':>6} {'used':>6}  {'state':<8} of"]
    for entry in entries:
        age, used = (format_short_duration(time.time() - t) for t in (entry.built, entry.used))
        state = "in use" if entry.user else "damaged" if entry.damage else "whole"
        note = entry.damage or (f"used by {entry.user}" if entry.user else "")
        what = f"{entry.about}{f' ({note})' if note else ''}"
        size = format_bytes(entry.size)
        lines.append(
            f"{entry.name:<22} {entry.kind:<10} {size:>8} {age:>6} {used:>6}  {state:<8} {what}"
        )
    if not entries:
        return [f"Nothing of that is in the cache ({cache_folder()})."]
    return [clean(line) for line in [*lines, f"{format_bytes(_bytes(entries))} in all."]]


def _row(entry: Entry) -> dict[str, Json]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "kind": entry.kind,
        "about": entry.about,
        "bytes": entry.size,
        "built": entry.built,
        "used": entry.used,
        "whole": not entry.damage,
        "damage": entry.damage,
        "user": entry.user,
    }
