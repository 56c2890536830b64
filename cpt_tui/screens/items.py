"""The gate's items: a list of won, lost and tied ones; Enter shows one whole."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from cpt_tui.keys.registry import bindings
from cpt_tui.panels.gate import item_line, item_text
from cpt_tui.panels.panel import text_width
from cpt_tui.screens.base import CptScreen, TextScreen
from engine.gate.items import STATES, Items, ScoredItem
from engine.summary import gate_lines

LONGEST = 5000
"""Items listed at once; the filters show the rest."""
FILTERS = ("", *STATES)


class ItemsScreen(CptScreen):
    """Items by how clearly they differ; where there is room, the one in front stands beside."""

    PLACE = "items"
    BINDINGS: ClassVar[list[BindingType]] = bindings("items")

    def __init__(self, items: Items) -> None:
        super().__init__()
        self._items = items
        self._filter = ""
        self._shown: list[ScoredItem] = []

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="items-header", classes="header")
        with Horizontal(id="items-body"):
            yield OptionList(id="items-list", markup=False, compact=True)
            with VerticalScroll(id="items-one"):
                yield Static(markup=False, id="items-text")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    @property
    def topic(self) -> str:
        return "gate"

    def _fill(self) -> None:
        """The list of the chosen kind, its cursor where it was."""
        listed = self.query_one(OptionList)
        at = listed.highlighted or 0
        self._shown = self._items.of(self._filter)[:LONGEST]
        width = max(30, listed.size.width - 10)
        listed.clear_options()
        listed.add_options(_option(item, width) for item in self._shown)
        listed.highlighted = min(at, len(self._shown) - 1) if self._shown else None
        listed.focus()
        self.query_one("#items-header", Static).update(self._head())
        self._show_one()

    def _head(self) -> Text:
        text = Text("Items  ", "bold")
        text.append(gate_lines.count_states(self._items) or "no seed of the CPT arm yet")
        return text.append(f"  showing: {self._filter or 'all'}  Enter: whole", "dim")

    def _show_one(self) -> None:
        """The highlighted item, where there is a place for it."""
        place = self.query_one("#items-one", VerticalScroll)
        at = self.query_one(OptionList).highlighted
        if place.display and at is not None and at < len(self._shown):
            text = item_text(self._shown[at], max(30, text_width(place)))
            self.query_one("#items-text", Static).update(text)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self._show_one()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.app.push_screen(ItemScreen(self._shown[event.option_index]))

    def action_move(self, by: int) -> None:
        """The cursor of the list, by rows."""
        listed = self.query_one(OptionList)
        if listed.option_count:
            at = (listed.highlighted or 0) + by
            listed.highlighted = max(0, min(at, listed.option_count - 1))

    def action_end(self, last: int) -> None:
        """To the first row, or to the last."""
        self.action_move(LONGEST if last else -LONGEST)

    def action_open_item(self) -> None:
        self.query_one(OptionList).action_select()

    def action_filter(self) -> None:
        """The next kind that has items."""
        counts = {"": len(self._items.items), **self._items.counts}
        at = FILTERS.index(self._filter)
        order = [*FILTERS[at + 1 :], *FILTERS[: at + 1]]
        self._filter = next(kind for kind in order if counts[kind] or not kind)
        self.query_one(OptionList).highlighted = None
        self._fill()


def _option(item: ScoredItem, width: int) -> Option:
    """A row; its word says the state, since colours do not show on the highlighted row."""
    text = Text(f"{item.state:<8}", "bold" if item.state == "lost" else "", no_wrap=True)
    return Option(text.append(item_line(item, width), "not bold"))


class ItemScreen(TextScreen):
    """One item whole."""

    PLACE = "item"
    BINDINGS: ClassVar[list[BindingType]] = bindings("item")

    def __init__(self, item: ScoredItem) -> None:
        super().__init__()
        self._item = item

    @property
    def topic(self) -> str:
        return "gate"

    def copied(self) -> str:
        return self.body().plain

    def heading(self) -> Text:
        return Text("One item of the gold set", "bold")

    def body(self) -> Text:
        return item_text(self._item, min(100, self.app.size.width - 4))
