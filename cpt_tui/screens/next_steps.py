"""After the verdict, from a run's screen: the task model, more arms, the folder to ship."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual import work

from cpt_tui.panels.status_line import next_keys
from cpt_tui.safe import clean_line
from cpt_tui.screens.confirm import ChoiceScreen, ConfirmScreen, TextLineScreen
from cpt_tui.screens.control import LATER, ControlScreen
from engine.errors import CptError
from engine.runs import launch
from engine.stages import STAGES

ARMS = (
    "as much irrelevant text: is it this text, or more training of any kind?",
    "a training run for each seed: would the recipe earn it again?",
)


class NextStepsScreen(ControlScreen):
    """Asks, prepares the order as the commands do, and starts a worker for it."""

    def why_not(self, action: str) -> str:
        """What the run's end does not offer cannot be asked for; ``f`` follows until then."""
        offered = {said for _, said in next_keys(self.feed)} if self._may_go_on else set()
        if action in LATER:
            return "" if action in offered else "its end does not offer that"
        if action == "follow":
            return "the run is over" if "finish" in offered else ""
        return super().why_not(action)

    @property
    def _may_go_on(self) -> bool:
        return self.feed.view.ended and not self.feed.status.alive

    @work
    async def action_finish(self) -> None:
        earned = self.feed.view.outcome == "EARNED"
        start = "the CPT checkpoint, which earned it" if earned else "the base: the gate says so"
        detail = f"It starts from {start}. One SFT training and the scoring of four models."
        if await self.app.push_screen_wait(ConfirmScreen("Train the task model?", detail, "train")):
            from cpt_tui.workspace import orders

            await self._order(lambda: orders.prepare_finish(self.run, {}), (*STAGES, "finish"))

    @work
    async def action_export(self) -> None:
        detail = "A new or empty one: weights, tokenizer, model card, and the proof of a reload."
        start = str(Path.cwd() / f"{self.run.id}-export")
        given = await self.app.push_screen_wait(
            TextLineScreen("Export into which folder?", detail, start, path=True)
        )
        if given:
            from cpt_tui.workspace import orders

            folder = Path(given)
            await self._order(
                lambda: orders.order_export(self.run, folder, "", "", ""), ("export",)
            )

    @work
    async def action_arms(self) -> None:
        chosen = await self.app.push_screen_wait(ChoiceScreen("Which arms beside it?", ARMS))
        if chosen is None:
            return
        text = ""
        if chosen == 0:
            detail = "A file, a folder or hub:owner/name."
            asked = TextLineScreen("Which irrelevant text?", detail, path=True)
            text = await self.app.push_screen_wait(asked)
            if not text:
                return
        from cpt_tui.workspace import orders

        await self._order(lambda: orders.prepare_arms(self.run, text, chosen == 1), STAGES)

    async def _order(self, prepare: Callable[[], None], stages: tuple[str, ...]) -> None:
        """Prepare in a thread, since files are hashed, then start; a fault is said."""
        try:
            await asyncio.to_thread(prepare)
            await asyncio.to_thread(launch.start, self.run, stages)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False, timeout=15)
            return
        self.notify("A worker starts on it.", markup=False)
