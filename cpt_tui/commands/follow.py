"""A run without a screen: follow its lines, take a snapshot, list it. No Textual here."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from cpt_tui.run_list import run_row
from cpt_tui.safe import clean
from engine.errors import Exit
from engine.gate.items import load as load_items
from engine.runs.events import Alarm, Event, Failed, RunEnded, StageDone, Tail, Unknown
from engine.runs.history import History
from engine.runs.launch import ask, process_lives, read_status, wait_for_answer
from engine.runs.run import Run
from engine.runs.view import RunView
from engine.summary import snapshot as facts
from engine.summary.log_lines import Narrator, newer_words
from engine.summary.page import beneath_lines, summary

if TYPE_CHECKING:
    from engine.artifacts.record import Json

POLL_SECONDS = 0.25
STARTING_SECONDS = 30.0
"""A worker imports torch before its first event; no life before this is a failure."""


def follow(
    run: Run,
    json_: bool,
    offset: int = 0,
    final_json: bool = False,
    pid: int | None = None,
    beneath: Run | None = None,
    tied: bool = False,
) -> int:
    """Print a run's events from ``offset`` until it ends; returns its exit code.

    ``json_`` prints events as JSON lines; ``final_json`` only one object at the end.
    ``pid`` is the worker just started, which may take long to its first sign of life.
    ``beneath`` is another run whose losses are told first. Ctrl-C leaves the run alone, unless
    its worker is ``tied`` to this command. A worker that died returns code 6: it can be resumed.
    """
    if beneath is not None and not json_:
        for line in beneath_lines((beneath.id, view_of(beneath))):
            typer.echo(clean(line))
    tail, narrator = Tail(run.events_path, offset), Narrator()
    seen: list[Event] = []
    newer = 0
    started, last_life = time.monotonic(), time.monotonic()
    try:
        while True:
            batch = tail.read()
            newer += _count_newer(newer, batch, say=not json_ and not final_json)
            for event in batch:
                seen.append(event) if final_json and isinstance(event, _FINAL) else None
                if json_ and not final_json:
                    typer.echo(ascii_json(event.to_json()))
                elif not final_json:
                    for line in narrator.lines(event):
                        typer.echo(clean(line))
                if isinstance(event, RunEnded):
                    if final_json:
                        typer.echo(json.dumps(outcome(run, seen, event), ensure_ascii=True))
                    return event.code
            if read_status(run).alive or (pid is not None and process_lives(pid)):
                last_life = time.monotonic()
            grace = STARTING_SECONDS if last_life == started else 2.0
            if not batch and time.monotonic() - last_life > grace:
                return _dead(run, json_ or final_json, _exit_code(pid))
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        if tied:
            typer.echo(f"\nThe check stops; go on with: cpt resume {clean(run.id)}", err=True)
            return int(Exit.INTERRUPTED)
        typer.echo(f"\nThe run goes on without this viewer; cpt watch {clean(run.id)}", err=True)
        return int(Exit.OK)


def _count_newer(before: int, batch: Sequence[Event], say: bool) -> int:
    """How many events of a batch a newer version wrote; said together with those before."""
    found = sum(isinstance(event, Unknown) for event in batch)
    if say and found:
        typer.echo(f"note: {newer_words(before + found)}")
    return found


ANSWER_SECONDS = 10.0
"""A worker answers between steps, and a step may take longer."""
_ANSWERS = {
    "stop": ("is stopping{at}", "; go on with: cpt resume {run}"),
    "pause": ("is paused{at}", "; go on with: cpt resume {run}"),
    "resume": ("goes on{at}", ""),
    "checkpoint": ("saved a checkpoint{at}", ""),
}


def asked(run: Run, action: str, json_: bool) -> str:
    """Ask the worker for something and wait a while; its answer as a line, or as JSON."""
    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    ask(run, action)
    answer = wait_for_answer(run, action, offset, ANSWER_SECONDS)
    step = answer.step if answer else None
    if json_:
        return json.dumps({"run": run.id, "asked": action, "done": bool(answer), "step": step})
    done, then = _ANSWERS[action]
    at = f" at step {step}" if step is not None else ""
    told = (
        done.format(at=at) if answer else f"was asked to {action} and will at its next safe point"
    )
    return clean(f"{run.id} {told}{then.format(run=run.id)}")


def ascii_json(line: str) -> str:
    """The same JSON with every other character escaped: it may be read on a terminal."""
    return json.dumps(json.loads(line), ensure_ascii=True, separators=(",", ":"))


_FINAL = (StageDone, Alarm, Failed)


def _exit_code(pid: int | None) -> int | None:
    """How a worker that we started ended; None where that is not known any more."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG) if pid else (0, 0)
    except OSError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def _dead(run: Run, json_: bool, exit_code: int | None) -> int:
    """Say why a worker is gone: its own last words, or that it was killed.

    One that never took the run has said which input is at fault: to go on would not help.
    """
    words = clean(run.last_words())
    reason = f" ({words[:200]})" if words else ""
    name = clean(run.id)
    said = f"the worker of {name} is gone{reason}; go on with: cpt resume {name}"
    code = Exit.INTERRUPTED
    if words and exit_code == Exit.INPUT:
        said, code = words, Exit.INPUT
    if json_:
        fault = {"run": run.id, "error": said, "code": int(code)}
        typer.echo(json.dumps(fault, ensure_ascii=True))
    typer.echo(f"cpt: {said}", err=True)
    return int(code)


