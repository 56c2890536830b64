"""The table of the worlds with known truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from tests.benchmarks.world_truths import Row, World

HEAD = (
    "| world | what is true | seeds | decision | EARNED / TIE / HURT | red guard | generic rise "
    "| CPT - base, points (range) | base -> CPT | domain loss | asked | held | CPU s | wall s |\n"
    + "|---" * 14
    + "|"
)


def table(rows: list[Row], worlds: Sequence[World]) -> str:
    """Markdown: one line a world, from the rows of its runs."""
    lines = [HEAD]
    for world in worlds:
        mine = [row for row in rows if row["world"] == world.name]
        if mine:
            lines.append("| " + " | ".join(cells(world, mine)) + " |")
    total = sum(row["wall_s"] for row in rows) / 60
    used = sum(row["cpu_s"] for row in rows) / 60
    lines.append(f"\n{len(rows)} runs; {total:.0f} min of wall time, {used:.0f} min of one core.")
    return "\n".join(lines)


def cells(world: World, rows: list[Row]) -> list[str]:
    """The cells of one world's line."""
    outcomes = Counter(row["outcome"] for row in rows)
    judged = [row for row in rows if row["outcome"]]
    decisions = Counter(row["decision"] or "failed" for row in rows)
    others = len(rows) - sum(outcomes[name] for name in ("EARNED", "TIE", "HURT"))
    verdicts = " / ".join(str(outcomes[name]) for name in ("EARNED", "TIE", "HURT"))
    return [
        world.name,
        world.truth,
        str(len(rows)),
        ", ".join(f"{name} {count}" for name, count in decisions.most_common())
        + (" (overridden)" if any(row["overridden"] for row in rows) else ""),
        verdicts + (f" (no verdict {others})" if others else ""),
        str(sum(row["guard"] == "red" for row in rows)),
        spread([row["generic_rise"] for row in judged], 3),
        spread([row["estimate"] for row in judged]),
        f"{middle(judged, 'base_scores')} -> {middle(judged, 'cpt_scores')}",
        f"{middle(judged, 'domain_before', 2)} -> {middle(judged, 'domain_after', 2)}",
        world.bound(len(rows)),
        f"{'yes' if world.holds(rows) else '**no**'} ({world.hits(rows)})",
        f"{median(row['cpu_s'] for row in rows):.0f}",
        f"{median(row['wall_s'] for row in rows):.0f}",
    ]


def spread(values: list[float], digits: int = 1) -> str:
    if not values:
        return "-"
    ends = f"{min(values):+.{digits}f} to {max(values):+.{digits}f}"
    return f"{median(values):+.{digits}f} ({ends})"


def middle(rows: list[Row], key: str, digits: int = 0) -> str:
    """Median over runs of a number, or of the mean of a list of numbers."""

    def number(value: Any) -> float:
        return sum(value) / len(value) if isinstance(value, list) else float(value)

    return f"{median(number(row[key]) for row in rows):.{digits}f}" if rows else "-"
