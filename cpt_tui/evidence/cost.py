"""Cost: the price on this machine, training and gate side by side."""

from __future__ import annotations

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import Page
from cpt_tui.evidence.drawer import Limits
from engine.artifacts.decision import Evidence
from engine.formatting import format_count, format_duration, format_memory


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """Time, FLOPs and memory of both; the gate is often the larger part."""
    price = found.cost
    if price is None:
        return
    page.heading("The price on this machine, predicted from a short timing")
    train, gate = price.train_seconds, price.gate_seconds
    for label, seconds in (("training", train), ("gate", gate)):
        page.put(f"{label:<10}", "dim").draw(bar(seconds, max(train, gate), min(30, width - 30)))
        page.add(f" {format_duration(seconds)}", "bold")
    page.add(f"{'':<18}{'training':>14}{'gate':>14}", "dim")
    speed = price.tokens_per_s
    rows = (
        ("tokens", format_count(price.tokens), format_count(gate * speed)),
        ("FLOPs", format_flops(price.train_flops), format_flops(price.gate_flops)),
        ("memory", format_memory(price.memory_gb), format_memory(price.gate_memory_gb)),
    )
    for label, ours, its in rows:
        page.put(f"{label:<18}", "dim").add(f"{ours:>14}{its:>14}")
    page.pair("speed", f"{format_count(speed)} tokens/s")
    page.pair("both together", format_duration(train + gate), "bold")


def format_flops(value: float) -> str:
    """``2.6e+15``; a dash where it was not predicted."""
    return f"{value:.1e}" if value else "-"
