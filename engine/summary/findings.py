"""What each stage found, in a few plain lines, from the evidence of its ``StageDone``."""

from __future__ import annotations

from typing import Any

from engine.formatting import (
    format_bytes,
    format_count,
    format_duration,
    format_memory,
    format_points,
    one_line,
)
from engine.summary import gate_lines
from engine.thresholds import THRESHOLDS

NEVER_THE_VERDICT = "CPT loss always falls; it is never the verdict."


POINTS = {
    "before": "before new tokens",
    "init": "with new tokens at their mean",
    "rows": "with new rows trained alone",
    "end": "trained",
}
"""Where a vocabulary extension is measured, in order."""


def dig(value: Any, *keys: str) -> Any:
    """A nested value, or None where a part of the way is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def effective_tokens(side: dict[str, Any]) -> int:
    """Unique tokens of a side after near-duplicates: what the size node judges."""
    near = dig(side, "quality", "near_duplicate_tokens") or 0
    return int(side["tokens"]) - int(near)


def unanswered(path: list[dict[str, Any]]) -> list[str]:
    """The nodes of a path that only the user could answer and did not."""
    return [
        str(step.get("node", "?"))
        for step in path
        if not step.get("measured", True) and str(step.get("answer", "")).startswith("unanswered")
    ]


def finding(stage: str, evidence: dict[str, Any]) -> list[str]:
    """What a stage found, in a few lines; nothing where it left no evidence."""
    teller = _FINDINGS.get(stage)
    try:
        return teller(evidence) if teller and evidence else []
    except (TypeError, ValueError, KeyError):
        return []


def _scan(found: dict[str, Any]) -> list[str]:
    lines = []
    for side in ("domain", "generic"):
        if scan := dig(found, "scan", side):
            lines.append(
                f"{side}: {format_count(scan['documents'])} documents, "
                f"{format_count(scan['tokens'])} tokens, {format_bytes(scan['bytes'])}"
            )
    tellers = (_shape, _quality, _skipped, _contamination)
    lines += [line for tell in tellers for line in _told(tell, found.get("scan") or {})]
    if (ratio := dig(found, "fertility", "ratio")) is not None:
        lines.append(f"domain words cost {ratio:.2f}x the tokens of generic words")
    lines += [f"gate: {one_line(remark)}" for remark in dig(found, "gate", "remarks") or []]
    return lines


def _told(tell: Any, found: dict[str, Any]) -> list[str]:
    """A teller's line as a list; none where the run did not measure it."""
    line = tell(found)
    return [line] if line else []


def _shape(scan: dict[str, Any]) -> str:
    parts = dig(scan, "shape", "parts") or []
    named = [f"{one_line(part['kind'])} {part['share']:.0%}" for part in parts[:4]]
    return f"shape: {', '.join(named)}".replace("_", " ") if named else ""


def _quality(scan: dict[str, Any]) -> str:
    domain = scan.get("domain") or {}
    near = dig(domain, "quality", "near_duplicate_tokens")
    if near is None:
        return ""
    share = near / max(1, domain["tokens"])
    effective = format_count(effective_tokens(domain))
    return f"near-duplicates: {share:.1%} of tokens; {effective} effective tokens are left"


def _skipped(scan: dict[str, Any]) -> str:
    domain = scan.get("domain") or {}
    pieces = sum((domain.get("skipped") or {}).values())
    if not pieces:
        return ""
    reasons = ", ".join(f"{count:,} {one_line(why)}" for why, count in domain["skipped"].items())
    return f"skipped {format_bytes(domain.get('skipped_bytes'))}: {reasons[:160]}"


def _contamination(scan: dict[str, Any]) -> str:
    found = scan.get("contamination")
    if not found:
        return ""
    parts = []
    if found.get("gold_items"):
        both = f"{len(found['gold_in_corpus']):,} of {found['gold_items']:,} gold items"
        parts.append(f"{both} also stand in the corpus")
    if found.get("heldout_documents"):
        leaked = f"{found['heldout_in_train']:,} of {found['heldout_documents']:,}"
        parts.append(f"{leaked} held-out documents in the training text")
    return f"contamination: {'; '.join(parts)}" if parts else ""


def _probe(found: dict[str, Any]) -> list[str]:
    lines = []
    if fluency := found.get("fluency"):
        lines.append(
            f"bits/byte: domain {fluency['domain']['bits_per_byte']:.3f}, "
            f"generic {fluency['generic']['bits_per_byte']:.3f}, "
            f"ratio {format_points(fluency['ratio'], 2)}"
        )
        lines += [line for tell in (_classes, _place, _terms) for line in _told(tell, fluency)]
    if pilot := found.get("pilot"):
        order = pilot.get("order_ratio")
        shuffled = f"; words shuffled cost {format_points(order, 2)}x the bits" if order else ""
        lines.append(f"pilot's net gain {format_points(pilot['gain'], 3)} nats/token{shuffled}")
    if price := found.get("cost"):
        gate = format_duration(price["gate_seconds"])
        lines.append(
            f"price here: training {format_duration(price['train_seconds'])}, gate {gate}, "
            f"{format_memory(price['memory_gb'])}, {price['train_flops']:.1e} FLOPs"
        )
    return lines


def _classes(fluency: dict[str, Any]) -> str:
    """Which class of tokens carries the gap."""
    classes = fluency.get("classes") or []
    if not classes:
        return ""
    gaps = [(one["domain_nats"] - one["generic_nats"], one_line(one["name"])) for one in classes]
    return "nats/token more than generic: " + ", ".join(f"{name} {gap:+.2f}" for gap, name in gaps)


def _place(fluency: dict[str, Any]) -> str:
    """The corpus among the reference texts."""
    references, share = fluency.get("references") or [], fluency.get("percentile")
    if not references or share is None:
        return ""
    return f"harder for this base than {share:.0f}% of {len(references)} reference texts"


