"""A run on one page of plain text: ``cpt watch --once``, and the page after a stop."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

from engine.formatting import WIDTH, format_count, format_duration, format_memory, one_line
from engine.runs.events import Unreadable
from engine.summary import gate_lines
from engine.summary.findings import NEVER_THE_VERDICT, describe_stage
from engine.summary.log_lines import _sample, newer_words, progress_words, step_words

if TYPE_CHECKING:
    from engine.gate.items import Items
    from engine.runs.launch import Status
    from engine.runs.view import RunView, StageView


def summary(
    view: RunView,
    status: Status,
    now: float | None = None,
    items: Items | None = None,
    beneath: tuple[str, RunView] | None = None,
) -> list[str]:
    """The whole run on a page of text, at most 80 columns.

    ``items`` are the gate's; ``beneath`` is another run to compare with, and its name.
    """
    now = time.time() if now is None else now
    age = format_duration(max(0.0, now - view.last_t)) if view.last_t else "no data yet"
    view.see(status)
    lines = [
        f"run      {view.run or '(not started)'}",
        *_wrapped("worker   ", status.words),
        f"data     {age} old" if view.last_t else f"data     {age}",
        "",
    ]
    for stage in view.stages.values():
        lines += _stage_lines(view, stage)
    lines += _training_lines(view) + beneath_lines(beneath) + _gate_lines(view, items)
    of_the_log = [alarm for alarm in view.alarms[:-3] if isinstance(alarm, Unreadable)]
    for alarm in [*of_the_log, *view.alarms[-3:]]:
        lines += _wrapped(f"{alarm.level:<9}", one_line(alarm.message))
    if view.newer:
        lines += _wrapped("note     ", newer_words(view.newer))
    if view.failure:
        lines += ["", *_wrapped("failed   ", one_line(view.failure.message))]
    if view.ended:
        lines += ["", *_wrapped("outcome  ", f"{view.outcome}. {one_line(view.message)}")]
    return [line[:WIDTH] for line in lines]


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * 9, max_lines=4, placeholder=" ..."
    )


def _stage_lines(view: RunView, stage: StageView) -> list[str]:
    state = state_words(view, stage.name)
    took = format_duration(stage.seconds) if stage.seconds is not None else ""
    lines = [f"{stage.name:<9}{state:<12}{took}".rstrip()]
    if stage.progress and stage.state == "running":
        lines += _wrapped(" " * 9, progress_words(stage.progress, view.at_work))
    for line in describe_stage(stage.name, view.made):
        lines += _wrapped(" " * 9, line)
    return lines


def state_words(view: RunView, name: str) -> str:
    """A stage's state as the rail says it."""
    stage = view.stages[name]
    if stage.state == "running" and not view.at_work:
        return "paused" if view.paused else "interrupted"
    if stage.state == "waiting" and view.ended:
        return "not run"
    return {"skipped": "kept"}.get(stage.state, stage.state)


def _training_lines(view: RunView) -> list[str]:
    curve = view.curve
    if curve.step is None:
        return []
    lines = ["", *_wrapped("training ", step_words(curve.step, view.at_work))]
    for name, series in (("domain", curve.domain), ("generic", curve.generic)):
        if series.first and series.last:
            change = series.last[1] - series.first[1]
            lines.append(
                f"         {name:<8}held-out loss {series.last[1]:.4f} "
                f"({change:+.4f} since step {series.first[0]:g})"
            )
    green, amber = view.limits["forgetting_green"], view.limits["forgetting_amber"]
    limits = f" (amber above {green:+g} nats, red above {amber:+g})"
    lines.append(f"         forgetting: {view.guard}{limits if curve.generic.last else ''}")
    lines.append(f"         {NEVER_THE_VERDICT}")
    memory = f", {format_memory(curve.step.memory_gb)}" if curve.step.memory_gb else ""
    lines.append(f"         {format_count(curve.step.tokens)} tokens seen{memory}")
    if view.samples:
        for line in _sample(view.samples[-1]):
            lines += _wrapped(" " * 9, line)
    return lines


def beneath_lines(beneath: tuple[str, RunView] | None) -> list[str]:
    """Another run's held-out losses, to compare with; none where there is no other run."""
    if beneath is None:
        return []
    name, view = beneath
    curve = view.curves.get("train") or view.curve
    lines = [f"beneath  {one_line(name)}"]
    for side, series in (("domain", curve.domain), ("generic", curve.generic)):
        if series.first and series.last:
            lines.append(
                f"         {side:<8}held-out loss {series.last[1]:.4f} at step "
                f"{series.last[0]:g} ({series.last[1] - series.first[1]:+.4f})"
            )
    return lines if len(lines) > 1 else [*lines, "         no held-out loss yet"]


def _gate_lines(view: RunView, items: Items | None) -> list[str]:
    """Each arm's seeds and their spread, and the items that were won and lost."""
    lines = []
    for arm, seeds in view.arms.items():
        scores = [seed.score for seed in seeds.values()]
        told = ", ".join(f"{score:.1f}" for score in scores)
        lines += _wrapped(
            "gate     ", f"{arm} arm: {told} points ({gate_lines.summarize_seeds(scores)})"
        )
    both = [(s, view.arms.get("cpt", {}).get(n)) for n, s in view.arms.get("base", {}).items()]
    pairs = [cpt.score - base.score for base, cpt in both if cpt is not None]
    if pairs:
        lines += _wrapped(
            "gate     ", f"CPT minus base by seed: {gate_lines.summarize_seeds(pairs)}"
        )
    for line in gate_lines.summarize_items(items) if items else []:
        lines.append(f"gate     {line}")
    return ["", *lines] if lines else []
