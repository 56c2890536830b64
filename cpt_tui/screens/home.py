"""Home: what cpt promises, the runs on this machine, the ready recipes."""

from __future__ import annotations

import asyncio
from functools import partial
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
from cpt_tui.run_list import (
    RESUMABLE,
    RunRow,
    is_interview,
    planned_stages,
    recipe_files,
    run_rows,
)
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.screens.confirm import ChoiceScreen, ConfirmScreen, TextLineScreen
from cpt_tui.screens.control import kept_by_stop
from engine.errors import CptError
from engine.runs import launch
from engine.stages import CHECK_STAGES

PROMISE = "Should this model be trained further on this text? Measured, not guessed."
EMPTY = (
    "No runs yet.\n\n"
    "d  watch the whole story on a tiny embedded world: offline, on the CPU, minutes\n"
    "n  ask the question for your own model and text\n"
    "Tab and Enter take a ready recipe below as the start of an interview.\n"
)
NAME, LONGEST_NAME = 20, 44
"""Cells of a run's name at least, and at most."""
ABOUT, ABOUT_FROM = 34, 120
"""Cells of the model and its text, and the columns of the terminal that show them."""
NOTE_FROM = 100
"""Columns of the terminal from which notes are told in full."""
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
        self._columns: tuple[tuple[str, int], ...] = ()
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
        self._columns = columns(self.app.size.width)
        for name, width in self._columns:
            table.add_column(Text(name), width=width, key=name)
        self._list_recipes()
        await self.refresh_rows()
        self.set_interval(2.0, self.refresh_rows)

    async def on_screen_resume(self) -> None:
        """Back here, the cursor is on the run that was left."""
        await self.refresh_rows()
        left = getattr(self.app, "left", None)
        at = next((i for i, row in enumerate(self._rows) if row.run == left), None)
        if at is not None:
            self.query_one(DataTable).move_cursor(row=at)
            self.query_one(DataTable).focus()
            self.app.left = None  # type: ignore[attr-defined]

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
        self.refresh_bindings()

    def _fill(self, table: DataTable[Text], old: list[RunRow]) -> None:
        """All rows anew, the cursor staying on its run."""
        at = table.cursor_row
        held = old[at].run if 0 <= at < len(old) else None
        table.clear()
        for row in self._rows:
            table.add_row(*cells(row, self._columns), key=row.run.id)
        kept = next((i for i, row in enumerate(self._rows) if row.run == held), 0)
        table.move_cursor(row=kept)

    def _update_cells(self, table: DataTable[Text], old: list[RunRow]) -> None:
        for before, row in zip(old, self._rows, strict=True):
            if before != row:
                for (name, _), cell in zip(self._columns, cells(row, self._columns), strict=True):
                    table.update_cell(row.run.id, name, cell)

    def _row(self) -> RunRow | None:
        """The run under the cursor, while the runs are in front."""
        if not self.is_mounted or self.query_one("#home-recipes").has_focus:
            return None
        at = self.query_one(DataTable).cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that cannot act on the run under the cursor is not offered."""
        if action not in ("stop", "resume", "decide"):
            return True
        row = self._row()
        if row is None:
            return False
        allowed = {
            "stop": row.alive,
            "resume": row.state in RESUMABLE,
            "decide": row.changed and not row.alive,
        }
        return allowed[action]

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self.refresh_bindings()

    def on_descendant_focus(self) -> None:
        self.refresh_bindings()

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
        elif row := self._row():
            if is_interview(row):
                self.opener.open_interview(row.run, self._home)
            else:
                self.opener.open_run(row.run)

    @work
    async def _open_recipe(self, path: Path) -> None:
        """A ready recipe becomes a draft of its own, once its files are there."""
        from cpt_tui.interview.draft import Draft

        try:
            placed = await self._place_files(path)
            if placed is None:
                return
            root, open_keys = placed
            draft = await asyncio.to_thread(Draft.from_recipe, path, self._home, root)
            if open_keys:
                await asyncio.to_thread(draft.take_back, open_keys)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self.opener.open_interview(draft.run, self._home)

    async def _place_files(self, path: Path) -> tuple[Path | None, list[str]] | None:
        """Where a ready recipe's files are: below which folder, or which the user has to name.

        None where the user gave up.
        """
        from cpt_tui.interview.draft import missing_files

        root: Path | None = None
        while missing := await asyncio.to_thread(missing_files, path, root):
            names = ", ".join(missing.values())
            ways = ("name the folder that has them", "name my own text in the interview")
            where = f"in {root}" if root else "here"
            question = f"{path.stem}: not {where}: {names}"
            way = await self.app.push_screen_wait(ChoiceScreen(question, ways))
            if way is None:
                return None
            if way == 1:
                return root, list(missing)
            given = await self.app.push_screen_wait(TextLineScreen("Which folder?", names))
            if not given:
                return None
            root = Path(given).expanduser()
        return root, []

    def action_move(self, by: int) -> None:
        """The cursor of the list in front, by rows."""
        recipes, table = self.query_one("#home-recipes", OptionList), self.query_one(DataTable)
        if recipes.has_focus:
            at = (recipes.highlighted or 0) + by
            recipes.highlighted = max(0, min(at, recipes.option_count - 1))
        else:
            table.move_cursor(row=max(0, min(table.cursor_row + by, table.row_count - 1)))

    def action_new(self) -> None:
        self.opener.open_interview(None, self._home)

    @work
    async def action_demo(self) -> None:
        choice = await self.app.push_screen_wait(ChoiceScreen("Which demo?", DEMOS))
        if choice is None:
            return
        try:
            from engine.demo.demo import start_demo

            say = partial(self.app.call_from_thread, self._warn)
            run = await asyncio.to_thread(start_demo, choice == 1, say)
        except (CptError, OSError, ImportError) as error:
            self.notify(
                f"The demo did not start: {clean_line(error)}", severity="error", markup=False
            )
            return
        self.opener.open_run(run)

    def _warn(self, message: str) -> None:
        self.notify(clean_line(message), severity="warning", markup=False)

    @work
    async def action_resume(self) -> None:
        """Go on with the stages the run was started for; nothing more than was agreed."""
        if (row := self._row()) is None:
            return
        if row.state == "paused":
            await self._ask("resume", row, "The worker goes on from where it paused.")
            return
        stages = planned_stages(row.run)
        detail = f"Stages: {', '.join(stages)}. Finished ones are kept."
        await self._start(row, stages, "resume", detail)

    @work
    async def action_decide(self) -> None:
        """Decide again, since answers are newer than the decision."""
        if row := self._row():
            detail = "Answers changed after its decision. What was measured is kept where it holds."
            await self._start(row, CHECK_STAGES, "decide again", detail)

    @work
    async def action_stop(self) -> None:
        if row := self._row():
            await self._ask("stop", row, kept_by_stop(row.stage))

    async def _start(self, row: RunRow, stages: tuple[str, ...], what: str, detail: str) -> None:
        """Ask back, then start a worker and open the run."""
        question = f"{what.capitalize()}: {clean_line(row.run.id, 40)}?"
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, what)):
            return
        try:
            await asyncio.to_thread(launch.start, row.run, stages)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self.opener.open_run(row.run)

    async def _ask(self, action: str, row: RunRow, detail: str) -> None:
        """Ask back, then leave the request for the worker's next step."""
        question = f"{action.capitalize()} {clean_line(row.run.id, 40)}?"
        if await self.app.push_screen_wait(ConfirmScreen(question, detail, action)):
            try:
                launch.ask(row.run, action)
            except (CptError, OSError) as error:
                self.notify(clean_line(error), severity="error", markup=False)


