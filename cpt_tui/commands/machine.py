"""What ``cpt doctor`` finds, asked of a process that may load torch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import typer

from cpt_tui.safe import clean
from engine.errors import CptError

if TYPE_CHECKING:
    from engine.artifacts.record import Json


def examine() -> dict[str, Json]:
    """The machine's facts by name. CptError with the worker's last words where it failed."""
    command = [sys.executable, "-P", "-m", "engine.worker.doctor"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CptError(f"The doctor's worker failed: {clean(result.stderr.strip()[-300:])}")
    facts: dict[str, Json] = json.loads(result.stdout.splitlines()[-1])
    return facts


def print_facts(json_: bool) -> None:
    """What ``cpt doctor`` says, in lines or as JSON."""
    facts = examine()
    if json_:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<14} {clean(str(value))}")
