"""The ``cpt`` command. Headless by itself: Textual is imported only when a screen is needed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cpt_tui.commands.names import complete_recipe, complete_run, find_recipe, pick_run
from cpt_tui.commands.process import fail, home_first
from cpt_tui.commands.starting import (
    attach,
    control,
    follow,
    follow_or_show,
    interactive,
    local,
    preflight,
    screen,
    stages_to_go,
)
from cpt_tui.safe import clean
from engine.errors import CptError, Exit, InputError, describe_os_error
from engine.files import check_home, hand_over, keep_private
from engine.runs.run import create_run, find_run, list_runs
from engine.stages import CHECK_STAGES, STAGES

app = typer.Typer(
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Should this model be trained further on this text? Measure, decide, train, prove.",
    epilog="Exit codes: 0 go/earned/done, 1 input at fault, 2 usage, 3 no-go or not-yet, "
    "4 tie, 5 hurt, 6 interrupted and resumable.",
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of the screen.")]
Detach = Annotated[bool, typer.Option("--detach", help="Start and return at once.")]
Override = Annotated[str, typer.Option("--override", help="Train past the verdict; say why.")]
NAMED = "Run id, its beginning or its name"
RunName = Annotated[
    str | None,
    typer.Argument(
        help=f"{NAMED}; default newest.", autocompletion=complete_run, callback=pick_run
    ),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    home_: Annotated[Path | None, typer.Option("--home", help="Where runs live.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks on errors.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Open the app: home, runs, recipes, new interview."""
    if home_ is not None:
        os.environ["CPT_HOME"] = str(home_.expanduser().resolve())
    if debug:
        os.environ["CPT_DEBUG"] = "1"
    if version:
        from engine import __version__

        typer.echo(f"cpt {__version__}")
        raise typer.Exit
    check_home()
    if context.invoked_subcommand is None:
        if not interactive():
            raise InputError("the app needs a terminal; see cpt --help for headless commands")
        raise typer.Exit(screen(None))


@app.command()
def demo(
    fluent: Annotated[
        bool, typer.Option("--fluent", help="The same world where the base already reads the text.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild-base", help="Train its base here.")] = False,
    plain: Plain = False,
    json_: Json = False,
    detach: Detach = False,
) -> None:
    """The whole story on an embedded world: offline, on a CPU, in minutes."""
    from engine.demo.demo import create_demo

    follow_or_show(create_demo(fluent, rebuild_base=rebuild), STAGES, plain, json_, detach)


@app.command()
def check(
    corpus: Annotated[str, typer.Argument(help="File, folder, hub:owner/name or address of text.")],
    model: Annotated[str, typer.Option(help="Folder or hub id of the base model.")],
    generic: Annotated[str, typer.Option(help="Generic text, or 'family'.")] = "embedded",
    gold: Annotated[str | None, typer.Option(help="Gold set (jsonl).")] = None,
    sft: Annotated[str | None, typer.Option(help="SFT data of the gate (jsonl).")] = None,
    sft_examples: Annotated[int | None, typer.Option(help="A seed's; rows left judge.")] = None,
    hurts: Annotated[
        str | None,
        typer.Option(help="unreadable, warped_facts, fails_task, format or more_training."),
    ] = None,
    goal: Annotated[str, typer.Option(help="Which token-level fluency must improve.")] = "",
    text_column: Annotated[str | None, typer.Option(help="Column that holds the text.")] = None,
    task_selected: Annotated[
        bool | None,
        typer.Option("--task-selected/--not-task-selected", help="Chosen for the gate's task?"),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair-mojibake", help="Repair wrongly decoded text while reading.")
    ] = False,
    companions: Annotated[
        bool, typer.Option("--keep-companions", help="Read README, LICENSE and their like too.")
    ] = False,
    pilot: Annotated[bool, typer.Option(help="Run the short pilot.")] = True,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "check",
    out: Annotated[Path | None, typer.Option(help="Also write recipe and schema here.")] = None,
    json_: Json = False,
) -> None:
    """Measure and decide, headless; prints the verdict and writes a recipe."""
    from engine.recipe.generic_families import name_family
    from engine.recipe.schema import place_beside
    from engine.recipe.toml import dump, validate

    probe = None if sft_examples is None else {"max_examples": sft_examples}
    values: dict[str, Any] = {
        "recipe": {"schema": 1, "name": name},
        "model": {"id": local(model)},
        "corpus": {
            "path": local(corpus),
            "text_column": text_column,
            "repair_mojibake": repair or None,
            "keep_companions": companions or None,
        },
        "generic": {"path": local(generic), "repair_mojibake": repair or None},
        "interview": {"hurts": hurts, "fluency_goal": goal, "task_selected": task_selected},
        "probe": {"pilot": pilot},
        "gate": {"gold": gold and local(gold), "sft": sft and local(sft), "probe": probe},
    }
    values = {
        section: {k: v for k, v in table.items() if v not in (None, "")}
        for section, table in values.items()
    }
    name_family(values)
    recipe = validate(values, "", "cpt check")
    preflight(recipe)
    run = create_run(name, dump(recipe))
    code = follow(run, CHECK_STAGES, json_, tied=True)
    if out is not None:
        shutil.copyfile(run.recipe_path, out)
        place_beside(out)
        hand_over(out)
    if not json_:
        typer.echo(clean(f"Recipe: {out or run.recipe_path}"))
    raise typer.Exit(code)


