"""What a viewer may ask of a worker: stop, pause, checkpoint. Each asks back first."""

from __future__ import annotations

from textual import work

from cpt_tui.feed import Feed
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.screens.confirm import ConfirmScreen
from engine.errors import CptError
from engine.runs import launch
from engine.runs.run import Run


class ControlScreen(CptScreen):
    """A screen about one run. Reads only, until the user asks for something and confirms it."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.feed = Feed(run)

    @property
    def watched(self) -> Run | None:
        return self.run

    @work
    async def action_stop(self) -> None:
        await self._ask("stop", "Stop this run?", "It saves a checkpoint and can be resumed.")

    @work
    async def action_checkpoint(self) -> None:
        await self._ask("checkpoint", "Save a checkpoint now?", "Training goes on after it.")

    @work
    async def action_pause(self) -> None:
        if self.feed.view.paused:
            await self._ask("resume", "Go on with training?", "From the step where it paused.")
        else:
            await self._ask(
                "pause", "Pause training?", "The worker keeps its memory and waits for 'resume'."
            )

    async def _ask(self, action: str, question: str, detail: str) -> None:
        """Ask back, then leave the request for the worker's next step."""
        if not launch.read_status(self.run).alive:
            self.notify("No worker is running on this run; nothing to do.", markup=False)
            return
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, action)):
            return
        try:
            launch.ask(self.run, action)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self.notify(f"Asked the worker to {action}; it does so at its next step.", markup=False)