def columns(width: int) -> tuple[tuple[str, int], ...]:
    """The columns of the table and their cells, at a width of the terminal."""
    note = 19 if width >= NOTE_FROM else 11
    fixed = [("state", 12), ("stage", 10), ("note", note), ("age", 6)]
    fixed += [("model and text", ABOUT)] if width >= ABOUT_FROM else []
    beside = sum(cells for _, cells in fixed) + 2 * (len(fixed) + 1) + 3
    return (("run", max(NAME, min(LONGEST_NAME, width - beside))), *fixed)


def cells(row: RunRow, shown: tuple[tuple[str, int], ...]) -> list[Text]:
    """A row as styled text, never markup. A long name keeps its end, which tells runs apart."""
    widths = dict(shown)
    name, room = clean_line(row.run.id, 200), widths["run"]
    if len(name) > room:
        name = f"{name[: room - 7]}...{name[-4:]}"
    note = row.short_note if widths["note"] < len(row.note) else row.note
    style = "bold yellow" if row.changed else STATE_STYLES.get(row.guard, "")
    made = {
        "run": Text(name),
        "state": Text(clean_line(row.word, 12), STATE_STYLES.get(row.word, "")),
        "stage": Text(clean_line(row.stage, 10)),
        "note": Text(note, style),
        "age": Text(row.age),
        "model and text": Text(clean_line(row.about, ABOUT), "dim"),
    }
    return [made[column] for column, _ in shown]


def _purpose(path: Path) -> str:
    """The recipe's own line on what it is for."""
    import tomllib

    try:
        about = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("recipe", {})
    except (OSError, ValueError, RecursionError):
        return "cannot be read"
    return clean_line(about.get("purpose", "") if isinstance(about, dict) else "", 90)