@app.command()
def run(
    recipe: Annotated[
        Path,
        typer.Argument(
            help="A recipe (TOML), or a ready one's name.", autocompletion=complete_recipe
        ),
    ],
    override: Override = "",
    root_: Annotated[
        Path | None, typer.Option("--root", help="Folder for the recipe's relative paths.")
    ] = None,
    plain: Plain = False,
    json_: Json = False,
    detach: Detach = False,
) -> None:
    """All stages of a recipe; past a NO-GO only with --override "why"."""
    from engine.demo.demo import materialise
    from engine.recipe.sections import Recipe
    from engine.recipe.toml import dump, load_recipe

    loaded, text = load_recipe(find_recipe(recipe), root_)
    ready = materialise(loaded)
    if override:
        about = ready.recipe.model_copy(update={"override": override})
        ready = Recipe.model_validate(
            {**ready.model_dump(by_alias=True), "recipe": about.model_dump(by_alias=True)}
        )
    preflight(ready)
    follow_or_show(create_run(ready.recipe.name, dump(ready, text)), STAGES, plain, json_, detach)


@app.command()
def watch(
    run_name: RunName = None,
    plain: Plain = False,
    once: Annotated[bool, typer.Option("--once", help="One snapshot, then exit.")] = False,
    overlay: Annotated[
        str | None, typer.Option(help="Another run, its curves drawn beneath.")
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="In a browser (the extra [web]).")] = False,
    json_: Json = False,
) -> None:
    """Watch a run live; any number of viewers, and none of them touches the training."""
    from cpt_tui.commands import follow as lines

    chosen, other = find_run(run_name), find_run(overlay) if overlay else None
    if web:
        from cpt_tui.commands.web import serve

        serve(chosen)
        return
    if once:
        typer.echo(lines.snapshot(chosen, json_, other))
        return
    if plain or json_ or not interactive():
        raise typer.Exit(lines.follow(chosen, json_, beneath=other))
    raise typer.Exit(screen(chosen, other))


@app.command()
def runs(json_: Json = False) -> None:
    """List the runs, newest first."""
    from cpt_tui.commands import follow as lines

    lines.print_runs(list_runs(), json_)


@app.command()
def stop(run_name: RunName = None, json_: Json = False) -> None:
    """Stop a run at a step boundary, with a checkpoint."""
    control(find_run(run_name), "stop", json_)


@app.command()
def pause(run_name: RunName = None, json_: Json = False) -> None:
    """Hold a run where it is; its worker keeps its memory and waits for: cpt resume."""
    control(find_run(run_name), "pause", json_)


@app.command()
def checkpoint(run_name: RunName = None, json_: Json = False) -> None:
    """Save a checkpoint now; training goes on."""
    control(find_run(run_name), "checkpoint", json_)


@app.command()
def resume(
    run_name: RunName = None, plain: Plain = False, json_: Json = False, detach: Detach = False
) -> None:
    """Go on with a paused or interrupted run; finished stages are not run again."""
    from engine.runs.launch import read_status

    chosen = find_run(run_name)
    if not read_status(chosen).paused:
        follow_or_show(chosen, stages_to_go(chosen), plain, json_, detach)
        return
    offset = chosen.events_path.stat().st_size
    control(chosen, "resume", json_ and detach, say=not json_ or detach)
    if not detach:
        attach(chosen, plain, json_, offset)


@app.command()
def gate(run_name: RunName = None, json_: Json = False) -> None:
    """Judge a trained run again with the recipe's pinned gate; the old verdict stands till then."""
    from cpt_tui.workspace import orders

    chosen = find_run(run_name)
    orders.order_verdict(chosen)
    raise typer.Exit(follow(chosen, STAGES, json_))


