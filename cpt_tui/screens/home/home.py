"""Home: the runs on this machine with filter, order, marks and a preview; the ready recipes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic, process_time
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from cpt_tui.keys.registry import bindings
from cpt_tui.panels.panel import text_width
from cpt_tui.run_list import RunRow, recipe_files
from cpt_tui.safe import clean_line
from cpt_tui.screens.home.deeds import RunDeeds
from cpt_tui.screens.home.runs_table import RunsTable
from cpt_tui.workspace.cells import head_line
from cpt_tui.workspace.listing import ORDERS, RunListing, arranged
from cpt_tui.workspace.preview import preview_text, read_findings

PROMISE = "Should this model be trained further on this text? Measured, not guessed."
EMPTY = (
    "No runs yet.\n\n"
    "d  watch the whole story on a tiny embedded world: offline, on the CPU, minutes\n"
    "n  ask the question for your own model and text\n"
    "Tab and Enter take a ready recipe below as the start of an interview.\n"
)
BEAT = 2.0
"""Seconds between two looks at the runs, at least."""
LOOK_SHARE = 1 / 250
"""Most part of a core that looking costs: the more runs, the rarer it is done."""
BLOCK = 64
"""Runs read at once; keys are answered between two blocks."""
ORDERS_ALL = tuple(ORDERS)
PAUSE = 0.02
"""Seconds between two blocks."""
REST = 0.15
"""Seconds that the cursor rests on a run before its preview is read."""


class FilterInput(Input):
    """The filter's field: Enter keeps it, Esc takes it away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.clear_filter", "no filter"),
        Binding("down", "screen.keep_filter", show=False),
    ]


