"""The gate's verdict in one sentence: the number, the tries, the guard, what to ship."""

from __future__ import annotations

from engine.artifacts.gate import GateVerdict
from engine.formatting import format_p_value

CHECKPOINT = "this speaks for this checkpoint, not for the recipe"
NOT_JUDGED = "NOT JUDGED"
LAST_LOOK = "this was the last look"
RECIPE = "each seed has a training run of its own, so this speaks for the recipe"


def sentence(verdict: GateVerdict, alpha: float, scope: str = CHECKPOINT) -> str:
    """The verdict in words; ``alpha`` is the registered one, ``scope`` what it speaks for."""
    if verdict.outcome == NOT_JUDGED:
        return f"{NOT_JUDGED}: {_collapsed(verdict)}; ship the base model; {scope}."
    name = f"{verdict.outcome}, {verdict.label.upper()}" if verdict.label else verdict.outcome
    level = percent(1 - (verdict.alpha or alpha))
    interval = f"{level} interval{', not corrected,' if verdict.tries > 1 else ''}"
    what = ", both at the class shares of the gold set," if verdict.raw else ""
    found = (
        f"CPT minus base{what} is {verdict.estimate:+.1f} points ({interval} "
        f"{verdict.low:+.1f} to {verdict.high:+.1f}; {verdict.seeds} seeds x {verdict.items} items)"
    )
    parts = [f"{name}: {found}", *_beside(verdict), *_looks(verdict), *_tries(verdict)]
    parts += [*_label(verdict), *_doubts(verdict), *_guard(verdict)]
    parts += _chat(verdict)
    if verdict.outcome != "EARNED":
        parts.append("ship the base model")
    parts.append(scope)
    return "; ".join(parts) + "."


def percent(share: float) -> str:
    """``95%``, ``98.5%``."""
    return f"{100 * share:.4g}%"


def _collapsed(verdict: GateVerdict) -> str:
    """Why nothing can be compared."""
    counts = zip(("base", "CPT"), verdict.replaced, strict=True)
    said = [f"{count} of the {name} arm's {verdict.seeds}" for name, count in counts if count]
    return (
        f"the SFT does not learn here: {' and '.join(said)} seeds collapsed and were replaced; "
        "more SFT examples or epochs, or another gate.probe.lr, would change that"
    )


def _beside(verdict: GateVerdict) -> list[str]:
    """Raw accuracy and ranking, always printed where they stand beside the primary score."""
    parts = []
    if raw := verdict.raw:
        parts.append(
            f"raw accuracy {raw.base:.1f} to {raw.cpt:.1f}, {raw.estimate:+.1f} "
            f"({raw.low:+.1f} to {raw.high:+.1f})"
        )
        if verdict.outcome in ("EARNED", "HURT") and raw.estimate * verdict.estimate < 0:
            parts.append("raw accuracy disagrees")
    if ranking := verdict.ranking:
        parts.append(
            f"ranking (macro-AUC) {ranking.base:.1f} to {ranking.cpt:.1f}, {ranking.estimate:+.1f} "
            f"({ranking.low:+.1f} to {ranking.high:+.1f}), corrected "
            f"{format_p_value(ranking.p_adjusted)}"
        )
    return parts


def _looks(verdict: GateVerdict) -> list[str]:
    """Where a sequential gate stopped, and why."""
    if not verdict.looks:
        return []
    last = verdict.looks[-1]
    if len(verdict.looks) == 1 and last.why == LAST_LOOK:
        return []
    times = f"look {len(verdict.looks)}, at {last.seeds} seeds"
    return [f"{times}: {last.why}"]


def _doubts(verdict: GateVerdict) -> list[str]:
    """What makes the numbers less than they look."""
    parts = []
    if any(verdict.constant):
        base, cpt = verdict.constant
        parts.append(
            f"all items got one answer under {base} seeds of the base arm and {cpt} of the CPT "
            "arm, so no equality is shown"
        )
    if any(verdict.replaced):
        base, cpt = verdict.replaced
        parts.append(f"collapsed seeds replaced by their spare: base {base}, CPT {cpt}")
    if verdict.spare_disagrees and verdict.spare_gap is not None:
        parts.append(
            f"the spare SFT rows gain {verdict.spare_gap:+.1f} points more than the gold set's own "
            "items: they are not the same task"
        )
    return parts


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
    if any(verdict.constant):
        return []
    return [f"this gate shows {verdict.mde:.1f} points and more", *_more(verdict)]


def _more(verdict: GateVerdict) -> list[str]:
    effect = max(abs(verdict.estimate), verdict.margin)
    if verdict.mde <= effect or verdict.mde >= 100:
        return []
    ways = [
        f"about {two_digits(number):,} {name} (now {now:,})"
        for number, now, name in (
            (verdict.items_wanted, verdict.items, "items"),
            (verdict.seeds_wanted, verdict.seeds, "seeds"),
        )
        if number is not None and number > now
    ]
    if not ways:
        return [f"neither items nor seeds alone would show {effect:.1f} points"]
    return [f"{' or '.join(ways)} would show {effect:.1f} points"]


def two_digits(number: int) -> int:
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
