"""The status line: which stage, a bar, what is left of it and in all; or the key that goes on."""

from __future__ import annotations

from rich.text import Text

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import STATE_STYLES
from cpt_tui.feed import Feed
from cpt_tui.run_list import CHANGED
from cpt_tui.safe import clean_line
from cpt_tui.terminal import glyphs
from engine.formatting import format_duration, format_short_duration
from engine.runs.view import RunView
from engine.summary.log_lines import time_left
from engine.summary.page import state_words
from engine.summary.remaining import Extent, run_seconds_left, stage_extent

BAR = 12
"""Cells of the bar."""


def status_text(feed: Feed) -> Text:
    """One row: where the run is and what is left, or how to go on with it."""
    view, status = feed.view, feed.status
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    if feed.answers_changed:
        text.append(CHANGED, "bold yellow").append("  ")
    if status.alive and status.state == "starting":
        return text.append(clean_line(status.words), "bold")
    stage = view.current or view.latest
    if view.at_work:
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
        text.append(view.outcome, STATE_STYLES.get(view.outcome, "bold"))
        return text.append("  the report: r" if feed.run.report_path.is_file() else "", "dim")
    return text.append("not started", "dim")


_BROKEN_OFF = ("running", "stopped")


def _at_work(text: Text, view: RunView, stage: str) -> Text:
    """The running stage, and one estimate for all that is planned."""
    if stage not in view.stages:
        return text.append("between two stages", "dim")
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
