"""Pages that are made from data are as the data says, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from cpt_tui.cli import app
from engine.decision import drawing
from engine.decision.tree import NODES
from engine.recipe.sections import Train
from engine.recipe.written import reference

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "cpt_tui/README.md", "recipes/README.md")
PAGES = (*PAGES, "engine/README.md")


def test_every_key_of_a_recipe_is_described_and_no_other() -> None:
    """Write it anew with: python -m engine.recipe.written.reference"""
    page = (ROOT / "recipes/README.md").read_text()
    again = reference.replace_between(page, reference.START, reference.END, reference.reference())
    assert page == again
    section = page[page.index("### `[train]`") :]
    for name in Train.model_fields:
        assert f"| `{name}` |" in section


def test_the_tree_is_drawn_from_its_data() -> None:
    """Write it anew with: python -m engine.decision.drawing"""
    page = (ROOT / "engine/README.md").read_text()
    assert page == reference.replace_between(page, drawing.START, drawing.END, drawing.draw_tree())
    assert all(node.question in page for node in NODES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_the_front_page_names_every_command_and_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if f"`cpt {name}" not in text] == []
    assert len(text.splitlines()) <= 120
