"""Panel 1: what was measured, and the decision with its whole path."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cpt_tui.safe import clean_line
from cpt_tui.widgets.bars import bar, log_scale
from cpt_tui.widgets.page import STATE_STYLES, Page
from cpt_tui.widgets.panel import Panel
from engine import words
from engine.findings import dig, interval
from engine.plain import progress_words
from engine.view import RunView

OUTCOME_WORDS = {
    "go": "speaks for it",
    "note": "noted",
    "not_yet": "NOT YET",
    "no_go": "NO-GO",
    "open": "open",
}
SIZE_MARKS = (("tokens_noise", "0.2M"), ("tokens_small", "2M"), ("tokens_marginal", "10M"))


class EvidencePanel(Panel):
    """Verdict first, then the path, then the numbers."""

    def written(self, view: RunView, width: int) -> Text:
        page = Page()
        decided = view.evidence("decide")
        if decided:
            verdict(page, decided)
        else:
            page.add("Decision: not made yet. It needs the scan and the probe.", "dim")
            for name in ("scan", "probe", "decide"):
                progress = view.stages[name].progress
                if progress:
                    page.add(f"{name}: {progress_words(progress)}", "bold")
        measured = {**view.evidence("scan"), **view.evidence("probe")}
        if decided:
            path(page, decided.get("path") or [], width)
        numbers(page, measured, view.limits, width)
        facts(page, view)
        return page.text


def verdict(page: Page, decided: dict[str, Any]) -> None:
    """The outcome, its sentence, and what to do instead."""
    outcome = str(decided.get("outcome", "?"))
    page.put("Verdict: ", "bold").state(outcome).add()
    page.add(clean_line(decided.get("sentence", "")))
    if decided.get("instead"):
        page.put("Instead: ", "bold").add(clean_line(decided["instead"]))
    if decided.get("override"):
        page.put("Overridden, because: ", "bold yellow").add(clean_line(decided["override"]))
    for name, value in (decided.get("thresholds_overridden") or {}).items():
        page.add(f"Threshold moved by the recipe: {name} = {value:g}", "yellow")


def path(page: Page, steps: list[dict[str, Any]], width: int) -> None:
    """Every node of the tree with what it found."""
    page.heading("The path taken")
    for step in steps:
        outcome = str(step.get("outcome", "open"))
        word = OUTCOME_WORDS.get(outcome, outcome)
        style = {"go": "green", "not_yet": "bold yellow", "no_go": "bold red"}.get(outcome, "dim")
        page.put(f"{word:<15}", style).add(clean_line(step.get("question", "")), "bold")
        page.item("", clean_line(step.get("answer", ""), 400), width)


def numbers(page: Page, found: dict[str, Any], limits: dict[str, float], width: int) -> None:
    """The measurements, as numbers beside small drawings."""
    size(page, found, limits, width)
    losses(page, found, width)
    fertility(page, found, limits, width)
    explanations(page, found)
    gate_files(page, found)
    cost(page, found)


def size(page: Page, found: dict[str, Any], limits: dict[str, float], width: int) -> None:
    """The scan's table, and the corpus on a scale of sizes."""
    domain, generic = dig(found, "scan", "domain"), dig(found, "scan", "generic")
    if not domain or not generic:
        return
    page.heading("The text, after cleaning and removing duplicates")
    page.add(f"{'':<18}{'domain':>12}{'generic':>12}", "dim")
    for label, key, show in (
        ("documents", "documents", words.count),
        ("bytes", "bytes", words.size),
        ("tokens", "tokens", words.count),
        ("held out (tokens)", "heldout_tokens", words.count),
        ("duplicates removed", "duplicate_documents", words.count),
    ):
        page.put(f"{label:<18}", "dim")
        page.add(f"{show(domain.get(key)):>12}{show(generic.get(key)):>12}")
    page.pair("generic side", generic.get("source", ""))
    shape = dig(found, "scan", "shape") or {}
    page.pair("shape", f"{shape.get('kind', '?')}: {shape.get('why', '')}")
    for reason, skipped in (domain.get("skipped") or {}).items():
        page.pair("skipped", f"{skipped} for: {reason}")
    for note in (domain.get("notes") or [])[:5]:
        page.pair("note", note, "yellow")
    marks = [(limits[name], label) for name, label in SIZE_MARKS]
    pointer, line, names = log_scale(float(domain["tokens"]), marks, min(48, width - 12))
    page.put("tokens      ", "dim").draw(pointer, "bold").add()
    page.put("            ").draw(line, "dim").add()
    page.put("            ").draw(names, "dim").add()


