"""What home's keys do to a run or a recipe: open, work on it, compare, rename, delete, edit."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from textual import work
from textual.app import SuspendNotSupported

from cpt_tui.run_list import RESUMABLE, RunRow, is_interview, planned_stages
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.screens.confirm import ChoiceScreen, ConfirmScreen, TextLineScreen
from cpt_tui.screens.control import kept_by_stop
from cpt_tui.screens.home.runs_table import RunsTable
from cpt_tui.workspace import changes
from engine.errors import CptError, InputError
from engine.formatting import format_bytes
from engine.runs import launch
from engine.runs.run import create_run
from engine.stages import CHECK_STAGES

DEMOS = (
    "A corpus the base does not know: every stage, up to the gate",
    "A corpus the base reads fluently: watch cpt say NO-GO",
)


class RunDeeds(CptScreen):
    """Asks back before anything is changed; a fault is said in a sentence."""

    table: RunsTable

    def __init__(self, home: Path | None) -> None:
        super().__init__()
        self._home = home
        self._offered: tuple[bool | None, ...] = ()

    def selected(self) -> RunRow | None:
        """The run under the cursor."""
        raise NotImplementedError

    def chosen_recipe(self) -> Path | None:
        """The ready recipe under the cursor."""
        raise NotImplementedError

    async def refresh_rows(self, under: str = "") -> None:
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that cannot act on what is under the cursor is not offered."""
        return not self.why_not(action)

    def why_not(self, action: str) -> str:
        """Why a key cannot act now; empty where it can."""
        if action not in OF_A_RUN:
            return ""
        row = self.selected()
        if action == "edit" and row is None and self.is_mounted and self.chosen_recipe():
            return ""
        if row is None:
            return "no run is under the cursor"
        reasons = {
            "stop": "" if row.alive else "no worker lives on it",
            "resume": "" if row.state in RESUMABLE else "nothing of it broke off",
            "decide": "" if row.changed and not row.alive else "its decision stands",
            "delete": "its worker lives; stop it first" if row.alive else "",
            "compare": "" if len(self._pair()) == 2 else "mark another run first (space)",
        }
        return reasons.get(action, "")

    def offer_keys(self) -> None:
        """Draw the footer again where a key can act that could not, or the other way round."""
        now = tuple(self.check_action(name, ()) for name in OF_A_RUN)
        if now != self._offered:
            self._offered = now
            self.refresh_bindings()

    def _say(self, error: object) -> None:
        self.notify(clean_line(error), severity="error", markup=False)

    def copied(self) -> str:
        """The id of the run, as commands take it."""
        row = self.selected()
        return row.run.id if row else ""

    # open

    def action_open(self) -> None:
        """The selected recipe or run; a draft goes on in the interview."""
        if recipe := self.chosen_recipe():
            self.open_recipe(recipe)
        elif row := self.selected():
            if is_interview(row):
                self.opener.open_interview(row.run, self._home)
            else:
                self.opener.open_run(row.run)

    @work
    async def open_recipe(self, path: Path) -> None:
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
            self._say(error)
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
            given = await self.app.push_screen_wait(
                TextLineScreen("Which folder?", names, path=True)
            )
            if not given:
                return None
            root = Path(given).expanduser()
        return root, []

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
            self._say(f"The demo did not start: {error}")
            return
        self.opener.open_run(run)

    def _warn(self, message: str) -> None:
        self.notify(clean_line(message), severity="warning", markup=False)

    # its worker

    @work
    async def action_resume(self) -> None:
        """Go on with the stages the run was started for; nothing more than was agreed."""
        if (row := self.selected()) is None:
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
        if row := self.selected():
            detail = "Answers changed after its decision. What was measured is kept where it holds."
            await self._start(row, CHECK_STAGES, "decide again", detail)

    @work
    async def action_stop(self) -> None:
        if row := self.selected():
            await self._ask("stop", row, kept_by_stop(row.stage))

    async def _start(self, row: RunRow, stages: tuple[str, ...], what: str, detail: str) -> None:
        """Ask back, then start a worker and open the run."""
        question = f"{what.capitalize()}: {clean_line(row.name, 40)}?"
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, what)):
            return
        try:
            await asyncio.to_thread(launch.start, row.run, stages)
        except (CptError, OSError) as error:
            self._say(error)
            return
        self.opener.open_run(row.run)

    async def _ask(self, action: str, row: RunRow, detail: str) -> None:
        """Ask back, then leave the request for the worker's next step."""
        question = f"{action.capitalize()} {clean_line(row.name, 40)}?"
        if await self.app.push_screen_wait(ConfirmScreen(question, detail, action)):
            try:
                launch.ask(row.run, action)
            except (CptError, OSError) as error:
                self._say(error)

    # the runs as things

    def _pair(self) -> list[RunRow]:
        """The two runs to compare: both that are marked, or the marked one and the cursor's."""
        marked, here = self.table.marked_rows(), self.selected()
        if len(marked) == 1 and here is not None and here not in marked:
            return [*marked, here]
        return marked

    def action_compare(self) -> None:
        from cpt_tui.screens.home.compare import CompareScreen

        left, right = self._pair()
        self.app.push_screen(CompareScreen(left, right))

    @work
    async def action_rename(self) -> None:
        if row := self.selected():
            detail = f"Shown in lists, and taken by commands; its id {row.run.id} stays."
            given = await self.app.push_screen_wait(
                TextLineScreen("What is it called?", detail, row.label or row.name)
            )
            if given:
                try:
                    await asyncio.to_thread(row.run.rename, given)
                except OSError as error:
                    self._say(error)
                await self._again(row.run.id)

    @work
    async def action_delete(self) -> None:
        """Delete the marked runs, or the one under the cursor; it asks and says how large."""
        row = self.selected()
        rows = self.table.marked_rows() or ([row] if row else [])
        if not rows:
            return
        sizes = await asyncio.to_thread(lambda: [changes.size_of(row.run) for row in rows])
        what = clean_line(rows[0].name, 40) if len(rows) == 1 else f"{len(rows)} marked runs"
        detail = (
            f"{format_bytes(sum(sizes))}: recipe, log, checkpoints, models, report. It cannot be "
            "taken back. Tries against a gold set stay counted."
        )
        question = f"Delete {what}?"
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, "delete")):
            return
        for one in rows:
            try:
                await asyncio.to_thread(changes.delete, one.run)
                self.table.marked.discard(one.run.id)
            except (CptError, OSError) as error:
                self._say(error)
        await self._again("")

    @work
    async def action_edit(self) -> None:
        """The recipe in the editor: a draft's own, else a copy that becomes a draft."""
        row, path = self.selected(), self.chosen_recipe()
        source = row.run.recipe_path if row else path
        if source is None:
            return
        mine = row is not None and is_interview(row) and not row.alive
        try:
            text = await asyncio.to_thread(self._text_to_edit, source)
            changed = await self._edit(text)
            if changed is None:
                return
            if row is not None and mine:
                changes.keep_recipe(row.run, changed)
                run = row.run
            else:
                run = await asyncio.to_thread(
                    create_run, _name_of(source, row), changed, self._home
                )
                self.notify("Kept as a draft of its own: what ran stays as it is.", markup=False)
        except (CptError, OSError, UnicodeDecodeError) as error:
            self._say(error)
            return
        await self._again(run.id)

    def _text_to_edit(self, source: Path) -> str:
        """A run's recipe as it stands; a ready one with its paths made whole."""
        if source.name == "recipe.toml":
            return source.read_text(encoding="utf-8-sig")
        from engine.recipe.toml import dump, load_recipe

        return dump(*load_recipe(source))

    async def _edit(self, text: str) -> str | None:
        """Until the recipe is whole or given up: the editor, then its faults. None: no change."""
        while True:
            try:
                with self.app.suspend():
                    changed = changes.edit(text)
            except SuspendNotSupported:
                raise InputError("This terminal cannot be lent to an editor") from None
            if changed == text:
                return None
            text = changed
            try:
                await asyncio.to_thread(changes.check_recipe_text, changed)
            except CptError as error:
                question = ConfirmScreen("Edit it again?", str(error), "edit again; no drops it")
                if not await self.app.push_screen_wait(question):
                    return None
            else:
                return changed

    async def _again(self, under: str) -> None:
        """Look at the runs again after a change, the cursor on one of them."""
        self.look_now()
        await self.refresh_rows(under)

    def look_now(self) -> None:
        """The next refresh looks at all runs, however soon it comes."""
        raise NotImplementedError


OF_A_RUN = ("stop", "resume", "decide", "compare", "rename", "delete", "edit", "mark")
"""Actions on the run under the cursor."""


def _name_of(source: Path, row: RunRow | None) -> str:
    """What a copy of a recipe is called."""
    return f"{row.label or row.run.id.rsplit('-', 3)[0]} edited" if row else source.stem
