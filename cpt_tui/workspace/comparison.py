"""Two runs side by side: what was measured, what training did, what the gate said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text

from cpt_tui.drawing.page import STATE_STYLES, Page, padded
from cpt_tui.run_list import RunRow
from cpt_tui.safe import clean_line
from engine.formatting import (
    format_bytes,
    format_count,
    format_duration,
    format_interval,
    format_rate,
    format_signed,
)
from engine.runs.view import RunView
from engine.summary.gate_lines import summarize_seeds

LABEL = 17
"""Cells of what a row compares."""
Told = Callable[["Side"], str]


@dataclass(frozen=True)
class Side:
    """One of the two runs."""

    row: RunRow
    view: RunView


def comparison_text(left: Side, right: Side, width: int) -> Text:
    """A table; a value that differs is bold, one that neither has is left out."""
    page, room = Page(), max(18, (width - LABEL - 4) // 2)
    for name, rows in SECTIONS.items():
        told = [(label, tell(left), tell(right)) for label, tell in rows.items()]
        told = [row for row in told if row[1] or row[2]]
        if told:
            page.heading(name)
        for label, mine, other in told:
            _row(page, label, mine, other, room)
    page.text.rstrip()
    return page.text


def _row(page: Page, label: str, mine: str, other: str, room: int) -> None:
    page.put(f"{label:<{LABEL}}", "dim")
    for value in (mine, other):
        shown = clean_line(value, room) if value else "-"
        word = shown.partition(" (")[0]
        style = STATE_STYLES.get(word, "bold" if mine != other else "")
        page.put(padded(shown, room + 2), style)
    page.add()


def head_text(left: Side, right: Side, width: int) -> Text:
    """The names of both, over their columns."""
    room = max(18, (width - LABEL - 4) // 2)
    text = Text(f"{'':<{LABEL}}", no_wrap=True, end="")
    for side in (left, right):
        text.append(padded(clean_line(side.row.name, room), room + 2), "bold")
    return text


def _scan(side: Side) -> str:
    found = side.view.made.scan
    if not found:
        return ""
    domain = found.domain
    return f"{format_count(domain.effective_tokens)} effective of {format_count(domain.tokens)}"


def _documents(side: Side) -> str:
    found = side.view.made.scan
    if not found:
        return ""
    return f"{format_count(found.domain.documents)}, {format_bytes(found.domain.bytes)}"


def _shape(side: Side) -> str:
    found = side.view.made.scan
    return found.scan.shape.kind.replace("_", " ") if found else ""


def _fertility(side: Side) -> str:
    found = side.view.made.scan
    return f"{found.fertility.ratio:.2f}x generic" if found and found.fertility else ""


def _ratio(side: Side) -> str:
    found = side.view.made.probe
    return format_interval(found.fluency.ratio) if found and found.fluency else ""


def _pilot(side: Side) -> str:
    found = side.view.made.probe
    return format_interval(found.pilot.gain, 3) if found and found.pilot else ""


def _decision(side: Side) -> str:
    found = side.view.made.decide
    return found.outcome if found else ""


def _deciding(side: Side) -> str:
    found = side.view.made.decide
    return found.deciding_node if found else ""


def _method(side: Side) -> str:
    facts = side.view.stages["train"].facts
    return facts.get("method", "")


def _rate(side: Side) -> str:
    found = side.view.made.train
    return format_rate(found.lr) if found and found.lr else ""


def _steps(side: Side) -> str:
    curve = side.view.curves.get("train")
    step = curve.step if curve else None
    return f"{step.step:,} of {step.total:,}, {format_count(step.tokens)} tokens" if step else ""


def _loss(name: str) -> Told:
    def tell(side: Side) -> str:
        curve = side.view.curves.get("train")
        series = getattr(curve, name) if curve else None
        if series is None or series.last is None or series.first is None:
            return ""
        return f"{series.last[1]:.4f} ({series.last[1] - series.first[1]:+.4f})"

    return tell


def _guard(side: Side) -> str:
    curve = side.view.curves.get("train")
    rise = curve.generic_rise if curve else None
    return "" if rise is None else f"{side.view.guard} ({format_signed(rise)} nats)"


def _speed(side: Side) -> str:
    curve = side.view.curves.get("train")
    last = curve.tokens_per_s.last if curve else None
    return f"{format_count(last[1])} tokens/s" if last else ""


def _took(side: Side) -> str:
    seconds = sum(stage.seconds or 0.0 for stage in side.view.stages.values())
    return format_duration(round(seconds)) if seconds else ""


def _verdict(side: Side) -> str:
    found = side.view.made.gate
    return f"{found.outcome} ({found.label})" if found and found.label else _outcome(side)


def _outcome(side: Side) -> str:
    found = side.view.made.gate
    return found.outcome if found else ""


def _points(side: Side) -> str:
    found = side.view.made.gate
    return f"{found.estimate:+.2f} ({found.low:+.2f} to {found.high:+.2f})" if found else ""


def _power(side: Side) -> str:
    found = side.view.made.gate
    if not found:
        return ""
    return f"{found.items:,} items x {found.seeds}, shows {found.mde:.1f} points"


def _arm(name: str) -> Told:
    def tell(side: Side) -> str:
        seeds = side.view.arms.get(name, {})
        return summarize_seeds([seed.score for seed in seeds.values()]) if seeds else ""

    return tell


SECTIONS: dict[str, dict[str, Told]] = {
    "What it is": {
        "state": lambda side: side.row.word,
        "model": lambda side: side.row.model,
        "text": lambda side: side.row.corpus,
        "time of stages": _took,
    },
    "Evidence": {
        "documents": _documents,
        "tokens": _scan,
        "shape": _shape,
        "surprise ratio": _ratio,
        "pilot's net gain": _pilot,
        "fertility": _fertility,
        "decision": _decision,
        "decided by": _deciding,
    },
    "Training": {
        "method": _method,
        "rate (LR)": _rate,
        "steps": _steps,
        "domain loss": _loss("domain"),
        "generic loss": _loss("generic"),
        "forgetting": _guard,
        "speed": _speed,
    },
    "Gate": {
        "verdict": _verdict,
        "points over base": _points,
        "power": _power,
        "base arm": _arm("base"),
        "CPT arm": _arm("cpt"),
    },
}
"""What is compared, in the order of a run."""
