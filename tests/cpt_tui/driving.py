"""The app driven by keys in a test, and what stands on its screen."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from cpt_tui.app import CptApp
from cpt_tui.screens.interview import InterviewScreen
from engine.runs.run import Run


def screen_text(app: CptApp) -> str:
    """What stands on the screen, line by line."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in lines)


def folded(app: CptApp) -> str:
    """The same with white space folded, for sentences that wrap."""
    return " ".join(screen_text(app).split())


async def settle(pilot: Pilot[int]) -> None:
    """Until every worker is done and the screen is drawn."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def interview(pilot: Pilot[int], run: Run, home: Path, page: str) -> InterviewScreen:
    """The interview of a run, opened at a page."""
    await settle(pilot)
    screen = InterviewScreen(run, home)
    await pilot.app.push_screen(screen)
    await settle(pilot)
    screen.go_to(next(i for i, q in enumerate(screen.questions) if q.id == page))
    await settle(pilot)
    return screen
