"""What a viewer may ask of a worker: stop, pause, checkpoint, go on. Each asks back first."""

from __future__ import annotations

import asyncio

from textual import work

from cpt_tui.feed import Feed
from cpt_tui.run_list import planned_stages
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen
from cpt_tui.screens.confirm import ConfirmScreen
from engine.errors import CptError
from engine.runs import launch
from engine.runs.run import Run
from engine.stages import CHECK_STAGES

SEEDS = ("baseline", "gate", "arms")
"""Stages that keep each seed as soon as it is through."""


LATER = ("export", "finish", "arms")
"""Actions of a run that has come to its end."""


def kept_by_stop(stage: str) -> str:
    """What a stop keeps of a stage, and where a resume goes on."""
    if stage == "train":
        return "It saves a checkpoint at its next step; a resume goes on from there."
    if not stage:
        return "No stage is at work; a resume begins with the next one."
    if stage in SEEDS:
        return f"Seeds that are through are kept; the one of {stage} at work begins again."
    return f"Finished stages are kept. Of {stage} nothing is saved: a resume begins it again."


class ControlScreen(CptScreen):
    """A screen about one run. Reads only, until the user asks for something and confirms it."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.feed = Feed(run)
        self._offered: tuple[object, ...] = ()

    @property
    def watched(self) -> Run | None:
        return self.run

    def copied(self) -> str:
        """What shows this run from any shell."""
        return f"cpt watch {self.run.id}"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that cannot act now is not offered, and does nothing."""
        return not self.why_not(action)

    def why_not(self, action: str) -> str:
        status, view = self.feed.status, self.feed.view
        working = "" if status.alive else "no worker lives on it"
        reasons = {
            "stop": working,
            "pause": working or ("it is paused" if view.paused else ""),
            "checkpoint": working or ("" if status.stage == "train" else "it is not training"),
            "resume": ""
            if view.paused or (not status.alive and self._unfinished)
            else "nothing of it broke off",
            "decide": ""
            if self.feed.answers_changed and not status.alive
            else "its decision stands",
        }
        return reasons.get(action, "")

    @property
    def _unfinished(self) -> bool:
        """Whether a worker that is gone left something to go on with."""
        view = self.feed.view
        return view.gone or view.outcome in ("STOPPED", "FAILED")

    def _offer_keys(self) -> None:
        """Draw the footer again where a key can act that could not, or the other way round."""
        names = ("stop", "pause", "checkpoint", "resume", "decide", "report", "freeze", *LATER)
        now = tuple(self.check_action(name, ()) for name in names)
        if now != self._offered:
            self._offered = now
            self.refresh_bindings()

    @work
    async def action_stop(self) -> None:
        stage = self.feed.status.stage or self.feed.view.current
        await self._ask("stop", "Stop this run?", kept_by_stop(stage))

    @work
    async def action_checkpoint(self) -> None:
        await self._ask("checkpoint", "Save a checkpoint now?", "Training goes on after it.")

    @work
    async def action_pause(self) -> None:
        await self._ask(
            "pause", "Pause the run?", "The worker keeps its memory and waits for 'resume'."
        )

    @work
    async def action_resume(self) -> None:
        """Go on: a paused worker where it holds, a new one with what was planned."""
        if self.feed.view.paused:
            await self._ask("resume", "Go on with the run?", "From where it paused.")
            return
        stages = planned_stages(self.run)
        detail = f"Stages: {', '.join(stages)}. Finished ones are kept."
        await self._start(f"Resume {clean_line(self.run.id, 40)}?", detail, stages, "resume")

    @work
    async def action_decide(self) -> None:
        """Decide again, since answers are newer than the decision."""
        detail = "Answers changed after it. What was measured is kept where it still holds."
        await self._start("Decide again?", detail, CHECK_STAGES, "decide")

    async def _start(self, question: str, detail: str, stages: tuple[str, ...], yes: str) -> None:
        """Ask back, then start a worker; a fault is said in a sentence."""
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, yes)):
            return
        try:
            await asyncio.to_thread(launch.start, self.run, stages)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)

    async def _ask(self, action: str, question: str, detail: str) -> None:
        """Ask back, then leave the request for the worker's next step."""
        if not await self.app.push_screen_wait(ConfirmScreen(question, detail, action)):
            return
        try:
            launch.ask(self.run, action)
        except (CptError, OSError) as error:
            self.notify(clean_line(error), severity="error", markup=False)
            return
        self.notify(f"Asked the worker to {action}; it does so at its next step.", markup=False)
