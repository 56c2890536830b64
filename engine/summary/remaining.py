"""How far a stage is, what is left of it, and one estimate for all that is planned."""

from __future__ import annotations

from dataclasses import dataclass

from engine.runs.view import RunView

SERIES = {"train": "train", "base": "base"}
"""Stages whose steps tell how far they are, and the series of those steps."""


@dataclass(frozen=True)
class Extent:
    """How far a stage is."""

    share: float | None = None
    """0 to 1; None where the stage does not say."""
    seconds_left: float | None = None
    """None where it is not known, and where nothing goes on."""
    seconds: float | None = None
    """Since the stage began, up to its newest event."""


def stage_extent(view: RunView, name: str) -> Extent:
    """How far a stage is, by its steps or its own progress."""
    stage = view.stages.get(name)
    if stage is None or stage.state not in ("running", "stopped", "failed"):
        return Extent()
    since = view.last_t - stage.started if stage.started else None
    done, total, left = 0.0, 0.0, None
    curve = view.curves.get(SERIES.get(name, ""))
    if curve is not None and curve.step is not None and curve.step.t >= stage.started:
        done, total, left = curve.step.step, curve.step.total, curve.step.eta_s
    elif stage.progress is not None:
        done, total, left = stage.progress.done, stage.progress.total, stage.progress.eta_s
    share = min(1.0, done / total) if total else None
    return Extent(share, left if view.at_work else None, since)


def _arm_seconds(view: RunView) -> float | None:
    """What one arm of the gate takes, by the baseline so far; None before it says enough."""
    stage, extent = view.stages["baseline"], stage_extent(view, "baseline")
    if stage.state == "done":
        return stage.seconds
    if extent.share is None or not 0.05 < extent.share < 1 or extent.seconds_left is None:
        return None
    return extent.seconds_left / (1 - extent.share)


def run_seconds_left(view: RunView) -> float | None:
    """One estimate for the planned stages that are not done; None before the price is known.

    The running stage's own time left; then what the probe's timing predicts for training and
    the gate, the gate's half by the baseline's real time as soon as that arm tells it.
    """
    probed = view.made.probe
    price = probed.cost if probed else None
    if price is None or not view.at_work:
        return None
    half = _arm_seconds(view)
    half = price.gate_seconds / 2 if half is None else half
    expected = {"baseline": half, "train": price.train_seconds, "gate": half}
    total = 0.0
    for name in view.planned:
        stage = view.stages.get(name)
        if stage is None or stage.state in ("done", "skipped"):
            continue
        extent = stage_extent(view, name)
        if stage.state == "running" and extent.seconds_left is not None:
            total += extent.seconds_left
        else:
            total += max(0.0, expected.get(name, 0.0) - (extent.seconds or 0.0))
    return total
