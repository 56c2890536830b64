"""The status line, two rows on every screen of a run: where it is, and what it has come to.

First the stages, the one at work with its bar, and what is left of it and in all; then guard,
change of domain loss, step and rate; at the end the verdict, and the keys that go on from it.
"""

from __future__ import annotations

from rich.text import Text

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import STATE_STYLES
from cpt_tui.feed import Feed
from cpt_tui.run_list import CHANGED
from cpt_tui.safe import clean_line
from cpt_tui.terminal import ascii_only, glyphs
from engine.formatting import (
    format_count,
    format_duration,
    format_memory,
    format_short_duration,
    format_signed,
)
from engine.runs.view import RunView
from engine.summary.log_lines import progress_words, time_left
from engine.summary.page import state_words
from engine.summary.remaining import Extent, run_seconds_left, stage_extent

BAR = 10
"""Cells of the bar."""
DOTS = {"done": "●", "kept": "●", "running": "◐", "failed": "✗", "not run": "·"}
PLAIN_DOTS = {"done": "#", "kept": "#", "running": ">", "failed": "x", "not run": "."}
JUDGED = ("EARNED", "TIE", "HURT")


def status_text(feed: Feed, strip: bool) -> Text:
    """Both rows; ``strip`` shows the stages in a row of dots, where no rail does."""
    first = Text(no_wrap=True, overflow="ellipsis", end="")
    if feed.answers_changed:
        first.append(CHANGED, "bold yellow").append("  ")
    if strip:
        first.append_text(stage_dots(feed.view)).append("  ")
    _where(first, feed)
    second = Text(no_wrap=True, overflow="ellipsis", end="")
    _come_to(second, feed)
    return Text("\n", no_wrap=True, overflow="ellipsis", end="").join([first, second])


def stage_dots(view: RunView) -> Text:
    """``●●●◐○○○○``: the planned stages in a row."""
    text, signs = Text(), PLAIN_DOTS if ascii_only() else DOTS
    for name in view.stages:
        if name in view.planned or view.stages[name].state != "waiting":
            state = state_words(view, name)
            text.append(signs.get(state, "-" if ascii_only() else "○"), STATE_STYLES.get(state, ""))
    return text


def _where(text: Text, feed: Feed) -> Text:
    """Where the run is and what is left, or how to go on with it."""
    view, status = feed.view, feed.status
    if status.alive and status.state == "starting":
        return text.append(clean_line(status.words), "bold")
    stage = view.current or view.latest
    if view.at_work and (view.started or status.alive):
        return _at_work(text, view, view.current or status.stage)
    if view.paused:
        _bar(text, stage, "paused", stage_extent(view, stage))
        return text.append("  p goes on", "bold")
    if view.outcome == "FAILED":
        return text.append(f"{stage} failed", "bold red").append("  p tries again, t says more")
    if view.gone or view.outcome == "STOPPED":
        stage = next((n for n, s in view.stages.items() if s.state in _BROKEN_OFF), stage)
        _bar(text, stage, "interrupted" if view.gone else "stopped", stage_extent(view, stage))
        return text.append("  p resumes", "bold")
    if view.ended:
        text.append(view.outcome, f"{STATE_STYLES.get(view.outcome, 'bold')}")
        return text.append(_size(view)).append(f"  {_took(view)}", "dim")
    return text.append("not started", "dim")


_BROKEN_OFF = ("running", "stopped")


def _size(view: RunView) -> str:
    """`` +4.35 points (+1.02 to +7.69)``; empty without a verdict of the gate."""
    judged = view.made.gate if view.outcome in JUDGED else None
    if judged is None:
        return ""
    label = f" ({clean_line(judged.label, 20)})" if judged.label else ""
    return f"{label} {judged.estimate:+.2f} points ({judged.low:+.2f} to {judged.high:+.2f})"


def _took(view: RunView) -> str:
    seconds = sum(stage.seconds or 0.0 for stage in view.stages.values())
    return f"after {format_duration(round(seconds))}" if seconds else ""


def _at_work(text: Text, view: RunView, stage: str) -> Text:
    """The running stage, and one estimate for all that is planned."""
    if stage not in view.stages:
        return text.append("between two stages" if view.started else "not started", "dim")
    extent = stage_extent(view, stage)
    _bar(text, stage, state_words(view, stage), extent)
    if extent.seconds_left is not None:
        text.append(f"  {time_left(extent.seconds_left, extent.share or 0.0, 1.0)}", "bold")
    elif extent.seconds is not None:
        text.append(f"  {format_duration(round(extent.seconds))} so far")
    whole = run_seconds_left(view)
    if whole is not None:
        text.append(f"  all stages: {format_short_duration(whole)}", "dim")
    return text


def _bar(text: Text, stage: str, state: str, extent: Extent) -> None:
    """``train running ████░░░░ 42%``; without a share, no bar."""
    text.append(f"{clean_line(stage, 12)} ", "bold").append(state, STATE_STYLES.get(state, ""))
    if extent.share is not None:
        text.append(" " + glyphs(bar(extent.share, 1.0, BAR)), "dim")
        text.append(f" {extent.share:.0%}")


def _come_to(text: Text, feed: Feed) -> None:
    """What training has come to; before it, what the stage is at; at the end, what is next."""
    view = feed.view
    if view.ended and not feed.status.alive and (keys := next_keys(feed)):
        text.append("next: ", "dim")
        for key, said in keys:
            text.append(key, "bold").append(f" {said}  ")
        return
    curve = view.curves.get("train")
    if curve is not None and curve.step is not None:
        rise, domain, step = curve.generic_rise, curve.domain, curve.step
        text.append("guard ", "dim").append(view.guard, STATE_STYLES.get(view.guard, ""))
        text.append(f" {format_signed(rise)}" if rise is not None else "")
        if domain.first and domain.last:
            change = domain.last[1] - domain.first[1]
            text.append("  domain ", "dim").append(format_signed(change), "bold")
        text.append("  step ", "dim").append(f"{step.step:,} of {step.total:,}", "bold")
        if view.at_work and view.current == "train":
            text.append(f"  {format_count(step.tokens_per_s)} tokens/s")
        text.append(f"  {format_count(step.tokens)} tokens", "dim")
        text.append(f"  {format_memory(step.memory_gb)}" if step.memory_gb else "", "dim")
        return
    stage = view.stages.get(view.current)
    if stage is not None and stage.progress is not None:
        text.append(clean_line(progress_words(stage.progress, view.at_work)))
    elif made := view.made.decide:
        text.append("decision ", "dim").append(made.outcome, STATE_STYLES.get(made.outcome, ""))


def next_keys(feed: Feed) -> list[tuple[str, str]]:
    """What goes on from where a run ended: each a key of its screen, and what it does."""
    view, keys = feed.view, []
    made = view.made
    if view.outcome in JUDGED:
        keys += [("e", "export"), ("a", "arms")] if view.outcome == "EARNED" or made.finish else []
        keys += [] if made.finish else [("f", "finish")]
    elif view.outcome in ("GO", "NO-GO", "NOT YET"):
        keys.append(("i", "the interview: what to do with it"))
    elif view.outcome == "DONE":
        keys.append(("e", "export"))
    if feed.run.report_path.is_file():
        keys.append(("r", "report"))
    return keys
