"""The gate in words: spread of the seeds, tries, tags, and what would change the verdict.

Plain lines from the verdict's evidence, for the screen and for ``--plain`` alike. Fields that
an older run does not have are left out.
"""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from engine.formatting import format_p_value, one_line

if TYPE_CHECKING:
    from engine.gate.items import Items, ScoredItem

LOOKING_IS_NOT_TESTING = "No verdict before all seeds are in: stopping early would be choosing."


def spread(scores: list[float]) -> str:
    """``mean 61.10, sd 0.84, 60.00 to 62.00``; sd is that of the sample (n - 1)."""
    if not scores:
        return "no seed yet"
    sd = f", sd {stdev(scores):.2f}" if len(scores) > 1 else ""
    return f"mean {mean(scores):.2f}{sd}, {min(scores):.2f} to {max(scores):.2f}"


def tries(found: dict[str, Any]) -> str:
    """How often this gold set was used to judge, and the p value corrected for it."""
    count = found.get("tries")
    if not count:
        return ""
    corrected = found.get("p_adjusted")
    times = "once" if count == 1 else f"{count:,} times"
    line = f"this gold set has judged {times}, this run counted"
    return line if corrected is None else f"{line}; corrected (Holm) {format_p_value(corrected)}"


def counted(items: Items) -> str:
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


def page(items: Items, few: int = 3) -> list[str]:
    """The items in a few lines: counts, the clearest lost and won."""
    if not items.scored:
        return []
    clearest = [item for state in ("lost", "won") for item in items.of(state)[:few]]
    lines = [f"items: {counted(items)}", *([f"({items.fault})"] if items.fault else [])]
    return [*lines, *(f"{item.state:<5}{item_line(item)}" for item in clearest)]


def tag_rows(found: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """By tag: its name, items, estimate, interval, corrected p."""
    rows = []
    for tag in found.get("by_tag") or []:
        corrected = tag.get("p_adjusted")
        rows.append(
            (
                one_line(tag["tag"]),
                f"{tag['items']:,}",
                f"{tag['estimate']:+.2f}",
                f"{tag['low']:+.2f} to {tag['high']:+.2f}",
                format_p_value(corrected) if corrected is not None else "-",
            )
        )
    return rows


def arm_rows(found: dict[str, Any]) -> list[tuple[str, str, str, str, str, str]]:
    """More arms: name, tokens, points, minus base, CPT minus it (with interval), forgetting."""
    rows = []
    for row in found.get("rows") or []:
        over, ahead, rise = (row.get(key) for key in ("minus_base", "cpt_over", "generic_rise"))
        rows.append(
            (
                one_line(row["name"]),
                f"{row['tokens']:,}",
                f"{row['score']:.1f}",
                f"{over:+.1f}" if over is not None else "-",
                f"{ahead['estimate']:+.1f} ({ahead['low']:+.1f} to {ahead['high']:+.1f})"
                if ahead
                else "-",
                row["guard"] if rise is None else f"{row['guard']} {rise:+.3f}",
            )
        )
    return rows


def arm_lines(found: dict[str, Any]) -> list[str]:
    """The same in plain lines."""
    lines = []
    for name, tokens, points, over, ahead, rise in arm_rows(found):
        told = f"arm {name}: {points} points after {tokens} tokens, {over} against the base"
        behind = f", CPT ahead by {ahead}" if ahead != "-" else ""
        lines.append(f"{told}{behind}, forgetting {rise}")
    return lines


def would_change(found: dict[str, Any]) -> list[str]:
    """What would make it another verdict: how far it is from it, and how many items or seeds."""
    low, high = float(found["low"]), float(found["high"])
    value, margin = abs(float(found["estimate"])), float(found["margin"])
    edge = low if found["outcome"] == "EARNED" else -high
    if found["outcome"] in ("EARNED", "HURT"):
        lines = [
            f"It would be a TIE if the interval reached 0 (it ends {abs(edge):.2f} points away) "
            f"or the estimate fell below the margin (it is {value - margin:.2f} above it)."
        ]
    else:
        lines = [_tie(str(found.get("label") or ""), low, high, margin)]
    return [*lines, *_wanted(found)]


def _tie(label: str, low: float, high: float, margin: float) -> str:
    ends = f"{low:+.2f} to {high:+.2f}"
    if label == "trivial":
        return f"The difference is real, but below the margin of {margin:g}; more shows the same."
    if label == "equivalent":
        return f"The interval ({ends}) lies inside the margin of {margin:g}; more shows the same."
    return f"The interval ({ends}) is too wide to tell 0 from the margin of {margin:g}."


def _wanted(found: dict[str, Any]) -> list[str]:
    """Items or seeds at which the effect seen would show."""
    items, seeds = found.get("items_wanted"), found.get("seeds_wanted")
    ways = []
    if items is not None:
        ways.append(f"{items:,} items with these {found['seeds']} seeds")
    if seeds is not None:
        ways.append(f"{seeds:,} seeds with these {found['items']:,} items")
    if ways:
        return [f"An effect of the size seen would show with {', or '.join(ways)}."]
    if found.get("label") == "underpowered" and "items_wanted" in found:
        return ["No number of items or seeds alone would show an effect of the size seen."]
    return []