@app.command()
def arms(
    run_name: RunName = None,
    control: Annotated[str, typer.Option(help="Irrelevant text: CPT on as much of it.")] = "",
    cpt_seeds: Annotated[
        bool, typer.Option("--cpt-seeds", help="Train once for each seed: a verdict on the recipe.")
    ] = False,
    show: Annotated[list[str], typer.Option(help="curve, more-sft or merges.")] = [],  # noqa: B006
    plain: Plain = False,
    json_: Json = False,
    detach: Detach = False,
) -> None:
    """More arms beside a verdict: is it this text, and is it more than one lucky training run?"""
    from cpt_tui.workspace import orders

    chosen = find_run(run_name)
    orders.prepare_arms(chosen, control, cpt_seeds, show)
    follow_or_show(chosen, STAGES, plain, json_, detach)


@app.command()
def finish(
    run_name: RunName = None,
    mix_back: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Generic share of SFT's loss tokens.")
    ] = None,
    why_no_mix_back: Annotated[str, typer.Option(help="Required with --mix-back 0.")] = "",
    anyway: Annotated[
        str, typer.Option(help="Start from the CPT checkpoint after a TIE or HURT; say why.")
    ] = "",
    plain: Plain = False,
    json_: Json = False,
    detach: Detach = False,
) -> None:
    """Stage two: train the task model, from the CPT checkpoint only if it earned it."""
    from cpt_tui.workspace import orders

    chosen = find_run(run_name)
    asked = {"mix_back": mix_back, "why_no_mix_back": why_no_mix_back, "anyway": anyway}
    orders.prepare_finish(chosen, asked)
    follow_or_show(chosen, (*STAGES, "finish"), plain, json_, detach)


@app.command()
def export(
    run_name: Annotated[
        str, typer.Argument(help=f"{NAMED}.", autocompletion=complete_run, callback=pick_run)
    ],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    what: Annotated[
        str, typer.Option(help="cpt or task; default: the task model where there is one.")
    ] = "",
    push: Annotated[str, typer.Option(help="Also push to the hub: OWNER/NAME (private).")] = "",
    anyway: Annotated[
        str, typer.Option(help="Export a CPT checkpoint that did not earn it; say why.")
    ] = "",
    json_: Json = False,
) -> None:
    """Write a folder to ship: weights, tokenizer, model card, and the proof that it reloads."""
    from cpt_tui.workspace import orders

    chosen = find_run(run_name)
    orders.order_export(chosen, folder, what, push, anyway)
    raise typer.Exit(follow(chosen, ("export",), json_))


@app.command()
def report(
    run_name: RunName = None,
    html: Annotated[
        bool, typer.Option("--html", help="Print the path of the page for a browser.")
    ] = False,
    json_: Json = False,
) -> None:
    """Print a run's report (Markdown); --html names the same as one self-contained page."""
    from cpt_tui.commands.report import print_report

    print_report(find_run(run_name), html, json_)


@app.command()
def cache(
    name: Annotated[str, typer.Argument(help="One entry, or its beginning.")] = "all",
    clear: Annotated[bool, typer.Option("--clear", help="Remove what no run uses now.")] = False,
    older: Annotated[str, typer.Option(help="Only what was last used so long ago: 30d.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Clear without asking back.")] = False,
    json_: Json = False,
) -> None:
    """List what is kept of texts and of the demo, and clear it."""
    from cpt_tui.commands import cache as lines

    if clear:
        lines.clear_cache(name, older, yes, json_)
    else:
        lines.show_cache(name, older, json_)


@app.command()
def doctor(json_: Json = False) -> None:
    """Hardware, the fast dtype, versions, and whether the hub is reachable."""
    from cpt_tui.commands.machine import print_facts

    print_facts(json_)


def main() -> None:
    """Entry point: errors become one sentence and their exit code."""
    keep_private()
    try:
        code = app(home_first(sys.argv[1:]), standalone_mode=False)
        sys.exit(code if isinstance(code, int) else int(Exit.OK))  # the code of typer.Exit
    except CptError as error:
        fail(str(error), error.code)
    except typer.Abort:
        sys.exit(int(Exit.INTERRUPTED))
    except BrokenPipeError:
        sys.exit(int(Exit.OK))
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:
            fail(usage(), Exit.USAGE)
        if os.environ.get("CPT_DEBUG"):
            raise
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        fail(f"{describe_os_error(error) or text} (--debug before the command shows more)")
