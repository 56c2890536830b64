"""The run in plain words: a line per event (``--plain``) and a page (``--once``).

ASCII layout, 80 columns. Lines may hold text of strangers: the caller cleans them.
"""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Any

from engine import events as ev
from engine import gate_words, words
from engine.findings import NEVER_THE_VERDICT, POINTS, finding
from engine.words import one_line

if TYPE_CHECKING:
    from engine.items import Items
    from engine.launch import Status
    from engine.view import RunView

WIDTH = 80


def plain_lines(event: ev.Event) -> list[str]:
    """What a reader of a log wants to know of an event, stamped with its local time.

    Steps are told about a hundred times a run. Progress is always told: ``Narrator``
    holds it to one line in ten seconds.
    """
    teller = _TELLERS.get(type(event))
    lines = teller(event) if teller else []
    stamp = time.strftime("%H:%M:%S ", time.localtime(event.t)) if event.t else ""
    return [stamp + line for line in lines]


class Narrator:
    """``plain_lines`` with repeated progress held back: no more than one line in ``every`` s."""

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._last: tuple[str, str, float] = ("", "", 0.0)

    def lines(self, event: ev.Event) -> list[str]:
        if isinstance(event, ev.Progress):
            stage, label, t = self._last
            finished = event.total > 0 and event.done >= event.total
            same = (stage, label) == (event.stage, event.label)
            if same and event.t - t < self._every and not finished:
                return []
            self._last = (event.stage, event.label, event.t)
        return plain_lines(event)


def progress_words(event: ev.Progress) -> str:
    """``reading: 30 of 100 files, 12 s left``."""
    done = words.count(event.done)
    of = f"{done} of {words.count(event.total)}" if event.total else done
    left = f", {words.duration(event.eta_s)} left" if event.eta_s is not None else ""
    return f"{one_line(event.label)}: {of} {event.unit}".rstrip() + left


def step_words(event: ev.TrainStep) -> str:
    """One optimizer step in a line."""
    return (
        f"step {event.step} of {event.total}, loss {words.loss(event.loss)}, lr {event.lr:.2e}, "
        f"{words.count(event.tokens_per_s)} tokens/s, {words.duration(event.eta_s)} left"
    )


def _run_started(event: ev.RunStarted) -> list[str]:
    how = "resumed" if event.resumed else "started"
    return [f"run {event.run} {how} by worker {event.pid}: {', '.join(event.stages)}"]


def _facts(event: ev.Facts) -> list[str]:
    return [f"{event.stage}: {key} = {one_line(value)}" for key, value in event.facts.items()]


def _stage_started(event: ev.StageStarted) -> list[str]:
    return [f"{event.stage}: started" + (f", {one_line(event.detail)}" if event.detail else "")]


def _stage_done(event: ev.StageDone) -> list[str]:
    how = "kept from before" if event.skipped else f"done in {words.duration(event.seconds)}"
    return [
        f"{event.stage}: {how}",
        *(f"  {line}" for line in finding(event.stage, event.evidence)),
    ]


def _train_step(event: ev.TrainStep) -> list[str]:
    told = max(1, event.total // 100)
    if event.step % told and event.step not in (1, event.total) and event.loss is not None:
        return []
    return [f"{event.series}: {step_words(event)}"]


def _eval(event: ev.EvalPoint) -> list[str]:
    sides = [("domain", event.domain), ("generic", event.generic)]
    told = ", ".join(f"{name} {value:.4f}" for name, value in sides if value is not None)
    return [f"{event.series}: step {event.step} held-out loss: {told} nats/token"] if told else []


def _vocab(event: ev.VocabPoint) -> list[str]:
    when = POINTS.get(event.point, one_line(event.point))
    return [f"vocabulary: {when}: domain {event.domain:.4f}, generic {event.generic:.4f} bits/byte"]


def _sample(event: ev.Sample) -> list[str]:
    prompt = one_line(event.prompt)[-40:]
    base, current = one_line(event.base)[:60], one_line(event.current)[:60]
    return [f'{event.stage}: step {event.step}, after "{prompt}": base "{base}", now "{current}"']


def _checkpoint(event: ev.CheckpointSaved) -> list[str]:
    return [f"train: checkpoint {event.name} saved ({event.megabytes:.1f} MB)"]


def _alarm(event: ev.Alarm) -> list[str]:
    return [f"{event.level.upper()}: {event.stage}: {one_line(event.message)}"]


def _seed(event: ev.ArmSeed) -> list[str]:
    arm = {"base": "base arm", "cpt": "CPT arm"}.get(event.arm, event.arm)
    return [
        f"gate: {arm}, seed {event.seed}: {event.score:.1f} points "
        f"on {event.items} items ({event.done} of {event.total} done)"
    ]


def _control(event: ev.Control) -> list[str]:
    return [
        f"worker: {event.action}" + (f" at step {event.step}" if event.step is not None else "")
    ]


def _failed(event: ev.Failed) -> list[str]:
    return [f"FAILED: {event.stage}: {one_line(event.message)}"]


def _run_ended(event: ev.RunEnded) -> list[str]:
    told = f": {one_line(event.message)}" if event.message else ""
    return [f"run ended: {event.outcome} (exit code {event.code}){told}"]


_TELLERS: dict[type[ev.Event], Any] = {
    ev.RunStarted: _run_started,
    ev.Facts: _facts,
    ev.StageStarted: _stage_started,
    ev.Progress: lambda event: [f"{event.stage}: {progress_words(event)}"],
    ev.StageDone: _stage_done,
    ev.TrainStep: _train_step,
    ev.EvalPoint: _eval,
    ev.VocabPoint: _vocab,
    ev.Sample: _sample,
    ev.CheckpointSaved: _checkpoint,
    ev.Alarm: _alarm,
    ev.ArmSeed: _seed,
    ev.Control: _control,
    ev.Failed: _failed,
    ev.RunEnded: _run_ended,
}


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
    age = words.duration(max(0.0, now - view.last_t)) if view.last_t else "no data yet"
    lines = [
        f"run      {view.run or '(not started)'}",
        f"worker   {status.words}",
        f"data     {age} old" if view.last_t else f"data     {age}",
        "",
    ]
    for stage in view.stages.values():
        lines += _stage_lines(view, stage)
    lines += _training_lines(view) + beneath_lines(beneath) + _gate_lines(view, items)
    for alarm in view.alarms[-3:]:
        lines += _wrapped(f"{alarm.level:<9}", one_line(alarm.message))
    if view.failure:
        lines += ["", *_wrapped("failed   ", one_line(view.failure.message))]
    if view.ended:
        lines += ["", *_wrapped("outcome  ", f"{view.outcome}. {one_line(view.message)}")]
    return [line[:WIDTH] for line in lines]


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * 9, max_lines=4, placeholder=" ..."
    )


def _stage_lines(view: RunView, stage: Any) -> list[str]:
    state = state_words(view, stage.name)
    took = words.duration(stage.seconds) if stage.seconds is not None else ""
    lines = [f"{stage.name:<9}{state:<10}{took}".rstrip()]
    if stage.progress and stage.state == "running":
        lines += _wrapped(" " * 9, progress_words(stage.progress))
    for line in finding(stage.name, stage.evidence):
        lines += _wrapped(" " * 9, line)
    return lines


def state_words(view: RunView, name: str) -> str:
    """A stage's state as the rail says it."""
    stage = view.stages[name]
    if stage.state == "running" and view.paused:
        return "paused"
    if stage.state == "waiting" and view.ended:
        return "not run"
    return {"skipped": "kept"}.get(stage.state, stage.state)


def _training_lines(view: RunView) -> list[str]:
    curve = view.curve
    if curve.step is None:
        return []
    lines = ["", f"training {step_words(curve.step)}"]
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
    memory = f", {words.memory(curve.step.memory_gb)}" if curve.step.memory_gb else ""
    lines.append(f"         {words.count(curve.step.tokens)} tokens seen{memory}")
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
        lines += _wrapped("gate     ", f"{arm} arm: {told} points ({gate_words.spread(scores)})")
    both = [(s, view.arms.get("cpt", {}).get(n)) for n, s in view.arms.get("base", {}).items()]
    pairs = [cpt.score - base.score for base, cpt in both if cpt is not None]
    if pairs:
        lines += _wrapped("gate     ", f"CPT minus base by seed: {gate_words.spread(pairs)}")
    for line in gate_words.page(items) if items else []:
        lines.append(f"gate     {line}")
    return ["", *lines] if lines else []