def outcome(run: Run, seen: Sequence[Event], end: RunEnded) -> dict[str, Json]:
    """What ``--json`` prints when a run has ended."""
    return {
        "run": run.id,
        "path": str(run.path),
        "outcome": end.outcome,
        "code": end.code,
        "message": end.message,
        "stages": {e.stage: e.evidence for e in seen if isinstance(e, StageDone)},
        "alarms": [
            {"level": e.level, "stage": e.stage, "message": e.message}
            for e in seen
            if isinstance(e, Alarm)
        ],
    }


def view_of(run: Run) -> RunView:
    """The run's state now: from the index of its log and the rest, or from the whole log."""
    history = History(run.events_path)
    view = history.catch_up()
    if history.worth_saving:
        history.leave_index()
    return view


def snapshot(run: Run, json_: bool, beneath: Run | None = None) -> str:
    """``cpt watch --once``: a page of text, or one JSON object; ``beneath`` is another run."""
    view, status, items = view_of(run), read_status(run), load_items(run)
    other = (beneath.id, view_of(beneath)) if beneath else None
    if not json_:
        lines = summary(view, status, items=items, beneath=other)
        return "\n".join(clean(line) for line in lines)
    found: dict[str, Json] = {
        **row(run),
        "stages": {name: {"state": s.state} for name, s in view.stages.items()},
        "evidence": {name: view.evidence(name) for name in view.stages},
        "training": facts.training(view),
        "gate": facts.gate(view, items),
        "unreadable_lines": view.broken,
        "newer_lines": view.newer,
    }
    if other:
        found["overlay"] = {"run": other[0], **facts.training(other[1])}
    return json.dumps(found)


def row(run: Run) -> dict[str, Json]:
    """One run as ``cpt runs`` lists it, in the words of the home screen."""
    status, told = read_status(run), run_row(run)
    return {
        "run": run.id,
        "path": str(run.path),
        "state": told.state if told.state in ("stopped", "failed") else status.words,
        "stage": status.stage,
        "outcome": told.outcome,
        "guard": told.guard,
        "answers_changed": told.changed,
        "about": told.about,
        "fault": told.fault,
    }


def print_runs(runs: list[Run], json_: bool) -> None:
    """What ``cpt runs`` says."""
    if json_:
        typer.echo(json.dumps([row(run) for run in runs]))
        return
    for line in listed(runs):
        typer.echo(clean(line))
    if not runs:
        typer.echo("No runs yet; start one with: cpt demo")


def listed(runs: list[Run]) -> list[str]:
    """The runs as a table of text; no header without a run."""
    lines = [f"{'run':<44} {'state':<12} {'stage':<9} {'age':>6}  what"] if runs else []
    for run in runs:
        one = run_row(run)
        what = ", ".join(words for words in (one.about, one.note) if words)
        lines.append(f"{run.id:<44} {one.word:<12} {one.stage:<9} {one.age:>6}  {what}".rstrip())
    return lines
