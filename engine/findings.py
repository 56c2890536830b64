"""What each stage found, in a few plain lines, from the evidence of its ``StageDone``."""

from __future__ import annotations

from typing import Any

from engine import words
from engine.words import one_line

NEVER_THE_VERDICT = "CPT loss always falls; it is never the verdict."


def dig(value: Any, *keys: str) -> Any:
    """A nested value, or None where a part of the way is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


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
                f"{side}: {words.count(scan['documents'])} documents, "
                f"{words.count(scan['tokens'])} tokens, {words.size(scan['bytes'])}"
            )
    if (ratio := dig(found, "fertility", "ratio")) is not None:
        lines.append(f"domain words cost {ratio:.2f}x the tokens of generic words")
    return lines


def _probe(found: dict[str, Any]) -> list[str]:
    lines = []
    if fluency := found.get("fluency"):
        lines.append(
            f"bits/byte: domain {fluency['domain']['bits_per_byte']:.3f}, "
            f"generic {fluency['generic']['bits_per_byte']:.3f}, "
            f"ratio {interval(fluency['ratio'], 2)}"
        )
    if pilot := found.get("pilot"):
        lines.append(f"pilot's net gain {interval(pilot['gain'], 3)} nats/token")
    return lines


def interval(value: dict[str, float], digits: int) -> str:
    """``1.42 (95% 1.30 to 1.55)``."""
    low, high = (f"{value[key]:.{digits}f}" for key in ("low", "high"))
    return f"{value['value']:.{digits}f} (95% {low} to {high})"


def _decide(found: dict[str, Any]) -> list[str]:
    lines = [f"verdict: {found['outcome']}: {one_line(found.get('sentence', ''))}"]
    if found.get("instead"):
        lines.append(f"instead: {one_line(found['instead'])}")
    return lines


def _baseline(found: dict[str, Any]) -> list[str]:
    scores = ", ".join(f"{score:.1f}" for score in found.get("scores", []))
    mde = f"; smallest effect it can see: {found['mde']:.1f} points" if found.get("mde") else ""
    return [f"base arm: {scores} points on {found.get('items', '?')} items{mde}"]


def _pack(found: dict[str, Any]) -> list[str]:
    return [
        f"{words.count(found.get('rows'))} rows of {found.get('sequence_length')} tokens, "
        f"mix-back {100 * found.get('achieved_mix', 0):.2f}%"
    ]


def _train(found: dict[str, Any]) -> list[str]:
    lines = []
    for side in ("domain", "generic"):
        before, after = found.get(f"{side}_before"), found.get(f"{side}_after")
        if before is not None and after is not None:
            lines.append(f"{side} loss {before:.4f} -> {after:.4f} ({after - before:+.4f} nats)")
    return [*lines, f"forgetting: {found.get('guard', 'unknown')}. {NEVER_THE_VERDICT}"]


def _gate(found: dict[str, Any]) -> list[str]:
    label = f" ({found['label']})" if found.get("label") else ""
    return [
        f"verdict: {found['outcome']}{label}: {found['estimate']:+.2f} points "
        f"({found['low']:+.2f} to {found['high']:+.2f}), margin {found['margin']:g}",
        one_line(found.get("sentence", "")),
    ]


_FINDINGS: dict[str, Any] = {
    "scan": _scan,
    "probe": _probe,
    "decide": _decide,
    "baseline": _baseline,
    "pack": _pack,
    "train": _train,
    "gate": _gate,
    "report": lambda found: [f"report: {one_line(found['path'])}"],
}
