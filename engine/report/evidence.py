"""The evidence part of report.md: what was read, what it is like, what the base makes of it.

``made`` maps a stage to its artifact. What an older run did not measure is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.formatting import format_duration, format_memory, format_points
from engine.report.markdown import plain, table
from engine.summary.findings import dig, effective_tokens

KEPT_NOTES = 200


KEPT_EXAMPLES = 5


SIDES = ("domain", "generic")


def evidence(made: dict[str, Any]) -> str:
    """The whole part; empty before the scan."""
    if "scan" not in made:
        return ""
    scan, probe = made["scan"]["scan"], made.get("probe") or {}
    parts = [
        "## Evidence",
        _text(scan),
        _dropped(scan["domain"]),
        _shape(scan["shape"]),
        _quality(scan),
        _fluency(probe.get("fluency")),
        _classes(dig(probe, "fluency", "classes") or []),
        _references(probe.get("fluency") or {}),
        _surprising(probe.get("fluency") or {}),
        _pilot(probe.get("pilot")),
        _fertility(made["scan"].get("fertility")),
        _explanations(probe.get("explanations") or []),
        _contamination(made["scan"].get("gate"), scan.get("contamination")),
        _cost(probe.get("cost")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _listed(title: str, items: Sequence[str], kept: int) -> str:
    """A titled list of inert texts, cut with a count of the rest; empty without items."""
    if not items:
        return ""
    more = [f"- and {len(items) - kept:,} more"] if len(items) > kept else []
    return "\n".join([title, "", *(f"- {plain(item)}" for item in items[:kept]), *more])


def _text(scan: dict[str, Any]) -> str:
    rows = []
    for name in SIDES:
        s = scan[name]
        cells = [s["documents"], s["bytes"], s["tokens"], effective_tokens(s)]
        cells += [s["duplicate_documents"], s["heldout_documents"]]
        rows.append([name, plain(s["source"]), *(f"{cell:,}" for cell in cells)])
    head = (
        "side",
        "source",
        "documents",
        "bytes",
        "tokens",
        "effective",
        "exact copies",
        "held out",
    )
    return table(head, rows)


def _dropped(domain: dict[str, Any]) -> str:
    """What was not used, by reason, and a line for each file that was odd."""
    lines = []
    if domain.get("skipped"):
        reasons = ", ".join(f"{count:,} {plain(why)}" for why, count in domain["skipped"].items())
        lines.append(f"Skipped ({domain.get('skipped_bytes', 0):,} bytes): {reasons}.")
    if domain.get("encodings"):
        files = ", ".join(f"{plain(name)} {n:,}" for name, n in domain["encodings"].items())
        lines.append(f"Files by encoding: {files}.")
    if domain.get("mojibake_documents"):
        lines.append(f"{domain['mojibake_documents']:,} documents look wrongly decoded.")
    notes = _listed("Files that were odd:", domain.get("notes") or [], KEPT_NOTES)
    return "\n\n".join([*lines, notes] if notes else lines)


def _shape(shape: dict[str, Any]) -> str:
    parts = shape.get("parts") or []
    if not parts:
        return f"Shape: {plain(shape['kind'])} (confidence {shape['confidence']:.2f})."
    rows = []
    for part in parts:
        samples = " / ".join(f'"{plain(sample)}"' for sample in part.get("samples") or [])
        share, sure = f"{part['share']:.1%}", f"{part['confidence']:.2f}"
        rows.append([plain(part["kind"]), share, sure, samples])
    return table(("kind of data", "share of bytes", "confidence", "samples"), rows)


def _quality(scan: dict[str, Any]) -> str:
    """Near-duplicates, boilerplate, repetition and languages of both sides."""
    held = {name: scan[name].get("quality") for name in SIDES}
    mine = held["domain"]
    if not mine:
        return ""
    shown = [name for name in SIDES if held[name]]
    rows = [
        [label, *(form.format(held[name][key]) for name in shown)]
        for label, key, form in (
            ("near-duplicate documents", "near_duplicate_documents", "{:,}"),
            ("of documents looked at", "documents", "{:,}"),
            ("their tokens", "near_duplicate_tokens", "{:,}"),
            ("bytes in shared lines", "boilerplate_share", "{:.1%}"),
            ("gzip ratio", "gzip_ratio", "{:.2f}"),
            ("odd words", "odd_words_share", "{:.1%}"),
            ("odd characters", "odd_characters_share", "{:.2%}"),
        )
    ]
    pairs = [f"{p['similarity']:.2f} {p['dropped']} like {p['kept']}" for p in mine["near_pairs"]]
    lines = [f"{line['documents']:,}x {line['text']}" for line in mine.get("boilerplate") or []]
    languages = ", ".join(f"{plain(x['name'])} {x['share']:.0%}" for x in mine["languages"])
    blocks = [
        table(("quality", *shown), rows),
        f"Languages: {languages}." if languages else "",
        _listed("Near-duplicates, for example:", pairs, KEPT_EXAMPLES),
        _listed("Exact copies, for example:", mine.get("exact_examples") or [], KEPT_EXAMPLES),
        _listed("Lines that many documents share:", lines, KEPT_EXAMPLES),
        _listed("Measured on a part:", mine.get("notes") or [], KEPT_EXAMPLES),
    ]
    return "\n\n".join(block for block in blocks if block)


def _fluency(fluency: dict[str, Any] | None) -> str:
    if not fluency:
        return ""
    rows = [
        [label, *(f"{fluency[name][key]:{form}}" for name in SIDES)]
        for label, key, form in (
            ("bits/byte", "bits_per_byte", ".3f"),
            ("bits/byte, median document", "median", ".3f"),
            ("bits/byte, 5% trimmed", "trimmed", ".3f"),
            ("nats/token", "nats_per_token", ".3f"),
            ("documents scored", "documents", ","),
            ("tokens scored", "tokens", ","),
        )
    ]
    text = f"Bits/byte ratio {format_points(fluency['ratio'], 3)}."
    if fluency.get("budget_ended"):
        text += " The budget ended before the interval decided."
    return table(("fluency of the base", *SIDES), rows) + f"\n\n{text}"


def _classes(classes: list[dict[str, Any]]) -> str:
    if not classes:
        return ""
    rows = [
        [
            plain(c["name"]),
            f"{c['domain_share']:.1%}",
            f"{c['generic_share']:.1%}",
            f"{c['domain_nats']:.3f}",
            f"{c['generic_nats']:.3f}",
        ]
        for c in classes
    ]
    head = ("tokens", "domain share", "generic share", "domain nats/token", "generic nats/token")
    return table(head, rows)


def _references(fluency: dict[str, Any]) -> str:
    """The corpus among reference texts under the same base."""
    references = fluency.get("references") or []
    if not references:
        return ""
    ordered = sorted(references, key=lambda r: r["bits_per_byte"])
    rows = [[plain(r["name"]), f"{r['bits_per_byte']:.3f}", f"{r['documents']:,}"] for r in ordered]
    share = fluency.get("percentile")
    place = f"\n\nThe corpus is harder than {share:.0f}% of them." if share is not None else ""
    return table(("reference text", "bits/byte", "documents"), rows) + place


def _surprising(fluency: dict[str, Any]) -> str:
    """The documents and terms that surprised the base most."""
    documents = [
        f"{d['bits_per_byte']:.2f} bits/byte: {d['text']}"
        for d in fluency.get("surprising_documents") or []
    ]
    terms = ", ".join(
        f"{plain(t['text'])} ({t['bits_per_byte']:.1f})"
        for t in fluency.get("surprising_terms") or []
    )
    blocks = [
        f"Most surprising terms (bits/byte): {terms}." if terms else "",
        _listed("Most surprising documents:", documents, KEPT_EXAMPLES),
    ]
    return "\n\n".join(block for block in blocks if block)


def _pilot(pilot: dict[str, Any] | None) -> str:
    if not pilot:
        return ""
    text = (
        f"Pilot ({pilot['tokens']:,} tokens, {pilot['method']}, rate {pilot['lr']:g}): domain "
        f"gain {pilot['domain_gain']:.3f}, generic gain {pilot['generic_gain']:.3f}, net "
        f"{format_points(pilot['gain'], 3)} nats."
    )
    if order := pilot.get("order_ratio"):
        text += f" With its words shuffled the text costs {format_points(order, 3)} times the bits."
    return text


def _fertility(fertility: dict[str, Any] | None) -> str:
    if not fertility:
        return ""
    text = (
        f"Fertility: {fertility['domain_tokens_per_word']:.2f} tokens/word on the domain, "
        f"{fertility['generic_tokens_per_word']:.2f} on generic text "
        f"(ratio {fertility['ratio']:.2f})."
    )
    if fertility.get("whole_word_saving"):
        text += f" Whole-word tokens would save {fertility['whole_word_saving']:.1%} of the tokens."
    rows = [
        [
            plain(t["term"]),
            plain(" · ".join(t["pieces"])),
            f"{t['count']:,}",
            f"{t.get('saved', 0):,}",
        ]
        for t in fertility["worst_terms"][:10]
    ]
    head = ("term", "pieces", "times", "tokens saved")
    return f"{text}\n\n{table(head, rows)}" if rows else text


def _explanations(told: list[dict[str, Any]]) -> str:
    """The base's words on the terms, beside the corpus's own."""
    if not told:
        return ""
    lines = ["The base on the most surprising terms (model output), and your corpus:", ""]
    for item in told:
        lines.append(f"- {plain(item['prompt'])} … {plain(item['text'])}")
        lines += [f"  - corpus: {plain(p)}" for p in (item.get("passages") or [])[:2]]
    return "\n".join(lines)


def _contamination(gate: dict[str, Any] | None, overlap: dict[str, Any] | None) -> str:
    if not gate and not overlap:
        return ""
    lines = []
    if gate:
        lines.append(
            f"Contamination: {gate['contaminated_share']:.1%} of {gate['gold_items']:,} gold "
            "items stand in the corpus, by 13 words in a row."
        )
    if overlap and overlap.get("gold_common"):
        lines.append(f"{len(overlap['gold_common']):,} more share only wording of many documents.")
    if overlap and overlap.get("gold_short"):
        lines.append(f"{overlap['gold_short']:,} are too short to be looked for.")
    if overlap and overlap.get("heldout_documents"):
        lines.append(
            f"{overlap['heldout_in_train']:,} of {overlap['heldout_documents']:,} held-out "
            "documents also stand in the training text."
        )
    examples = _listed("For example:", (overlap or {}).get("examples") or [], KEPT_EXAMPLES)
    return "\n\n".join([" ".join(lines), examples] if examples else [" ".join(lines)])


def _cost(cost: dict[str, Any] | None) -> str:
    """Predicted before commitment; the gate beside the training."""
    if not cost:
        return ""
    gate_flops = cost.get("gate_flops")
    rows = [
        ["time", format_duration(cost["train_seconds"]), format_duration(cost["gate_seconds"])],
        ["FLOPs", f"{cost['train_flops']:.2e}", f"{gate_flops:.2e}" if gate_flops else "-"],
        ["memory", format_memory(cost["memory_gb"]), format_memory(cost.get("gate_memory_gb"))],
    ]
    timed = f"{cost['tokens']:,} tokens at {cost['tokens_per_s']:,.0f} tokens/s on this machine."
    return table(("predicted cost", "training", "gate"), rows) + f"\n\n{timed}"