def losses(page: Page, found: dict[str, Any], width: int) -> None:
    """Loss of the base on both sides, and what a pilot could take off it."""
    fluency, pilot = found.get("fluency"), found.get("pilot")
    if fluency:
        page.heading("Is the text surprising? Base model, held-out documents, bits per byte")
        sides = [(name, fluency[name]) for name in ("domain", "generic")]
        largest = max(side["bits_per_byte"] for _, side in sides)
        for name, side in sides:
            page.put(f"{name:<10}", "dim")
            page.draw(bar(side["bits_per_byte"], largest, min(30, width - 42)))
            page.put(f" {side['bits_per_byte']:.3f}", "bold")
            page.add(f"  ({side['nats_per_token']:.3f} nats/token, {side['documents']} docs)")
        page.pair("ratio", interval(fluency["ratio"], 2), "bold")
        terms = [clean_line(t["text"], 24) for t in fluency.get("surprising_terms", [])[:8]]
        if terms:
            page.pair("most surprising", ", ".join(terms))
    if pilot:
        page.pair("pilot's net gain", interval(pilot["gain"], 3) + " nats/token", "bold")
        page.pair(
            "",
            f"domain {pilot['domain_gain']:+.3f}, generic twin {pilot['generic_gain']:+.3f}, "
            f"{words.count(pilot['tokens'])} tokens each",
        )


def fertility(page: Page, found: dict[str, Any], limits: dict[str, float], width: int) -> None:
    """Tokens per word on both sides, and the worst terms in pieces."""
    fertile = found.get("fertility")
    if not fertile:
        return
    page.heading("Are domain words shattered? Tokens per word")
    sides = [(name, fertile[f"{name}_tokens_per_word"]) for name in ("domain", "generic")]
    for name, value in sides:
        page.put(f"{name:<10}", "dim").draw(
            bar(value, max(v for _, v in sides), min(30, width - 42))
        )
        page.add(f" {value:.2f}")
    page.pair("ratio", f"{fertile['ratio']:.2f} (noted at {limits['fertility_note']:g})", "bold")
    for term in fertile.get("worst_terms", [])[:5]:
        pieces = " | ".join(clean_line(piece) for piece in term["pieces"])
        page.pair(clean_line(term["term"], 17), f"{pieces}  ({term['count']}x)")


def explanations(page: Page, found: dict[str, Any]) -> None:
    """What the base writes about the most surprising terms."""
    told = found.get("explanations") or []
    if told:
        page.heading("What the base writes about your terms (model output)")
    for item in told[:6]:
        page.put(clean_line(item.get("prompt", ""), 80) + " ", "dim")
        page.add(clean_line(item.get("text", ""), 240))


def gate_files(page: Page, found: dict[str, Any]) -> None:
    """The gate's files before training."""
    gate = found.get("gate")
    if not gate:
        return
    page.heading("The gate's files")
    page.pair("gold items", f"{gate['gold_items']}, {gate['metric']}, {gate['seeds']} seeds")
    page.pair("SFT examples", gate["sft_examples"])
    page.pair("it can see", f"{gate['mde']:.1f} points and more (80% power)")
    page.pair("constant guess", f"{gate['majority_rate']:.0%}")
    page.pair("in the corpus too", f"{gate['contaminated_share']:.1%} of the gold items")


def cost(page: Page, found: dict[str, Any]) -> None:
    """The price on this machine."""
    price = found.get("cost")
    if not price:
        return
    page.heading("The price on this machine, from a short timing")
    page.pair("training", words.duration(price["train_seconds"]), "bold")
    page.pair("gate", words.duration(price["gate_seconds"]), "bold")
    speed = f"{words.count(price['tokens_per_s'])} tokens/s"
    page.pair("tokens", f"{words.count(price['tokens'])} at {speed}")
    memory = f"{price['memory_gb']:.1f}" if price["memory_gb"] >= 0.1 else "under 0.1"
    page.pair("memory", f"{memory} GB, {price['train_flops']:.1e} FLOPs")


def facts(page: Page, view: RunView) -> None:
    """What is really on, per stage."""
    for stage in view.stages.values():
        if stage.facts:
            page.heading(f"What is on: {stage.name}")
            for key, value in stage.facts.items():
                page.pair(clean_line(key, 17), clean_line(value), STATE_STYLES.get("", ""))
