"""The gate in words: spread of the seeds, tries, tags, and what would change the verdict.

Plain lines from the verdict's record, for the screen and for ``--plain`` alike. What an older
run did not measure is left out.
"""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

from engine.formatting import format_p_value, one_line

if TYPE_CHECKING:
    from engine.artifacts.arms import ArmsResult
    from engine.artifacts.gate import GateVerdict
    from engine.gate.items import Items, ScoredItem

LOOKING_IS_NOT_TESTING = (
    "No verdict but at a registered look: stopping elsewhere would be choosing."
)


def summarize_seeds(scores: list[float]) -> str:
    """``mean 61.10, sd 0.84, 60.00 to 62.00``; sd is that of the sample (n - 1)."""
    if not scores:
        return "no seed yet"
    sd = f", sd {stdev(scores):.2f}" if len(scores) > 1 else ""
    return f"mean {mean(scores):.2f}{sd}, {min(scores):.2f} to {max(scores):.2f}"


def describe_tries(found: GateVerdict) -> str:
    """How often this gold set was used to judge, and the p value corrected for it.

    Empty for a verdict of a version that did not count.
    """
    if not found.tries or "tries" not in found.model_fields_set:
        return ""
    times = "once" if found.tries == 1 else f"{found.tries:,} times"
    line = f"this gold set has judged {times}, this run counted"
    corrected = found.p_adjusted
    return line if corrected is None else f"{line}; corrected (Holm) {format_p_value(corrected)}"


def count_states(items: Items) -> str:
    """``31 won, 12 lost, 357 tied``; empty before both arms have a seed."""
    if not items.scored:
        return ""
    counts = items.counts.items()
    return ", ".join(f"{n:,} {state}" for state, n in counts if n or state != "waiting")


def item_line(item: ScoredItem) -> str:
    """``#18 +40.0: Which sense of "potter" ...``, the text not cleaned."""
    text = one_line(item.text.prompt) if item.text else "(text not at hand)"
    gap = "" if item.difference is None else f" {item.difference:+.1f}"
    return f"#{item.number + 1}{gap}: {text}"


def summarize_items(items: Items, few: int = 3) -> list[str]:
    """The items in a few lines: counts, the clearest lost and won."""
    if not items.scored:
        return [f"({items.fault})"] if items.fault else []
    clearest = [item for state in ("lost", "won") for item in items.of(state)[:few]]
    lines = [f"items: {count_states(items)}", *([f"({items.fault})"] if items.fault else [])]
    return [*lines, *(f"{item.state:<5}{item_line(item)}" for item in clearest)]


def tag_rows(found: GateVerdict) -> list[tuple[str, str, str, str, str]]:
    """By tag: its name, items, estimate, interval, corrected p."""
    return [
        (
            one_line(tag.tag),
            f"{tag.items:,}",
            f"{tag.estimate:+.2f}",
            f"{tag.low:+.2f} to {tag.high:+.2f}",
            format_p_value(tag.p_adjusted),
        )
        for tag in found.by_tag
    ]


def arm_rows(found: ArmsResult) -> list[tuple[str, str, str, str, str, str]]:
    """More arms: name, tokens, points, minus base, CPT minus it (with interval), forgetting."""
    return [
        (
            one_line(row.name),
            f"{row.tokens:,}",
            f"{row.score:.1f}",
            "-" if row.minus_base is None else f"{row.minus_base:+.1f}",
            f"{row.cpt_over.estimate:+.1f} ({row.cpt_over.ends})" if row.cpt_over else "-",
            row.guard if row.generic_rise is None else f"{row.guard} {row.generic_rise:+.3f}",
        )
        for row in found.rows
    ]


def arm_lines(found: ArmsResult) -> list[str]:
    """The same in plain lines."""
    lines = []
    for name, tokens, points, over, ahead, rise in arm_rows(found):
        line = f"arm {name}: {points} points after {tokens} tokens, {over} against the base"
        behind = f", CPT ahead by {ahead}" if ahead != "-" else ""
        lines.append(f"{line}{behind}, forgetting {one_line(rise)}")
    return lines


def would_change(found: GateVerdict) -> list[str]:
    """What would make it another verdict: how far it is from it, and how many items or seeds."""
    if found.outcome == "NOT JUDGED":
        return ["It would be judged if the SFT learnt: more examples or epochs, or another rate."]
    if found.outcome in ("EARNED", "HURT"):
        edge = found.low if found.outcome == "EARNED" else -found.high
        above = abs(found.estimate) - found.margin
        first = (
            f"It would be a TIE if the interval reached 0 (it ends {abs(edge):.2f} points away) "
            f"or the estimate fell below the margin (it is {above:.2f} above it)."
        )
        if "by ranking" in found.label:
            first = (
                f"It would be a TIE if the ranking did not agree, or the estimate fell below the "
                f"margin (it is {above:.2f} above it)."
            )
    else:
        first = _tie(found)
    return [first, *_wanted(found)]


def _tie(found: GateVerdict) -> str:
    ends, margin = f"{found.low:+.2f} to {found.high:+.2f}", f"{found.margin:g}"
    if found.label == "trivial":
        return f"The difference is real, but below the margin of {margin}; more shows the same."
    if found.label == "equivalent":
        return f"The interval ({ends}) lies inside the margin of {margin}; more shows the same."
    return f"The interval ({ends}) is too wide to tell 0 from the margin of {margin}."


def _wanted(found: GateVerdict) -> list[str]:
    """Items or seeds at which the effect seen would show."""
    items, seeds = found.items_wanted, found.seeds_wanted
    ways = []
    if items is not None:
        ways.append(f"{items:,} items with these {found.seeds} seeds")
    if seeds is not None:
        ways.append(f"{seeds:,} seeds with these {found.items:,} items")
    if ways:
        return [f"An effect of the size seen would show with {', or '.join(ways)}."]
    if found.label == "underpowered" and "items_wanted" in found.model_fields_set:
        return ["No number of items or seeds alone would show an effect of the size seen."]
    return []
