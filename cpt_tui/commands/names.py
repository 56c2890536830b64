"""Names on the command line: completed by the shell, and asked for where several fit."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cpt_tui.commands.starting import interactive
from cpt_tui.interview.paths import complete_path
from cpt_tui.run_list import recipe_files, run_row
from cpt_tui.safe import clean, clean_line
from engine.errors import InputError
from engine.runs.run import list_runs, matching_runs

MOST = 20
"""Runs that are offered for a name."""


def complete_run(incomplete: str) -> list[str]:
    """Ids of runs, for the shell; one whose name the shell would obey is left out."""
    return [run.id for run in list_runs() if run.id.startswith(incomplete) and _plain(run.id)]


def complete_recipe(incomplete: str) -> list[str]:
    """Names of ready recipes and paths of TOML files, for the shell."""
    ready = [path.stem for path in recipe_files() if path.stem.startswith(incomplete)]
    done, names = complete_path(incomplete)
    head = done.rpartition("/")[0]
    files = [f"{head}/{name}" if head else name for name in names if name.endswith((".toml", "/"))]
    return [*ready, *filter(_plain, files)]


def _plain(name: str) -> bool:
    return clean_line(name) == name


def pick_run(name: str | None) -> str | None:
    """The run that is meant by a name; where several fit, a person at a terminal is asked."""
    if name is None or (Path(name) / "recipe.toml").is_file() or "--json" in sys.argv:
        return name
    matches = matching_runs(name)
    if len(matches) < 2 or not interactive():
        return name
    for number, run in enumerate(matches[:MOST], 1):
        row = run_row(run)
        line = f"{number:>3}  {run.id:<44} {row.word:<12} {row.stage:<9} {row.age:>6}"
        typer.echo(clean(line), err=True)
    if len(matches) > MOST:
        typer.echo(f"     and {len(matches) - MOST} more: give more of the name", err=True)
    most = min(MOST, len(matches))
    chosen: int = typer.prompt(f"Which run, 1 to {most}?", type=int, err=True)
    if not 1 <= chosen <= most:
        raise InputError(f"{chosen} is not among 1 to {most}")
    return matches[chosen - 1].id


def find_recipe(path: Path) -> Path:
    """The recipe file, or the ready recipe of that name where there is no such file."""
    ready = {found.stem: found for found in recipe_files()}
    return path if path.exists() or str(path) not in ready else ready[str(path)]
