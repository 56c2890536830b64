"""The gate's verdict in one sentence: the number, the tries, the guard, what to ship."""

from __future__ import annotations

from engine.artifacts.gate import GateVerdict
from engine.formatting import format_p_value

CHECKPOINT = "this speaks for this checkpoint, not for the recipe"
RECIPE = "each seed has a training run of its own, so this speaks for the recipe"


def sentence(verdict: GateVerdict, alpha: float, scope: str = CHECKPOINT) -> str:
    """The verdict in words; ``alpha`` is the registered one, ``scope`` what it speaks for."""
    name = f"{verdict.outcome}, {verdict.label.upper()}" if verdict.label else verdict.outcome
    interval = f"{1 - alpha:.0%} interval{', not corrected,' if verdict.tries > 1 else ''}"
    found = (
        f"CPT minus base is {verdict.estimate:+.1f} points ({interval} "
        f"{verdict.low:+.1f} to {verdict.high:+.1f}; {verdict.seeds} seeds x {verdict.items} items)"
    )
    parts = [f"{name}: {found}", *_tries(verdict), *_label(verdict), *_guard(verdict)]
    parts += _chat(verdict)
    if verdict.outcome != "EARNED":
        parts.append("ship the base model")
    parts.append(scope)
    return "; ".join(parts) + "."


def _tries(verdict: GateVerdict) -> list[str]:
    if verdict.tries < 2:
        return []
    return [
        f"try {verdict.tries} against this gold set: {format_p_value(verdict.p_value)}, corrected "
        f"{format_p_value(verdict.p_adjusted)}"
    ]


def _label(verdict: GateVerdict) -> list[str]:
    """Why a tie is a tie, and what would change it."""
    if verdict.label == "equivalent":
        return [f"any difference is below the margin of {verdict.margin:g}"]
    if verdict.label == "trivial":
        return [f"real, but below the margin of {verdict.margin:g}"]
    if verdict.label != "underpowered":
        return []
    return [f"this gate shows {verdict.mde:.1f} points and more", *_more(verdict)]


def _more(verdict: GateVerdict) -> list[str]:
    effect = max(abs(verdict.estimate), verdict.margin)
    if verdict.mde <= effect or verdict.mde >= 100:
        return []
    ways = [
        f"about {_two_digits(number):,} {name} (now {now:,})"
        for number, now, name in (
            (verdict.items_wanted, verdict.items, "items"),
            (verdict.seeds_wanted, verdict.seeds, "seeds"),
        )
        if number is not None and number > now
    ]
    if not ways:
        return [f"neither items nor seeds alone would show {effect:.1f} points"]
    return [f"{' or '.join(ways)} would show {effect:.1f} points"]


def _two_digits(number: int) -> int:
    """Rounded up to two digits: an estimate from a few seeds has no more."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit


def _chat(verdict: GateVerdict) -> list[str]:
    """What a chat model lost of its answers, or may have lost."""
    if verdict.chat_guard in ("", "green") or verdict.chat_rise is None:
        return []
    high = "" if verdict.chat_high is None else f", at most {verdict.chat_high:.3f}"
    rose = f"the loss of held-out answers rose by {verdict.chat_rise:.3f} nats{high}"
    if verdict.chat_guard == "amber":
        return [f"{rose} (amber)"]
    return [f"{rose}: train the base model that this one was made from, then its instructions"]


def _guard(verdict: GateVerdict) -> list[str]:
    """What generic text lost, or may have lost."""
    rise, high = verdict.generic_rise, verdict.generic_high
    rise, high = verdict.generic_rise, verdict.generic_high
    advice, guard = "mix back more, lower the rate or use LoRA", verdict.generic_guard
    guard = guard or verdict.guard
    if guard == "unknown":
        return ["forgetting was not measured"]
    if guard == "green":
        return []
    if rise is None:
        return [f"generic loss is not a finite number: {advice}"]
    bound = "" if high is None else f", at most {high:.3f}"
    if guard == "amber":
        return [f"generic loss rose by {rise:.3f} nats{bound} (amber)"]
    return [f"generic loss rose by {rise:.3f} nats{bound}: {advice}"]
