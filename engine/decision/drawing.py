"""The decision tree as text, from its data; ``python -m engine.decision.drawing`` writes it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from engine.decision.tree import NODES, Node
from engine.files import write_atomic
from engine.recipe.written.reference import replace_between

START, END = "<!-- tree: python -m engine.decision.drawing -->", "<!-- /tree -->"
WIDTH = 92


def draw_tree() -> str:
    """Each node below the one before: its question, who answers, its rule."""
    lines = []
    for number, node in enumerate(NODES, 1):
        last = number == len(NODES)
        lines.append(f"{number:>2} {node.question}")
        stem = "   " if last else " | "
        for said in (_answered(node), node.rule):
            lines += [f"{stem}   {line}" for line in textwrap.wrap(said, WIDTH - 6)]
        lines.append("" if last else stem.rstrip())
    lines.append("   The first NO-GO decides; else NOT YET where anything needed is open; else GO.")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _answered(node: Node) -> str:
    """Who answers the node, and what an open answer means."""
    by = []
    if node.needs is not None:
        by.append("measured")
    if node.asks:
        by.append(f"asked ({node.asks})")
    return " or ".join(by or ["shown"]) + ("; open means NOT YET" if node.required else "")


def main() -> None:
    page = Path(__file__).parents[1] / "README.md"
    write_atomic(page, replace_between(page.read_text(), START, END, draw_tree()))


if __name__ == "__main__":
    main()
