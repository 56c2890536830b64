"""How commands start workers, follow them and open screens; Textual only where one is opened."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import typer

from cpt_tui.safe import clean
from engine.files import home
from engine.runs.run import Run
from engine.stages import STAGES


def control(run: Run, action: str, json_: bool, say: bool = True) -> None:
    """Ask the worker for something, and print its answer or that it is still to come."""
    from cpt_tui.commands.follow import asked

    line = asked(run, action, json_)
    if say:
        typer.echo(line)


def interactive() -> bool:
    """Whether a person sits at a terminal that can draw a screen, or at a browser in its place."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def screen(start: Run | None, overlay: Run | None = None) -> int:
    """Open the app (Textual is imported here and nowhere earlier)."""
    from cpt_tui.app import run_app

    return run_app(start, overlay=overlay)


def local(name: str) -> str:
    """An existing local path made absolute; any other name (hub id, embedded) unchanged."""
    path = Path(name).expanduser()
    if path.exists() or name.startswith((".", "/", "~")):
        return str(path.resolve())
    return name


def preflight(recipe: Any) -> None:
    """Refuse what would fail later, before a worker is started."""
    from engine.demo.demo import is_demo
    from engine.preflight import check_recipe

    if not is_demo(recipe):
        check_recipe(recipe, home())


def stages_to_go(run: Run) -> tuple[str, ...]:
    """What a resume does: what a worker that broke off was started for, a check no more than that.

    A run that came to its end goes on with all stages.
    """
    from cpt_tui.run_list import RESUMABLE, planned_stages, run_row

    return planned_stages(run) if run_row(run).state in RESUMABLE else STAGES


def follow(run: Run, stages: tuple[str, ...], json_: bool, tied: bool = False) -> int:
    """Start the worker and print its lines to the end; returns its exit code.

    A ``tied`` worker ends with this command.
    """
    from cpt_tui.commands import follow as lines
    from engine.runs import launch

    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    pid = launch.start(run, stages, tied)
    return lines.follow(run, json_, offset, final_json=json_, pid=pid, tied=tied)


def follow_or_show(
    run: Run, stages: tuple[str, ...], plain: bool, json_: bool, detach: bool
) -> None:
    """Start the worker; then return, print lines, or open the run's screen."""
    from engine.runs import launch

    if detach:
        launch.start(run, stages)
        typer.echo(
            json.dumps({"run": run.id}) if json_ else clean(f"Started {run.id}; cpt watch {run.id}")
        )
        return
    if plain or json_ or not interactive():
        raise typer.Exit(follow(run, stages, json_))
    launch.start(run, stages)
    raise typer.Exit(screen(run))


def attach(run: Run, plain: bool, json_: bool, offset: int) -> None:
    """Print a living worker's lines to its end, or open the run's screen."""
    from cpt_tui.commands import follow as lines

    if plain or json_ or not interactive():
        raise typer.Exit(lines.follow(run, json_, offset, final_json=json_))
    raise typer.Exit(screen(run))
