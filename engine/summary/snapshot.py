"""What the training and the gate screen show, as plain values for ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.gate.items import ArmScores, Items, ScoredItem
from engine.runs.events import Event
from engine.runs.series import Series
from engine.runs.view import RunView
from engine.summary import gate_lines

if TYPE_CHECKING:
    from engine.artifacts.record import Json

STEP = ("step", "total", "tokens", "loss", "lr", "grad_norm", "tokens_per_s", "eta_s", "memory_gb")


def training(view: RunView) -> dict[str, Json]:
    """The newest step, held-out losses at their first and newest point, guard, samples, alarms."""
    curve = view.curve
    return {
        "series": curve.step.series if curve.step else None,
        "newest": {name: getattr(curve.step, name) for name in STEP} if curve.step else None,
        "domain": _ends(curve.domain),
        "generic": _ends(curve.generic),
        "not_finite": len(curve.loss.lost),
        "guard": view.guard,
        "generic_rise": curve.generic_rise,
        "limits": {k: v for k, v in view.limits.items() if k.startswith("forgetting")},
        "samples": [_plain(sample) for sample in view.samples],
        "alarms": [_plain(alarm) for alarm in view.alarms],
        "checkpoints": [_plain(checkpoint) for checkpoint in view.checkpoints],
    }


def gate(view: RunView, items: Items) -> dict[str, Json]:
    """Scores by arm and seed, what would change the verdict, and every item that changed."""
    verdict = view.made.gate
    changed = [item for state in ("won", "lost") for item in items.of(state)]
    return {
        "arms": {
            arm: {str(seed): event.score for seed, event in seeds.items()}
            for arm, seeds in view.arms.items()
        },
        "would_change": list(gate_lines.would_change(verdict)) if verdict else [],
        "items": dict(items.counts),
        "items_fault": items.fault,
        "changed": [_item(item) for item in changed],
    }


def _ends(series: Series) -> dict[str, Json] | None:
    """First and newest point of a curve as [step, nats per token]."""
    if series.first is None or series.last is None:
        return None
    return {"first": list(series.first), "newest": list(series.last)}


def _plain(event: Event) -> dict[str, Json]:
    return dict(vars(event))


def _item(item: ScoredItem) -> dict[str, Json]:
    return {
        "number": item.number + 1,
        "state": item.state,
        "difference": item.difference,
        "prompt": item.text.prompt if item.text else None,
        "completion": item.text.completion if item.text else None,
        "base": _arm(item.base),
        "cpt": _arm(item.cpt),
    }


def _arm(arm: ArmScores) -> dict[str, Json]:
    scores: dict[str, Json] = {str(seed): score for seed, score in arm.scores.items()}
    if not arm.answers:
        return {"scores": scores}
    return {"scores": scores, "answers": {str(s): answer for s, answer in arm.answers.items()}}
