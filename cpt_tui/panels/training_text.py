"""Under the charts of training: guard, progress, sparklines, alarms; and what the model writes."""

from __future__ import annotations

from itertools import groupby

from rich.text import Text

from cpt_tui.drawing.bars import spark
from cpt_tui.drawing.page import STATE_STYLES, Page, column_width, wrapped
from cpt_tui.safe import clean_line
from cpt_tui.terminal import glyphs
from engine.formatting import format_count, format_loss
from engine.runs.events import Alarm, SampleWritten
from engine.runs.view import Curve, RunView
from engine.summary.findings import NEVER_THE_VERDICT
from engine.summary.log_lines import progress_words

SAMPLE_LIMIT = 1200
"""Characters shown of one continuation."""
SIDE_BY_SIDE = 64
"""Cells from which base and present stand beside each other."""


def training_text(view: RunView, curve: Curve, width: int, sample: bool = False) -> Text:
    """What the charts do not say, most urgent first; ``sample`` adds what it wrote last."""
    page = Page()
    page.add(NEVER_THE_VERDICT, "italic")
    if curve.step is None:
        stage = view.stages["train"]
        waits = progress_words(stage.progress, view.at_work) if stage.progress else "no steps yet"
        return page.add(f"Training: {waits}", "dim").text
    if curve is not view.curves.get("train"):
        page.add("forgetting is not watched here: a demo builds its base model first", "dim")
    _lost(page, curve)
    before = view.alarms[:-1]
    _alarms(page, view.alarms[-1:], width)
    _sparks(page, curve, width)
    if before:
        page.add(f"alarms before that, newest first ({len(before)})", "dim")
    _alarms(page, before, width)
    _checkpoint(page, view)
    if sample and view.samples:
        newest = view.samples[-1]
        page.put(f"wrote at step {newest.step} (w shows all): ", "dim")
        page.add(clean_line(f"{newest.prompt} {newest.current}", max(20, 2 * width - 36)))
    page.text.rstrip()
    return page.text


def _lost(page: Page, curve: Curve) -> None:
    """Steps without a loss; where the run is stands in its status line."""
    if curve.loss.lost:
        page.add(f"{len(curve.loss.lost)} steps not finite", "bold red")


def _sparks(page: Page, curve: Curve, width: int) -> None:
    """Four curves in a row of characters each, on their own ranges."""
    assert curve.step is not None
    rows = (
        ("train loss", format_loss(curve.step.loss), curve.loss),
        ("rate (LR)", f"{curve.step.lr:.2e}", curve.lr),
        ("grad norm", _plain(curve.step.grad_norm), curve.grad_norm),
        ("tokens/s", format_count(curve.step.tokens_per_s), curve.tokens_per_s),
    )
    room = max(8, min(100, width - 24))
    for label, value, series in rows:
        page.put(f"{label:<11}", "dim").put(f"{value:<11}", "bold")
        page.put(glyphs(spark(series.points(), room)), "dim").add()


def _plain(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"


def _alarms(page: Page, alarms: list[Alarm], width: int) -> None:
    """Alarms in their words, the newest first."""
    for alarm in reversed(alarms):
        style, at = STATE_STYLES.get(alarm.level, ""), len(alarm.level) + 1
        page.item(alarm.level, clean_line(alarm.message, 2 * (width - at) - 8), width, style, at)


def _checkpoint(page: Page, view: RunView) -> None:
    if view.checkpoints:
        newest = view.checkpoints[-1]
        page.put("checkpoint ", "dim").put(clean_line(newest.name, 30))
        page.add(f" at step {newest.step:,}, {newest.megabytes:.1f} MB", "dim")


def samples_text(view: RunView, width: int) -> Text:
    """What the model wrote at each evaluation, the newest first; the base's text beside it."""
    page = Page()
    page.add("What it writes, the base beside it", "bold")
    if not view.samples:
        return page.add("No samples yet: they come with the evaluations.", "dim").text
    newest_first = sorted(view.samples, key=lambda sample: -sample.step)
    for step, samples in groupby(newest_first, key=lambda sample: sample.step):
        page.add(f"step {step:,}", "bold cyan")
        for sample in samples:
            _sample(page, sample, width)
    page.text.rstrip()
    return page.text


def _sample(page: Page, sample: SampleWritten, width: int) -> None:
    """One prompt and how it goes on: now, and from the untouched base."""
    page.put("prompt ", "dim").quote(sample.prompt, width - 7, 0, 300)
    now, base = clean_line(sample.current, SAMPLE_LIMIT), clean_line(sample.base, SAMPLE_LIMIT)
    if base and width >= SIDE_BY_SIDE:
        room = column_width(width)
        page.beside(["base:", *wrapped(base, room)], ["at this step:", *wrapped(now, room)], width)
    else:
        if base:
            page.item("  base", base, width, "dim", 8)
        page.item("  now", now or "(nothing)", width, "bold", 8)
    page.add()
