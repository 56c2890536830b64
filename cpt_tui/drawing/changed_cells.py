"""Only cells that changed are written: what a screen repaints is compared with what stands there.

A widget that changes one digit repaints all of itself, and one whose size may change repaints
the whole screen; over SSH each costs thousands of bytes a second. What was written is kept as
cells, and an update is cut down to the runs of cells that differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

Cell = tuple[str, Style | None]
Piece = tuple[int, int, Strip]
"""Column, row, and what is drawn from there."""
NEAR = 8
"""Equal cells between two changes that cost less than moving the cursor over them."""


class CellUpdate(CompositorUpdate):
    """Text and moves of the cursor, ready to write."""

    def __init__(self, text: str) -> None:
        self.text = text

    def render_segments(self, console: Console) -> str:
        return self.text


class ShownCells:
    """What stands on the terminal, as far as it is known."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, Cell]] = {}

    def forget(self) -> None:
        """Another hand wrote on the terminal, or its size changed: all is written again."""
        self._rows.clear()

    def narrow(self, update: ChopsUpdate | LayoutUpdate, console: Console) -> CellUpdate:
        """The update without the cells that are there already."""
        return CellUpdate("".join(self._write(piece, console) for piece in pieces(update)))

    def _write(self, piece: Piece, console: Console) -> str:
        x, y, strip = piece
        row = self._rows.setdefault(y, {})
        cells = cells_of(strip)
        if cells is None:  # marks that join, wide characters: no column is sure after them
            for column in range(x, x + strip.cell_length):
                row.pop(column, None)
            return move(x, y) + strip.render(console)
        changed = [i for i, cell in enumerate(cells) if row.get(x + i) != cell]
        written = []
        for first, last in runs(changed):
            part = cells[first : last + 1]
            written.append(move(x + first, y) + Strip(list(joined(part))).render(console))
            row.update({x + first + i: cell for i, cell in enumerate(part)})
        return "".join(written)


def pieces(update: ChopsUpdate | LayoutUpdate) -> Iterator[Piece]:
    """What an update would draw, piece by piece."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield x, y, strip
                x += strip.cell_length
        return
    for y, left, right in update.spans:
        for end, (x, part) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if part is None or x > right or end <= left:
                continue
            yield x, y, part if end <= right else part.crop(0, right - x)


def cells_of(strip: Strip) -> list[Cell] | None:
    """One entry a cell; None where a character takes no cell, or two."""
    cells: list[Cell] = []
    for text, style, control in strip:
        if control or (not text.isascii() and cell_len(text) != len(text)):
            return None
        cells += [(char, style) for char in text]
    return cells


def runs(changed: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of indices, those that are near each other in one."""
    first = last = -1
    for at in changed:
        if first >= 0 and at - last > NEAR:
            yield first, last
            first = at
        first = at if first < 0 else first
        last = at
    if first >= 0:
        yield first, last


def joined(cells: Sequence[Cell]) -> Iterator[Segment]:
    """Neighbours of one style as one segment."""
    text, held = "", cells[0][1]
    for char, style in cells:
        if style is not held and style != held:
            yield Segment(text, held)
            text, held = "", style
        text += char
    yield Segment(text, held)


def move(x: int, y: int) -> str:
    """The sequence that puts the cursor on a cell."""
    return f"\x1b[{y + 1};{x + 1}H"
