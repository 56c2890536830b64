"""The report's appendix: all that was read, measured, decided, trained and tested."""

from __future__ import annotations

from collections.abc import Mapping

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.decision import Step, Verdict
from engine.artifacts.shipping import ExportArtifact, FinishArtifact
from engine.formatting import format_bytes
from engine.recipe.sections import Recipe
from engine.recipe.toml import provenance
from engine.report.evidence import render_evidence
from engine.report.gate import render_gate
from engine.report.markdown import code, inert, table
from engine.report.training import render_training
from engine.report.vocabulary import render_vocabulary
from engine.runs.run import Run
from engine.summary.findings import unanswered
from engine.thresholds import THRESHOLDS


def render_appendix(run: Run, recipe: Recipe, made: Artifacts, images: Mapping[str, str]) -> str:
    """Everything behind the first page, in the order in which it was done.

    ``images`` are the charts' image lines by name.
    """
    parts = [
        "---\n\n# Appendix\n",
        _render_decision(made.decide) if made.decide else "",
        render_evidence(made),
        render_training(made, images),
        render_vocabulary(run.id, recipe, made),
        render_gate(run, recipe, made, images),
        _describe_stage_two(made.finish) if made.finish else "",
        _describe_export(made.export) if made.export else "",
        _render_thresholds(recipe),
        _render_provenance(run),
        "Replay: `cpt run recipe.toml` with the recipe of this run; its `[provenance]` holds the "
        "hashes, versions and seeds that a replay must match.\n",
    ]
    return "\n".join(part for part in parts if part)


def _render_decision(decision: Verdict) -> str:
    rows = [
        [inert(step.question), inert(step.answer) + _mark(step), step.outcome, inert(step.source)]
        for step in decision.path
    ]
    steps = table(("question", "answer", "outcome", "source"), rows)
    advice = f"\nInstead: {inert(decision.instead)}\n" if decision.instead else ""
    nodes = unanswered(decision.path)
    missing = f"\nNot answered: {', '.join(nodes)}.\n" if nodes else ""
    sentence = inert(decision.sentence)
    return f"## Should I? {decision.outcome}\n\n{sentence}\n{advice}\n{steps}\n{missing}"


def _mark(step: Step) -> str:
    if step.unverified:
        return " (unverified)"
    known = step.measured or step.answer.startswith("unanswered")
    return "" if known else " (answered)"


def _describe_stage_two(finish: FinishArtifact) -> str:
    """How stage two was done; its table is on the first page."""
    asked, got = 100 * finish.mix_back, 100 * finish.achieved_mix
    reused = "; ".join(f"{r.name}: {', '.join(r.reused)}" for r in finish.rows if r.reused)
    arms = ", ".join(f"{name} {gold:.1f}" for name, gold in finish.gate_gold.items())
    lines = [
        f"The gate's SFT recipe, unchanged, with seed {finish.seed}; metric "
        f"{inert(finish.metric)} on {finish.items} gold items.",
        f"Generic share of the tokens that carry loss: asked {asked:.1f}%, achieved {got:.2f}%. "
        f"{inert(finish.mix_back_why)}.",
        f"Not measured again, but taken over from training and gate: {reused}.",
        f"The gate's own arms under this seed, without generic text: {arms} points.",
        f"Generic loss of the task model over the base's: {finish.generic_rise:+.4f} nats "
        f"({finish.guard}). One seed: the table shows levels, the gate shows the difference.",
    ]
    return "## Stage two\n\n" + "\n\n".join(lines) + "\n"


def _describe_export(export: ExportArtifact) -> str:
    proof = export.proof
    pushed = f" Pushed to {inert(export.pushed)}." if export.pushed else ""
    return (
        f"## Export\n\nThe {export.what} model, {format_bytes(export.bytes)}, to "
        f"{code(export.path)}. Loaded in a fresh process by plain transformers, its logits "
        f"differ by at most {proof.largest:.3g} from {inert(proof.against)} (tolerance "
        f"{proof.tolerance:.2g}, largest logit {proof.largest_logit:.3g}).{pushed}\n"
    )


def _render_thresholds(recipe: Recipe) -> str:
    rows = []
    for name, entry in THRESHOLDS.items():
        own = recipe.probe.thresholds.get(name)
        used = f"**{own:g}** (default {entry.value:g})" if own is not None else f"{entry.value:g}"
        rows.append((name, used, entry.unit, entry.source))
    return f"## Thresholds\n\n{table(('name', 'value', 'unit', 'source'), rows)}\n"


def _render_provenance(run: Run) -> str:
    """Hashes, versions and seeds; the packs' hashes are a table of their own in the recipe."""
    known = provenance(run.recipe_path)
    rows = [[inert(k), code(v)] for k, v in known.items() if not isinstance(v, dict)]
    return f"## Provenance\n\n{table(('what', 'value'), rows)}\n" if rows else ""
