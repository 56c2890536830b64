"""The report's appendix: all that was read, measured, decided, trained and tested."""

from __future__ import annotations

from typing import Any

from engine.artifacts.decision import Step
from engine.formatting import format_bytes
from engine.recipe.sections import Recipe
from engine.recipe.toml import provenance
from engine.report.evidence import evidence
from engine.report.front_page import NOT_THE_VERDICT
from engine.report.gate import gate_part
from engine.report.markdown import code, plain, table
from engine.report.vocabulary import vocabulary
from engine.runs.run import Run
from engine.summary.findings import unanswered
from engine.thresholds import THRESHOLDS


def appendix(run: Run, recipe: Recipe, made: dict[str, Any], shown: dict[str, str]) -> str:
    """Everything behind the first page, in the order in which it was done."""
    parts = [
        "---\n\n# Appendix\n",
        _decision(made.get("decide")),
        evidence(made),
        _training(made, shown),
        vocabulary(run.id, recipe, made),
        gate_part(run, recipe, made, shown),
        _finish(made.get("finish")),
        _export(made.get("export")),
        _thresholds(recipe),
        _provenance(run),
        "Replay: `cpt run recipe.toml` with the recipe of this run; its `[provenance]` holds the "
        "hashes, versions and seeds that a replay must match.\n",
    ]
    return "\n".join(part for part in parts if part)


def _decision(decision: dict[str, Any] | None) -> str:
    if not decision:
        return ""
    rows = [
        [plain(s["question"]), plain(s["answer"]) + _mark(s), s["outcome"], plain(s["source"])]
        for s in decision["path"]
    ]
    advice = f"\nInstead: {plain(decision['instead'])}\n" if decision["instead"] else ""
    open_nodes = unanswered([Step.model_validate(step) for step in decision["path"]])
    asked = f"\nNot answered: {', '.join(open_nodes)}.\n" if open_nodes else ""
    steps = table(("question", "answer", "outcome", "source"), rows)
    sentence = plain(decision["sentence"])
    return f"## Should I? {decision['outcome']}\n\n{sentence}\n{advice}\n{steps}\n{asked}"


def _mark(step: dict[str, Any]) -> str:
    if step["unverified"]:
        return " (unverified)"
    known = step["measured"] or step["answer"].startswith("unanswered")
    return "" if known else " (answered)"


def _training(made: dict[str, Any], shown: dict[str, str]) -> str:
    if "pack" not in made:
        return ""
    pack, train = made["pack"], made.get("train")
    ledger = table(("ledger", ""), [[n, f"{count:,}"] for n, count in pack["ledger"].items()])
    text = (
        f"## Training\n\n{NOT_THE_VERDICT}\n\n{ledger}\n\n"
        f"{pack['rows']:,} rows of {pack['sequence_length']} tokens; mix-back asked "
        f"{100 * pack['asked_mix']:.1f}%, achieved {100 * pack['achieved_mix']:.2f}%.\n"
    )
    if not train:
        return text
    rows = [
        [side, f"{train[f'{side}_before']:.4f}", f"{train[f'{side}_after']:.4f}"]
        for side in ("domain", "generic")
    ]
    pictures = "\n\n".join(shown[name] for name in ("losses", "forgetting") if name in shown)
    return text + (
        f"\n{pictures}\n\n{table(('held-out loss, nats/token', 'before', 'after'), rows)}\n\n"
        f"{train['steps']:,} steps, {train['tokens']:,} tokens, {train['method']}, rate "
        f"{train['lr']:g}, {train['dtype']}. Forgetting guard: {train['guard']} "
        f"({train['generic_rise']:+.4f} nats).\n" + _lr_pilot(train)
    )


def _lr_pilot(train: dict[str, Any]) -> str:
    """The rates that were tried before the run; old artifacts have none."""
    trials = train.get("lr_pilot") or []
    if not trials:
        return ""
    rows = [
        [
            f"**{t['lr']:g}** (taken)" if t["lr"] == train["lr"] else f"{t['lr']:g}",
            *(
                ("broke", "")
                if t["broken"]
                else (f"{t['domain']:.4f}", f"{t['generic_rise']:+.4f}")
            ),
        ]
        for t in trials
    ]
    said = "Learning rate by a pilot, each from the base on the same first batches:"
    return f"\n{said}\n\n{table(('rate', 'domain loss', 'generic rise'), rows)}\n"


def _finish(finish: dict[str, Any] | None) -> str:
    """How stage two was done; its table is on the first page."""
    if not finish:
        return ""
    asked, got = 100 * finish["mix_back"], 100 * finish["achieved_mix"]
    reused = [f"{r['name']}: {', '.join(r['reused'])}" for r in finish["rows"] if r["reused"]]
    gate = ", ".join(f"{name} {gold:.1f}" for name, gold in finish["gate_gold"].items())
    lines = [
        f"The gate's SFT recipe, unchanged, with seed {finish['seed']}; metric "
        f"{plain(finish['metric'])} on {finish['items']} gold items.",
        f"Generic share of the tokens that carry loss: asked {asked:.1f}%, achieved {got:.2f}%. "
        f"{plain(finish['mix_back_why'])}.",
        f"Not measured again, but taken over from training and gate: {'; '.join(reused)}.",
        f"The gate's own arms under this seed, without generic text: {gate} points.",
        f"Generic loss of the task model over the base's: {finish['generic_rise']:+.4f} nats "
        f"({finish['guard']}). One seed: the table shows levels, the gate shows the difference.",
    ]
    return "## Stage two\n\n" + "\n\n".join(lines) + "\n"


def _export(made: dict[str, Any] | None) -> str:
    if not made:
        return ""
    found = made["proof"]
    pushed = f" Pushed to {plain(made['pushed'])}." if made.get("pushed") else ""
    return (
        f"## Export\n\nThe {made['what']} model, {format_bytes(made['bytes'])}, to "
        f"{code(made['path'])}. Loaded in a fresh process by plain transformers, its logits "
        f"differ by at most {found['largest']:.3g} from {plain(found['against'])} (tolerance "
        f"{found['tolerance']:.2g}, largest logit {found['largest_logit']:.3g}).{pushed}\n"
    )


def _thresholds(recipe: Recipe) -> str:
    rows = []
    for name, entry in THRESHOLDS.items():
        own = recipe.probe.thresholds.get(name)
        used = f"**{own:g}** (default {entry.value:g})" if own is not None else f"{entry.value:g}"
        rows.append((name, used, entry.unit, entry.source))
    return f"## Thresholds\n\n{table(('name', 'value', 'unit', 'source'), rows)}\n"


def _provenance(run: Run) -> str:
    """Hashes, versions and seeds; the packs' hashes are a table of their own in the recipe."""
    known = provenance(run.recipe_path)
    rows = [[plain(k), code(v)] for k, v in known.items() if not isinstance(v, dict)]
    return f"## Provenance\n\n{table(('what', 'value'), rows)}\n" if rows else ""
