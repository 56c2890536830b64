"""The run in plain words: a line per event (``--plain``) and a page (``--once``).

ASCII layout, 80 columns. Lines may hold text of strangers: the caller cleans them.
"""

from __future__ import annotations

import time
from functools import singledispatch

from engine.formatting import format_count, format_duration, format_loss, one_line
from engine.runs import events as ev
from engine.summary.findings import POINTS, finding


def plain_lines(event: ev.Event) -> list[str]:
    """What a reader of a log wants to know of an event, stamped with its local time.

    Steps are told about a hundred times a run. Progress is always told: ``Narrator``
    holds it to one line in ten seconds.
    """
    lines = _tell(event)
    stamp = time.strftime("%H:%M:%S ", time.localtime(event.t)) if event.t else ""
    return [stamp + line for line in lines]


class Narrator:
    """``plain_lines`` with repeated progress held back: no more than one line in ``every`` s.

    Of training no more than one in ``step_every`` s; the last step, and one without a loss, always.
    """

    def __init__(self, every: float = 10.0, step_every: float = 5.0) -> None:
        self._every, self._step_every = every, step_every
        self._stepped: dict[str, float] = {}
        self._last: tuple[str, str, float] = ("", "", 0.0)

    def lines(self, event: ev.Event) -> list[str]:
        if isinstance(event, ev.Progress):
            stage, label, t = self._last
            finished = event.total > 0 and event.done >= event.total
            same = (stage, label) == (event.stage, event.label)
            if same and event.t - t < self._every and not finished:
                return []
            self._last = (event.stage, event.label, event.t)
        lines = plain_lines(event)
        if isinstance(event, ev.TrainStep) and lines:
            since = event.t - self._stepped.get(event.series, float("-inf"))
            if since < self._step_every and event.step < event.total and event.loss is not None:
                return []
            self._stepped[event.series] = event.t
        return lines


def newer_words(count: int) -> str:
    """That a log holds events of a kind that is not known here; empty where it holds none."""
    lines = "1 line of this log is" if count == 1 else f"{count:,} lines of this log are"
    return f"{lines} of a newer cpt, and not shown" if count else ""


def progress_words(event: ev.Progress, at_work: bool) -> str:
    """``reading: 30 of 100 files, 12 s left``; no time is left where nothing goes on."""
    done = format_count(event.done)
    of = f"{done} of {format_count(event.total)}" if event.total else done
    known = at_work and event.eta_s is not None
    left = f", {time_left(event.eta_s, event.done, event.total)}" if known else ""
    return f"{one_line(event.label)}: {of} {event.unit}".rstrip() + left


def step_words(event: ev.TrainStep, at_work: bool) -> str:
    """One optimizer step in a line; no time is left where nothing goes on."""
    known = at_work and event.eta_s is not None
    left = f", {time_left(event.eta_s, event.step, event.total)}" if known else ""
    return (
        f"step {event.step} of {event.total}, loss {format_loss(event.loss)}, lr {event.lr:.2e}, "
        f"{format_count(event.tokens_per_s)} tokens/s{left}"
    )


def time_left(seconds: float | None, done: float, total: float) -> str:
    """``12 s left``; ``almost done`` for what is below a second and not through."""
    soon = seconds is not None and seconds < 1 and done < total
    return "almost done" if soon else f"{format_duration(seconds)} left"


@singledispatch
def _tell(event: ev.Event) -> list[str]:
    """The lines of an event, without its time; none of a kind that has nothing to tell."""
    return []


@_tell.register
def _run_started(event: ev.RunStarted) -> list[str]:
    how = "resumed" if event.resumed else "started"
    return [f"run {event.run} {how} by worker {event.pid}: {', '.join(event.stages)}"]


@_tell.register
def _facts(event: ev.Facts) -> list[str]:
    return [f"{event.stage}: {key} = {one_line(value)}" for key, value in event.facts.items()]


@_tell.register
def _stage_started(event: ev.StageStarted) -> list[str]:
    return [f"{event.stage}: started" + (f", {one_line(event.detail)}" if event.detail else "")]


@_tell.register
def _progress(event: ev.Progress) -> list[str]:
    return [f"{event.stage}: {progress_words(event, True)}"]


@_tell.register
def _stage_done(event: ev.StageDone) -> list[str]:
    how = "kept from before" if event.skipped else f"done in {format_duration(event.seconds)}"
    return [
        f"{event.stage}: {how}",
        *(f"  {line}" for line in finding(event.stage, event.evidence)),
    ]


@_tell.register
def _train_step(event: ev.TrainStep) -> list[str]:
    told = max(1, event.total // 100)
    if event.step % told and event.step not in (1, event.total) and event.loss is not None:
        return []
    return [f"{event.series}: {step_words(event, True)}"]


@_tell.register
def _eval(event: ev.EvalPoint) -> list[str]:
    sides = [("domain", event.domain), ("generic", event.generic)]
    told = ", ".join(f"{name} {value:.4f}" for name, value in sides if value is not None)
    return [f"{event.series}: step {event.step} held-out loss: {told} nats/token"] if told else []


@_tell.register
def _vocab(event: ev.VocabPoint) -> list[str]:
    when = POINTS.get(event.point, one_line(event.point))
    return [f"vocabulary: {when}: domain {event.domain:.4f}, generic {event.generic:.4f} bits/byte"]


@_tell.register
def _sample(event: ev.SampleWritten) -> list[str]:
    prompt = one_line(event.prompt)[-40:]
    base, current = one_line(event.base)[:60], one_line(event.current)[:60]
    return [f'{event.stage}: step {event.step}, after "{prompt}": base "{base}", now "{current}"']


@_tell.register
def _checkpoint(event: ev.CheckpointSaved) -> list[str]:
    return [f"train: checkpoint {event.name} saved ({event.megabytes:.1f} MB)"]


@_tell.register
def _alarm(event: ev.Alarm) -> list[str]:
    return [f"{event.level.upper()}: {event.stage}: {one_line(event.message)}"]


@_tell.register
def _seed(event: ev.ArmSeed) -> list[str]:
    arm = {"base": "base arm", "cpt": "CPT arm"}.get(event.arm, event.arm)
    return [
        f"gate: {arm}, seed {event.seed}: {event.score:.1f} points "
        f"on {event.items} items ({event.done} of {event.total} done)"
    ]


@_tell.register
def _look(event: ev.GateLooked) -> list[str]:
    return [f"gate: {look_words(event)}"]


def look_words(event: ev.GateLooked) -> str:
    """One look in a line: the estimate, where a verdict begins, and what follows."""
    told = (
        f"look at {event.seeds} of at most {event.most} seeds: {event.estimate:+.1f} points "
        f"({event.low:+.1f} to {event.high:+.1f}), a verdict begins at {event.boundary:.1f}"
    )
    return f"{told}; {'stops' if event.stop else 'goes on'}: {one_line(event.why)}"


@_tell.register
def _control(event: ev.Control) -> list[str]:
    return [
        f"worker: {event.action}" + (f" at step {event.step}" if event.step is not None else "")
    ]


@_tell.register
def _failed(event: ev.Failed) -> list[str]:
    where = f"{event.stage}: " if event.stage else ""  # nothing had started yet
    return [f"FAILED: {where}{one_line(event.message)}"]


@_tell.register
def _run_ended(event: ev.RunEnded) -> list[str]:
    said = event.outcome == "FAILED"  # the event before it gave the sentence
    told = f": {one_line(event.message)}" if event.message and not said else ""
    return [f"run ended: {event.outcome} (exit code {event.code}){told}"]
