"""Only what changed is written, and the terminal ends up as if all had been."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from cpt_tui.drawing.changed_cells import ShownCells, runs

CONSOLE = Console(color_system="truecolor", width=20)
BOLD = Style(bold=True)


def update(*lines: tuple[str, Style | None]) -> LayoutUpdate:
    strips = [[Strip([Segment(text, style)])] for text, style in lines]
    return LayoutUpdate(strips, Region(0, 0, 20, len(lines)))


def written(cells: ShownCells, *lines: tuple[str, Style | None]) -> str:
    return cells.narrow(update(*lines), CONSOLE).render_segments(CONSOLE)


def played(rows: list[list[str]], text: str) -> None:
    """What a terminal makes of the sequences."""
    y = x = 0
    for found in re.finditer(r"\x1b\[(\d+);(\d+)H|\x1b\[[\d;]*m|(.)", text):
        if found[1]:
            y, x = int(found[1]) - 1, int(found[2]) - 1
        elif found[3]:
            rows[y][x] = found[3]
            x += 1


def test_one_changed_digit_is_one_written_cell() -> None:
    cells = ShownCells()
    assert "step 41 of 100" in written(cells, ("step 41 of 100", None), ("same", BOLD))
    assert written(cells, ("step 42 of 100", None), ("same", BOLD)) == "\x1b[1;7H2"
    assert written(cells, ("step 42 of 100", None), ("same", BOLD)) == ""
    assert written(cells, ("step 42 of 100", None), ("same", None)) == "\x1b[2;1Hsame"
    cells.forget()
    assert "step 42 of 100" in written(cells, ("step 42 of 100", None))


def test_the_terminal_shows_what_was_drawn() -> None:
    cells, rows = ShownCells(), [[" "] * 20 for _ in range(2)]
    texts = ["aaaaaaaaaaaaaaaaaaaa", "aabaaaaaaaaaaaaaaaca", "\u2588\u2588\u2591 42% left 3 min  "]
    for text in [*texts, texts[0]]:
        played(rows, written(cells, (text, None), (text[::-1], BOLD)))
        assert ["".join(row) for row in rows] == [text, text[::-1]]


@pytest.mark.parametrize("odd", ["\u6f22\u5b57 wide", "e\u0301 joined"])
def test_where_no_column_is_sure_all_is_written(odd: str) -> None:
    cells = ShownCells()
    for _ in range(2):
        assert odd in written(cells, (odd, None))
    assert "plain text" in written(cells, ("plain text", None))


def test_near_changes_are_one_run() -> None:
    assert list(runs([1, 3, 4, 20, 40, 41])) == [(1, 4), (20, 20), (40, 41)]
    assert list(runs([])) == []