def _terms(fluency: dict[str, Any]) -> str:
    terms = [one_line(term["text"])[:24] for term in fluency.get("surprising_terms") or []]
    return f"most surprising terms: {', '.join(terms[:5])}" if terms else ""


def _decide(found: dict[str, Any]) -> list[str]:
    lines = [f"verdict: {found['outcome']}: {one_line(found.get('sentence', ''))}"]
    if found.get("instead"):
        lines.append(f"instead: {one_line(found['instead'])}")
    if nodes := unanswered(found.get("path") or []):
        lines.append(f"not answered: {', '.join(nodes)}")
    for name, value in (found.get("thresholds_overridden") or {}).items():
        default = f" (default {THRESHOLDS[name].value:g})" if name in THRESHOLDS else ""
        lines.append(f"threshold moved by the recipe: {one_line(name)} = {value:g}{default}")
    return lines


def _baseline(found: dict[str, Any]) -> list[str]:
    scores = ", ".join(f"{score:.1f}" for score in found.get("scores", []))
    mde = f"; smallest effect it can see: {found['mde']:.1f} points" if found.get("mde") else ""
    alike = found.get("constant_seeds")
    return [
        f"base arm: {scores} points on {found.get('items', '?')} items{mde}",
        *([f"under {alike} seeds it answered all items alike: SFT taught little"] if alike else []),
    ]


def _extend(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{found['tokens']:,} new tokens, each saving {found['least']:,} tokens of the training "
        f"text or more when it was chosen; {found['on_the_way']:,} are steps on the way to longer "
        "ones and stand less often by themselves"
    ]
    for side, (before, after) in found["tokens_per_document"].items():
        change = after / before - 1 if before else 0.0
        lines.append(f"{side}: {before:.0f} -> {after:.0f} tokens a document ({change:+.1%})")
    return lines


def _pack(found: dict[str, Any]) -> list[str]:
    return [
        f"{format_count(found.get('rows'))} rows of {found.get('sequence_length')} tokens, "
        f"mix-back {100 * found.get('achieved_mix', 0):.2f}%"
    ]


def _train(found: dict[str, Any]) -> list[str]:
    lines = []
    for side in ("domain", "generic"):
        before, after = found.get(f"{side}_before"), found.get(f"{side}_after")
        if before is not None and after is not None:
            lines.append(f"{side} loss {before:.4f} -> {after:.4f} ({after - before:+.4f} nats)")
    for side in ("domain", "generic"):
        points = dig(found, "vocab", "bits_per_byte") or {}
        told = [f"{points[at][side]:.4f} {what}" for at, what in POINTS.items() if at in points]
        lines += [f"{side} bits/byte: {', '.join(told)}"] if told else []
    return [*lines, f"forgetting: {found.get('guard', 'unknown')}. {NEVER_THE_VERDICT}"]


def _gate(found: dict[str, Any]) -> list[str]:
    label = f" ({found['label']})" if found.get("label") else ""
    return [
        f"verdict: {found['outcome']}{label}: {found['estimate']:+.2f} points "
        f"({found['low']:+.2f} to {found['high']:+.2f}), margin {found['margin']:g}",
        one_line(found.get("sentence", "")),
        *_secondary(found),
        *gate_lines.would_change(found),
        *([f"tries: {tried}"] if (tried := gate_lines.tries(found)) else []),
        *(
            f"tag {name}: {estimate} points ({ends}), {items} items, corrected {p}"
            for name, items, estimate, ends, p in gate_lines.tag_rows(found)
        ),
    ]


def _secondary(found: dict[str, Any]) -> list[str]:
    """The gold answers' log-probability, and the rate of the probe."""
    lines = []
    if gained := found.get("logprob"):
        low, high = (f"{gained[key]:+.3f}" for key in ("low", "high"))
        lines.append(
            f"gold answers' log-probability: {gained['value']:+.3f} nats an answer "
            f"({low} to {high}); it decides nothing"
        )
    if (rate := dig(found, "probe", "lr")) is not None:
        how = "chosen on the dev split" if dig(found, "probe", "grid") else "given"
        lines.append(f"rate of the CPT arm's probe: {rate:g}, {how}")
    return lines


def _arms(found: dict[str, Any]) -> list[str]:
    return [*(one_line(said) for said in found["sentences"]), *gate_lines.arm_lines(found)]


def _finish(found: dict[str, Any]) -> list[str]:
    lines = [one_line(found["why"])]
    for row in found["rows"]:
        lines.append(
            f"{row['name']:<9} gold {row['gold']:.1f}, domain {row['domain']:.4f}, "
            f"generic {row['generic']:.4f} nats/token"
        )
    return [*lines, f"generic text in SFT's loss: {found['achieved_mix']:.1%}"]


def _export(found: dict[str, Any]) -> list[str]:
    proof = found["proof"]
    lines = [
        f"exported to {one_line(found['path'])} ({format_bytes(found['bytes'])})",
        f"largest logit difference after a reload in a fresh process: "
        f"{proof['largest']:.2g} (tolerance {proof['tolerance']:.2g})",
        f"GGUF: {one_line(found['gguf'])}",
    ]
    return [*lines, f"pushed to {one_line(found['pushed'])}"] if found.get("pushed") else lines


_FINDINGS: dict[str, Any] = {
    "scan": _scan,
    "probe": _probe,
    "decide": _decide,
    "baseline": _baseline,
    "extend": _extend,
    "pack": _pack,
    "train": _train,
    "gate": _gate,
    "arms": _arms,
    "finish": _finish,
    "export": _export,
    "report": lambda found: [f"report: {one_line(found['path'])}"],
}