class HomeScreen(RunDeeds):
    """The first screen of ``cpt``."""

    PLACE = "home"
    BINDINGS: ClassVar[list[BindingType]] = bindings("home")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-preview")]  # noqa: RUF012

    def __init__(self, home: Path | None = None) -> None:
        super().__init__(home)
        self.table = RunsTable(id="home-table")
        self._listing = RunListing(home)
        self._all: list[RunRow] = []
        self._recipes: list[Path] = []
        self._query = ""
        self._order = 0
        self._looking = asyncio.Lock()
        self._reading = False
        self._next_look = 0.0
        self._previewed = ""

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="brand")
        yield Static(markup=False, classes="section", id="runs-title")
        field = FilterInput(id="filter", compact=True, placeholder="name, model, text or state")
        field.cursor_blink = False
        yield field
        yield Static(EMPTY, markup=False, id="home-empty")
        with Horizontal(id="home-body"):
            with Vertical(id="home-list"):
                yield Static(markup=False, id="home-head")
                yield self.table
            with VerticalScroll(id="preview", can_focus=False):
                yield Static(markup=False, id="preview-text")
        yield Static("Ready recipes", markup=False, classes="section", id="recipes-title")
        yield OptionList(id="home-recipes", markup=False, compact=True)
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        brand = Text("cpt", "bold")
        brand.append("  continued pretraining, only where it earns its keep\n")
        brand.append(PROMISE, "dim")
        self.query_one("#brand", Static).update(brand)
        self.query_one("#filter").display = False
        self._list_recipes()
        await self.refresh_rows()
        self.table.focus()
        self.set_interval(BEAT, self._beat)

    def _beat(self) -> None:
        if not self._looking.locked():
            self.run_worker(self.refresh_rows(), group="rows")

    async def on_screen_resume(self) -> None:
        """Back here, the cursor is on the run that was left."""
        left = getattr(self.app, "left", None)
        self._next_look = 0.0
        await self.refresh_rows(left.id if left else "")
        if left is not None:
            self.table.focus()
            self.app.left = None  # type: ignore[attr-defined]

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    def look_now(self) -> None:
        self._next_look = 0.0

    def _list_recipes(self) -> None:
        self._recipes = recipe_files()
        listed = self.query_one("#home-recipes", OptionList)
        for path in self._recipes:
            line = Text(f"{clean_line(path.stem, 21):<22}")
            room = max(20, self.app.size.width - 26)
            listed.add_option(Option(line.append(clean_line(_purpose(path), room), "dim")))
        listed.highlighted = 0 if self._recipes else None
        listed.display = self.query_one("#recipes-title").display = bool(self._recipes)

    # the rows

    async def refresh_rows(self, under: str = "") -> None:
        """See what is new, those in sight first; touch the screen only where it changed."""
        async with self._looking:
            runs = self._listing
            if monotonic() >= self._next_look:
                spent = process_time()
                await asyncio.to_thread(runs.look)
                self._next_look = monotonic() + (process_time() - spent) / LOOK_SHARE
            first = {*self.table.visible_ids()} & {*runs.living()}
            left = await asyncio.to_thread(runs.read, BLOCK, first | {under} if under else first)
            self._take(runs.rows(), under)
        if left and not self._reading:
            self._read_rest()

    @work
    async def _read_rest(self) -> None:
        """What is not in sight, block by block; other orders than by age wait for the last."""
        self._reading = True
        left = 1
        while left and self.is_attached:
            await asyncio.sleep(PAUSE)
            async with self._looking:
                left = await asyncio.to_thread(self._listing.read, BLOCK)
                if not left or ORDERS_ALL[self._order] == "newest":
                    self._take(self._listing.rows())
        self._reading = False

    def _take(self, rows: list[RunRow], under: str = "") -> None:
        if not self.is_attached:
            return
        if rows != self._all or not rows or under:
            self._all = rows
            self._arrange(under)
        else:
            self.table.redraw()

    def _arrange(self, under: str = "") -> None:
        """Filter and order what is there, and draw what of it is in sight."""
        if not self.query("#home-body"):  # being taken down
            return
        table, order = self.table, ORDERS_ALL[self._order]
        shown = arranged(self._all, self._query, order)
        self.query_one("#home-empty").display = not self._all
        self.query_one("#home-body").display = bool(self._all)
        table.show(shown, under)
        self.put_text("#home-head", head_line(table.columns))
        self.put_text("#runs-title", self._title(len(shown), order))
        self.offer_keys()
        if table.row and table.row.run.id != self._previewed:
            self._preview()

    def _title(self, shown: int, order: str) -> Text:
        text = Text("Runs", no_wrap=True, overflow="ellipsis", end="")
        if self._query:
            text.append(f"  {shown:,} of {len(self._all):,} match '{clean_line(self._query, 30)}'")
        elif len(self._all) > 1:
            text.append(f"  {len(self._all):,}", "not bold")
        if order != "newest":
            text.append(f"  by {order}", "not bold")
        marked = len(self.table.marked)
        return text.append(f"  {marked} marked (c compares two)", "not bold") if marked else text

    @on(RunsTable.Moved)
    def _moved(self) -> None:
        self.offer_keys()
        if self.query_one("#preview").display:
            self.set_timer(REST, self._preview)

    def on_descendant_focus(self) -> None:
        self.offer_keys()

    @work(exclusive=True, group="preview")
    async def _preview(self) -> None:
        """The run under the cursor beside the list, where there is room for it."""
        row, place = self.table.row, self.query_one("#preview", VerticalScroll)
        if row is None or not place.display:
            return
        if row.run.id != self._previewed:
            self.put_text("#preview-text", preview_text(row, {}, text_width(place)))
        found = await asyncio.to_thread(read_findings, row)
        self._previewed = row.run.id
        if self.is_attached and self.table.row is row:
            self.put_text("#preview-text", preview_text(row, found, text_width(place)))

    # keys

    def selected(self) -> RunRow | None:
        """The run under the cursor, while the runs are in front."""
        if not self.is_mounted or self.query_one("#home-recipes").has_focus:
            return None
        return self.table.row

    def chosen_recipe(self) -> Path | None:
        """The ready recipe under the cursor, while the recipes are in front."""
        recipes = self.query_one("#home-recipes", OptionList)
        if not recipes.has_focus or recipes.highlighted is None:
            return None
        return self._recipes[recipes.highlighted]

    @on(RunsTable.Chosen)
    def _row_chosen(self) -> None:
        self.action_open()

    @on(OptionList.OptionSelected, "#home-recipes")
    def _recipe_chosen(self, event: OptionList.OptionSelected) -> None:
        self.open_recipe(self._recipes[event.option_index])

    def action_move(self, by: int) -> None:
        """The cursor of the list in front, by rows."""
        recipes = self.query_one("#home-recipes", OptionList)
        if recipes.has_focus:
            at = (recipes.highlighted or 0) + by
            recipes.highlighted = max(0, min(at, recipes.option_count - 1))
        else:
            self.table.move(self.table.cursor + by)

    def action_end(self, last: int) -> None:
        """To the first row of the list in front, or to its last."""
        self.action_move(1_000_000 if last else -1_000_000)

    def action_mark(self) -> None:
        self.table.mark()
        self.table.move(self.table.cursor + 1)
        self._arrange()

    def action_order(self) -> None:
        """The next order."""
        self._order = (self._order + 1) % len(ORDERS_ALL)
        self._arrange()

    def action_filter(self) -> None:
        field = self.query_one("#filter", FilterInput)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._query = event.value
        self._arrange()

    @on(Input.Submitted, "#filter")
    def action_keep_filter(self) -> None:
        """Back to the runs; the filter stays as long as something stands in it."""
        field = self.query_one("#filter", FilterInput)
        field.display = bool(field.value.strip())
        self.table.focus()

    def action_clear_filter(self) -> None:
        field = self.query_one("#filter", FilterInput)
        field.value = ""
        self.action_keep_filter()

    def action_back(self) -> None:
        """Esc: the filter away, then the marks; home itself stays."""
        if self._query:
            self.action_clear_filter()
        elif self.table.marked:
            self.table.marked.clear()
            self._arrange()
        else:
            self.table.focus()


def _purpose(path: Path) -> str:
    """The recipe's own line on what it is for."""
    import tomllib

    try:
        about = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("recipe", {})
    except (OSError, ValueError, RecursionError):
        return "cannot be read"
    return clean_line(about.get("purpose", "") if isinstance(about, dict) else "", 90)
