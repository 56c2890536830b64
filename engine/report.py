"""report.md: one page that says what was asked, measured, decided and proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.findings import unanswered
from engine.recipe import Recipe
from engine.report_evidence import evidence, plain, table
from engine.report_vocab import vocabulary
from engine.run import Run, write_atomic
from engine.thresholds import THRESHOLDS
from engine.words import p_value

NOT_THE_VERDICT = "Training loss always falls; it is never the verdict."


def write_report(run: Run, recipe: Recipe, made: dict[str, Any]) -> Path:
    """Write ``report.md`` from the stages' artifacts; returns its path."""
    parts = [
        _head(run, recipe, made),
        _decision(made.get("decide")),
        evidence(made),
        _training(made),
        vocabulary(run.id, recipe, made),
        _gate(made),
        _thresholds(recipe),
        "\nReplay: `cpt run recipe.toml` with the recipe of this run; its `[provenance]` holds the "
        "hashes, versions and seeds that a replay must match.\n",
    ]
    write_atomic(run.report_path, "\n".join(part for part in parts if part))
    return run.report_path


def _head(run: Run, recipe: Recipe, made: dict[str, Any]) -> str:
    gate, decision = made.get("gate"), made.get("decide")
    if gate:
        verdict = gate["outcome"] + (f" ({gate['label']})" if gate["label"] else "")
        sentence = gate["sentence"]
    elif decision:
        verdict, sentence = decision["outcome"], decision["sentence"]
    else:
        verdict, sentence = "NO VERDICT", "The run has not reached its decision."
    lines = [f"# {plain(recipe.recipe.name)}: {verdict}", "", plain(sentence), ""]
    if recipe.recipe.purpose:
        lines += [f"Purpose: {plain(recipe.recipe.purpose)}", ""]
    if recipe.recipe.override and decision and decision["outcome"] != "GO":
        lines += [
            f"> **Overridden.** The decision was {decision['outcome']}: "
            f"{plain(decision['sentence'])} It was overridden with: "
            f'"{plain(recipe.recipe.override)}"',
            "",
        ]
    lines += [f"Run `{run.id}`, model `{plain(recipe.model.id)}`."]
    return "\n".join(lines) + "\n"


def _decision(decision: dict[str, Any] | None) -> str:
    if not decision:
        return ""
    rows = [
        [plain(s["question"]), plain(s["answer"]) + _mark(s), s["outcome"], plain(s["source"])]
        for s in decision["path"]
    ]
    advice = f"\nInstead: {plain(decision['instead'])}\n" if decision["instead"] else ""
    open_nodes = unanswered(decision["path"])
    asked = f"\nNot answered: {', '.join(open_nodes)}.\n" if open_nodes else ""
    steps = table(("question", "answer", "outcome", "source"), rows)
    sentence = plain(decision["sentence"])
    return f"## Should I? {decision['outcome']}\n\n{sentence}\n{advice}\n{steps}\n{asked}"


def _mark(step: dict[str, Any]) -> str:
    if step["unverified"]:
        return " (unverified)"
    known = step["measured"] or step["answer"].startswith("unanswered")
    return "" if known else " (answered)"


def _training(made: dict[str, Any]) -> str:
    if "pack" not in made:
        return ""
    pack, train = made["pack"], made.get("train")
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in pack["ledger"].items())
    text = (
        f"## Training\n\n{NOT_THE_VERDICT}\n\n| ledger | |\n|---|---|\n{rows}\n\n"
        f"{pack['rows']:,} rows of {pack['sequence_length']} tokens; mix-back asked "
        f"{100 * pack['asked_mix']:.1f}%, achieved {100 * pack['achieved_mix']:.2f}%.\n"
    )
    if not train:
        return text
    return text + (
        f"\n| held-out loss, nats/token | before | after |\n|---|---|---|\n"
        f"| domain | {train['domain_before']:.4f} | {train['domain_after']:.4f} |\n"
        f"| generic | {train['generic_before']:.4f} | {train['generic_after']:.4f} |\n\n"
        f"{train['steps']:,} steps, {train['tokens']:,} tokens, {train['method']}, rate "
        f"{train['lr']:g}, {train['dtype']}. Forgetting guard: {train['guard']} "
        f"({train['generic_rise']:+.4f} nats).\n" + _lr_pilot(train)
    )


def _lr_pilot(train: dict[str, Any]) -> str:
    """The rates that were tried before the run; old artifacts have none."""
    trials = train.get("lr_pilot") or []
    if not trials:
        return ""
    rows = "\n".join(
        f"| {'**' if t['lr'] == train['lr'] else ''}{t['lr']:g}"
        f"{'** (taken)' if t['lr'] == train['lr'] else ''} | "
        + ("broke | |" if t["broken"] else f"{t['domain']:.4f} | {t['generic_rise']:+.4f} |")
        for t in trials
    )
    return (
        "\nLearning rate by a pilot, each from the base on the same first batches:\n\n"
        f"| rate | domain loss | generic rise |\n|---|---|---|\n{rows}\n"
    )


def _gate(made: dict[str, Any]) -> str:
    baseline, gate = made.get("baseline"), made.get("gate")
    if not baseline:
        return ""
    text = (
        f"## Was it worth it?\n\nRegistered before training: `{baseline['registration']}` (sha256 "
        f"of `artifacts/registration.json`). The baseline's own variance gives a minimum "
        f"detectable effect of {baseline['mde']:.1f} points at 80% power.\n"
    )
    if not gate:
        return text
    pairs = zip(gate["base_scores"], gate["cpt_scores"], strict=True)
    rows = "\n".join(
        f"| {i + 1} | {b:.1f} | {c:.1f} | {c - b:+.1f} |" for i, (b, c) in enumerate(pairs)
    )
    return text + (
        f"\n**{gate['outcome']}{' ' + gate['label'] if gate['label'] else ''}**: "
        f"{gate['estimate']:+.1f} points (95% interval {gate['low']:+.1f} to {gate['high']:+.1f}), "
        f"{gate['items']} items x {gate['seeds']} seeds, margin {gate['margin']:g}, "
        f"{p_value(gate['p_value'])}.\n\n"
        f"| seed | base | CPT | difference |\n|---|---|---|---|\n{rows}\n"
    )


def _thresholds(recipe: Recipe) -> str:
    rows = []
    for name, entry in THRESHOLDS.items():
        own = recipe.probe.thresholds.get(name)
        used = f"**{own:g}** (default {entry.value:g})" if own is not None else f"{entry.value:g}"
        rows.append((name, used, entry.unit, entry.source))
    return f"## Thresholds\n\n{table(('name', 'value', 'unit', 'source'), rows)}\n"
