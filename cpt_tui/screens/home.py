"""Home: what cpt promises, the runs on this machine, the ready recipes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, OptionList, Static
from textual.widgets.option_list import Option

from cpt_tui.drawing.page import STATE_STYLES
from cpt_tui.keys import bindings
from cpt_tui.run_list import RunRow, planned_stages, recipe_files, run_rows
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.screens.confirm import ChoiceScreen, ConfirmScreen
from engine.errors import CptError
from engine.runs import launch
from engine.runs.run import Run

PROMISE = "Should this model be trained further on this text? Measured, not guessed."
EMPTY = (
    "No runs yet.\n\n"
    "d  watch the whole story on a tiny embedded world: offline, on the CPU, minutes\n"
    "n  ask the question for your own model and text\n"
    "Tab and Enter take a ready recipe below as the start of an interview.\n"
)
COLUMNS = (("run", 31), ("state", 12), ("stage", 10), ("outcome", 8), ("age", 6))
BESIDE_NAME = 49
"""Cells of a row that are not the run's name: the other columns, padding, scrollbar."""
DEMOS = (
    "A corpus the base does not know: every stage, up to the gate",
    "A corpus the base reads fluently: watch cpt say NO-GO",
)


class HomeScreen(CptScreen):
    """The first screen of ``cpt``."""

    PLACE = "home"
    BINDINGS: ClassVar[list[BindingType]] = bindings("home")

    def __init__(self, home: Path | None = None) -> None:
        super().__init__()
        self._home = home
        self._rows: list[RunRow] = []
        self._name_width = COLUMNS[0][1]
        self._recipes: list[Path] = []

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="brand")
        yield Static("Runs", markup=False, classes="section")
        yield Static(EMPTY, markup=False, id="home-empty")
        yield DataTable(id="home-table", cursor_type="row", zebra_stripes=False)
        yield Static("Ready recipes", markup=False, classes="section", id="recipes-title")
        yield OptionList(id="home-recipes", markup=False, compact=True)
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        brand = Text("cpt", "bold")
        brand.append("  continued pretraining, only where it earns its keep\n")
        brand.append(PROMISE, "dim")
        self.query_one("#brand", Static).update(brand)
        table = self.query_one(DataTable)
        self._name_width = max(20, self.app.size.width - BESIDE_NAME)
        for name, width in COLUMNS:
            room = self._name_width if name == "run" else width
            table.add_column(Text(name), width=room, key=name)
        self._list_recipes()
        await self.refresh_rows()
        self.set_interval(2.0, self.refresh_rows)

    async def on_screen_resume(self) -> None:
        await self.refresh_rows()

    def _list_recipes(self) -> None:
        self._recipes = recipe_files()
        listed = self.query_one("#home-recipes", OptionList)
        for path in self._recipes:
            line = Text(f"{clean_line(path.stem, 21):<22}")
            room = max(20, self.app.size.width - 26)
            listed.add_option(Option(line.append(clean_line(_purpose(path), room), "dim")))
        listed.highlighted = 0 if self._recipes else None
        listed.display = self.query_one("#recipes-title").display = bool(self._recipes)

    async def refresh_rows(self) -> None:
        """Read the runs; touch the table only where it changed."""
        rows = await asyncio.to_thread(run_rows, self._home)
        if not self.is_attached or (rows == self._rows and self._rows):
            return
        first, old, self._rows = not self._rows, self._rows, rows
        table = self.query_one(DataTable)
        self.query_one("#home-empty").display = not rows
        table.display = bool(rows)
        if [row.run for row in rows] != [row.run for row in old]:
            self._fill(table, old)
        else:
            self._update_cells(table, old)
        if first and rows:
            table.focus()

    def _fill(self, table: DataTable[Text], old: list[RunRow]) -> None:
        """All rows anew, the cursor staying on its run."""
        at = table.cursor_row
        held = old[at].run if 0 <= at < len(old) else None
        table.clear()
        for row in self._rows:
            table.add_row(*cells(row, self._name_width), key=row.run.id)
        kept = next((i for i, row in enumerate(self._rows) if row.run == held), 0)
        table.move_cursor(row=kept)

    def _update_cells(self, table: DataTable[Text], old: list[RunRow]) -> None:
        for before, row in zip(old, self._rows, strict=True):
            if before != row:
                for (name, _), cell in zip(COLUMNS, cells(row, self._name_width), strict=True):
                    table.update_cell(row.run.id, name, cell)

    def _selected(self) -> Run | None:
        at = self.query_one(DataTable).cursor_row
        return self._rows[at].run if 0 <= at < len(self._rows) else None

    @on(DataTable.RowSelected)
    def _row_chosen(self) -> None:
        self.action_open()

    @on(OptionList.OptionSelected, "#home-recipes")
    def _recipe_chosen(self, event: OptionList.OptionSelected) -> None:
        self._open_recipe(self._recipes[event.option_index])

    def action_open(self) -> None:
        """The selected recipe or run; a draft goes on in the interview."""
        recipes = self.query_one("#home-recipes", OptionList)
        if recipes.has_focus and recipes.highlighted is not None:
            self._open_recipe(self._recipes[recipes.highlighted])
        elif run := self._selected():
            self._open_run(run)

    def _open_run(self, run: Run) -> None:
        row = next((row for row in self._rows if row.run == run), None)
        if row is not None and row.state == "draft":
            self.opener.open_interview(run)
        else:
            self.opener.open_run(run)

    def _open_recipe(self, path: Path) -> None:
        """A ready recipe becomes a draft of its own; the file is not touched."""
        from cpt_tui.interview.draft import Draft

        try:
            draft = Draft.from_recipe(path, self._home)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self.opener.open_interview(draft.run, self._home)

    def action_new(self) -> None:
        self.opener.open_interview(None, self._home)

    @work
    async def action_demo(self) -> None:
        choice = await self.app.push_screen_wait(ChoiceScreen("Which demo?", DEMOS))
        if choice is None:
            return
        try:
            from engine.demo.demo import start_demo

            run = await asyncio.to_thread(start_demo, choice == 1)
        except (CptError, OSError, ImportError) as error:
            self.notify(
                f"The demo did not start: {clean_line(error)}", severity="error", markup=False
            )
            return
        self.opener.open_run(run)

    @work
    async def action_resume(self) -> None:
        """Go on with the stages the run was started for; nothing more than was agreed."""
        run = self._selected()
        if run is None:
            return
        stages = planned_stages(run)
        question = f"Resume {clean_line(run.id, 40)}?"
        if not await self.app.push_screen_wait(
            ConfirmScreen(
                question, f"Stages: {', '.join(stages)}. Finished ones are kept.", "resume"
            )
        ):
            return
        try:
            await asyncio.to_thread(launch.start, run, stages)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self._open_run(run)

    @work
    async def action_stop(self) -> None:
        run = self._selected()
        if run is None or not launch.read_status(run).alive:
            self.notify("The selected run has no worker; nothing to stop.", markup=False)
            return
        detail = "It saves a checkpoint at its next step and can be resumed."
        question = f"Stop {clean_line(run.id, 40)}?"
        if await self.app.push_screen_wait(ConfirmScreen(question, detail, "stop")):
            try:
                launch.stop(run)
            except (CptError, OSError) as error:
                self.notify(clean_line(error), severity="error", markup=False)


def cells(row: RunRow, name_width: int) -> list[Text]:
    """A row as styled text, never markup. A long name keeps its end, which tells runs apart."""
    name = clean_line(row.run.id, 200)
    if len(name) > name_width:
        name = f"{name[: name_width - 7]}...{name[-4:]}"
    return [
        Text(name),
        Text(clean_line(row.state, 12), STATE_STYLES.get(row.state, "")),
        Text(clean_line(row.stage, 10)),
        Text(clean_line(row.outcome, 8), STATE_STYLES.get(row.outcome, "")),
        Text(row.age),
    ]


def _purpose(path: Path) -> str:
    """The recipe's own line on what it is for."""
    import tomllib

    try:
        about = tomllib.loads(path.read_text()).get("recipe", {})
    except (OSError, ValueError):
        return "cannot be read"
    return clean_line(about.get("purpose", "") if isinstance(about, dict) else "", 90)
