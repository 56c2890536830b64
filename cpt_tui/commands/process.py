"""The command as a process: its arguments in order, and how it ends on a fault."""

from __future__ import annotations

import json
import sys

import typer

from cpt_tui.safe import clean
from engine.errors import Exit


def home_first(arguments: list[str]) -> list[str]:
    """``--home DIR`` is understood after the command too; it is put before it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for at, argument in enumerate(arguments[:end]):
        taken = 2 if argument == "--home" else 1
        if argument.split("=")[0] == "--home":
            return [*arguments[at : at + taken], *arguments[:at], *arguments[at + taken :]]
    return arguments


def fail(message: str, code: Exit = Exit.INPUT) -> None:
    """Leave with a code and one sentence on stderr, as JSON on stdout too where that is asked."""
    if "--json" in sys.argv[1:]:
        typer.echo(json.dumps({"error": clean(message), "code": int(code)}))
    typer.echo(f"cpt: {clean(message)}", err=True)
    sys.exit(int(code))
