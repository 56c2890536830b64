"""The report's part on training: what was packed, what training came to, the rates tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.training import PackArtifact, RateTrial, TrainArtifact
from engine.formatting import format_loss, format_rate, format_signed
from engine.report.markdown import table

NOT_THE_VERDICT = "Training loss always falls; it is never the verdict."


def render_training(made: Artifacts, images: Mapping[str, str]) -> str:
    """The whole part; empty before the packs. ``images`` are the charts' image lines by name."""
    if not made.pack:
        return ""
    outcome = f"\n{_render_outcome(made.train, images)}" if made.train else ""
    return _render_packing(made.pack) + outcome


def _render_packing(pack: PackArtifact) -> str:
    ledger = table(("ledger", ""), [[name, f"{count:,}"] for name, count in pack.ledger.lines()])
    return (
        f"## Training\n\n{NOT_THE_VERDICT}\n\n{ledger}\n\n"
        f"{pack.rows:,} rows of {pack.sequence_length} tokens; mix-back asked "
        f"{100 * pack.asked_mix:.1f}%, achieved {100 * pack.achieved_mix:.2f}%.\n"
    )


def _render_outcome(train: TrainArtifact, images: Mapping[str, str]) -> str:
    pictures = "\n\n".join(images[name] for name in ("losses", "forgetting") if name in images)
    rise = format_signed(train.generic_rise, 4)
    return (
        f"{pictures}\n\n{render_heldout_losses(train)}\n\n"
        f"{train.steps:,} steps, {train.tokens:,} tokens, {train.method}, rate "
        f"{format_rate(train.lr)}, {train.dtype}. Forgetting guard: {train.guard} "
        f"({rise} nats).\n" + _render_rate_trials(train.lr_pilot, train.lr)
    )


def render_heldout_losses(train: TrainArtifact) -> str:
    """Both sides before and after; what is not known is ``not finite``."""
    rows = [
        ["domain", format_loss(train.domain_before), format_loss(train.domain_after)],
        ["generic", format_loss(train.generic_before), format_loss(train.generic_after)],
    ]
    return table(("held-out loss, nats/token", "before", "after"), rows)


def _render_rate_trials(trials: Sequence[RateTrial], taken: float | None) -> str:
    """The rates that were tried before the run; old artifacts have none."""
    if not trials:
        return ""
    rows = []
    for trial in trials:
        rate = f"**{trial.lr:g}** (taken)" if trial.lr == taken else f"{trial.lr:g}"
        losses = (f"{trial.domain:.4f}", f"{trial.generic_rise:+.4f}")
        rows.append([rate, *(("broke", "") if trial.broken else losses)])
    heading = "Learning rate by a pilot, each from the base on the same first batches:"
    return f"\n{heading}\n\n{table(('rate', 'domain loss', 'generic rise'), rows)}\n"
