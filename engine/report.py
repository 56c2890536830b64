"""report.md: one page that says what was asked, measured, decided and proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.recipe import Recipe
from engine.run import Run, write_atomic
from engine.thresholds import THRESHOLDS

NOT_THE_VERDICT = "Training loss always falls; it is never the verdict."


def write_report(run: Run, recipe: Recipe, made: dict[str, Any]) -> Path:
    """Write ``report.md`` from the stages' artifacts; returns its path."""
    parts = [
        _head(run, recipe, made),
        _decision(made.get("decide")),
        _evidence(made),
        _training(made),
        _gate(made),
        _thresholds(recipe),
        "\nReplay: `cpt run recipe.toml` with the recipe of this run; its `[provenance]` holds the "
        "hashes, versions and seeds that a replay must match.\n",
    ]
    write_atomic(run.report_path, "\n".join(part for part in parts if part))
    return run.report_path


def plain(text: str) -> str:
    """Foreign text inside Markdown: one line, control characters and markup made inert."""
    kept = "".join(c if c.isprintable() else " " for c in text)
    for mark in ("\\", "`", "*", "_", "<", ">", "[", "]", "|", "#"):
        kept = kept.replace(mark, f"\\{mark}")
    return " ".join(kept.split())


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
        f"| {plain(s['question'])} | {plain(s['answer'])}{_mark(s)} | {s['outcome']} | "
        f"{plain(s['source'])} |"
        for s in decision["path"]
    ]
    advice = f"\nInstead: {plain(decision['instead'])}\n" if decision["instead"] else ""
    table = "\n".join(["| question | answer | outcome | source |", "|---|---|---|---|", *rows])
    return (
        f"## Should I? {decision['outcome']}\n\n{plain(decision['sentence'])}\n{advice}\n{table}\n"
    )


def _mark(step: dict[str, Any]) -> str:
    if step["unverified"]:
        return " (unverified)"
    return "" if step["measured"] else " (answered)"


def _evidence(made: dict[str, Any]) -> str:
    if "scan" not in made:
        return ""
    rows = []
    for name in ("domain", "generic"):
        s = made["scan"]["scan"][name]
        rows.append(
            f"| {name} | {plain(s['source'])} | {s['documents']:,} | {s['bytes']:,} | "
            f"{s['tokens']:,} | {s['duplicate_documents']:,} | {s['heldout_documents']:,} |"
        )
    text = (
        "## Evidence\n\n| side | source | documents | bytes | tokens | duplicates | held out |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    probe = made.get("probe") or {}
    return text + _fluency(probe) + _terms(made["scan"], probe)


def _fluency(probe: dict[str, Any]) -> str:
    fluency, pilot = probe.get("fluency"), probe.get("pilot")
    if not fluency:
        return ""
    lines = ["", "| fluency of the base | domain | generic |", "|---|---|---|"]
    for key, label in (
        ("bits_per_byte", "bits/byte"),
        ("median", "bits/byte, median document"),
        ("trimmed", "bits/byte, 5% trimmed"),
        ("nats_per_token", "nats/token"),
    ):
        lines.append(f"| {label} | {fluency['domain'][key]:.3f} | {fluency['generic'][key]:.3f} |")
    r = fluency["ratio"]
    lines += [
        "",
        f"Bits/byte ratio {r['value']:.3f} (95% interval {r['low']:.3f} to {r['high']:.3f}).",
    ]
    if pilot:
        g = pilot["gain"]
        lines += [
            "",
            f"Pilot ({pilot['tokens']:,} tokens, {pilot['method']}, rate {pilot['lr']:g}): domain "
            f"gain {pilot['domain_gain']:.3f}, generic gain {pilot['generic_gain']:.3f}, net "
            f"{g['value']:.3f} nats ({g['low']:.3f} to {g['high']:.3f}).",
        ]
    return "\n".join(lines) + "\n"


def _terms(scan: dict[str, Any], probe: dict[str, Any]) -> str:
    fertility = scan["fertility"]
    lines = [
        "",
        f"Fertility: {fertility['domain_tokens_per_word']:.2f} tokens/word on the domain, "
        f"{fertility['generic_tokens_per_word']:.2f} on generic text "
        f"(ratio {fertility['ratio']:.2f}).",
    ]
    worst = [f"{plain(t['term'])} ({len(t['pieces'])})" for t in fertility["worst_terms"][:8]]
    if worst:
        lines.append(f"Worst split terms (pieces): {', '.join(worst)}.")
    said = [f"- {plain(e['prompt'])} … {plain(e['text'])}" for e in probe.get("explanations", [])]
    return (
        "\n".join(lines + (["", "The base on the most surprising terms:", *said] if said else []))
        + "\n"
    )


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
        f"p = {gate['p_value']:.2g}.\n\n"
        f"| seed | base | CPT | difference |\n|---|---|---|---|\n{rows}\n"
    )


def _thresholds(recipe: Recipe) -> str:
    rows = []
    for name, entry in THRESHOLDS.items():
        own = recipe.probe.thresholds.get(name)
        used = f"**{own:g}** (default {entry.value:g})" if own is not None else f"{entry.value:g}"
        rows.append(f"| {name} | {used} | {entry.unit} | {entry.source} |")
    return (
        "## Thresholds\n\n| name | value | unit | source |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )
