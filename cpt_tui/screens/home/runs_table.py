"""The list of runs: only the rows in sight are drawn, so that thousands cost what twenty do."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cpt_tui.run_list import RunRow
from cpt_tui.workspace.cells import Column, columns, row_line

FOCUSED, UNFOCUSED = Style(reverse=True), Style(underline=True)
"""The row under the cursor; told without colour."""


class RunsTable(ScrollView, can_focus=True):
    """Rows with a cursor; marks are kept by the run's id, whatever the order."""

    BINDINGS = [  # noqa: RUF012
        Binding("enter", "choose", show=False),
        Binding("up", "step(-1)", show=False),
        Binding("down", "step(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "end(0)", show=False),
        Binding("end", "end(1)", show=False),
    ]
    cursor: reactive[int] = reactive(0)

    class Moved(Message):
        """The cursor is on another run."""

    class Chosen(Message):
        """Enter was pressed on a run, or it was clicked twice."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.rows: Sequence[RunRow] = ()
        self.marked: set[str] = set()
        self._drawn: dict[int, Strip] = {}

    @property
    def row(self) -> RunRow | None:
        """The run under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is shown of a run at this width."""
        return columns(max(20, self.size.width))

    def show(self, rows: Sequence[RunRow], under: str = "") -> None:
        """Other rows; the cursor stays on its run, or goes to the one of the id ``under``."""
        held = under or (self.row.run.id if self.row else "")
        self.rows = rows
        at = next((i for i, row in enumerate(rows) if row.run.id == held), None)
        size = Size(max(1, self.size.width), len(rows))
        if size != self.virtual_size:
            self.virtual_size = size
            self._drawn.clear()
            self.refresh()
        self.move(at if at is not None else min(self.cursor, max(0, len(rows) - 1)))
        self.redraw()

    def redraw(self) -> None:
        """Repaint the rows in sight whose text differs from what is there."""
        top = self.scroll_offset.y
        for line in range(self.size.height):
            if self._strip(top + line) != self._drawn.get(line):
                self.refresh(Region(0, line, self.size.width, 1))

    def move(self, to: int) -> None:
        """The cursor to a row, as near as there is one; it comes into sight."""
        before, self.cursor = self.row, max(0, min(to, len(self.rows) - 1))
        self.scroll_to_region(
            Region(0, self.cursor, 1, 1), animate=False, force=True, x_axis=False, immediate=True
        )
        if self.row is not before:
            self.post_message(self.Moved())

    def mark(self) -> None:
        """Mark the run under the cursor, or take its mark back."""
        if self.row:
            self.marked ^= {self.row.run.id}
            self.redraw()

    def marked_rows(self) -> list[RunRow]:
        """The marked runs in the order of the list, hidden ones not among them."""
        return [row for row in self.rows if row.run.id in self.marked]

    def visible_ids(self) -> list[str]:
        """The runs in sight."""
        top = self.scroll_offset.y
        return [row.run.id for row in self.rows[top : top + max(1, self.size.height)]]

    def render_line(self, y: int) -> Strip:
        strip = self._strip(self.scroll_offset.y + y)
        self._drawn[y] = strip
        return strip

    def _strip(self, at: int) -> Strip:
        width = self.size.width
        if at >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        row = self.rows[at]
        text = row_line(row, self.columns, row.run.id in self.marked)
        if at != self.cursor:
            strip = Strip(text.render(self.app.console)).adjust_cell_length(width)
            return strip.apply_style(self.rich_style)
        style = self.rich_style + (FOCUSED if self.has_focus else UNFOCUSED)
        return Strip([Segment(text.plain, style)]).adjust_cell_length(width, style)

    def on_resize(self, event: Resize) -> None:
        self.virtual_size = Size(max(1, event.size.width), len(self.rows))
        self._drawn.clear()
        self.refresh()

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def watch_cursor(self) -> None:
        self.redraw()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._drawn.clear()

    def on_click(self, event: Click) -> None:
        self.move(self.scroll_offset.y + event.y)
        if event.chain == 2:
            self.action_choose()

    def action_choose(self) -> None:
        if self.row:
            self.post_message(self.Chosen())

    def action_step(self, by: int) -> None:
        self.move(self.cursor + by)

    def action_page(self, way: int) -> None:
        self.move(self.cursor + way * max(1, self.size.height - 1))

    def action_end(self, last: int) -> None:
        self.move(len(self.rows) - 1 if last else 0)
