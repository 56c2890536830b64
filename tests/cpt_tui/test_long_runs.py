"""A run of 1,000,000 steps: attached within a second, and scrolled without waiting."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import pytest

from cpt_tui.app import CptApp
from cpt_tui.panels.training import TrainingPanel
from cpt_tui.screens.run import RunScreen
from engine.runs import index
from tests import longlogs
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import screen_text, settle
from tests.cpt_tui.terminal import Terminal

pytestmark = pytest.mark.slow
STEPS = 1_000_000


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> worlds.World:
    """The run, with the index that its worker left."""
    world = longlogs.training_run(tmp_path_factory.mktemp("long"), STEPS, STEPS)
    longlogs.indexed(world)
    return world


async def shown(app: CptApp, words: str, seconds: float = 10) -> float:
    """Wall seconds until the words stand on the screen.

    Not by the pilot's own pauses: they wait for a quiet processor.
    """
    began = time.perf_counter()
    while words not in screen_text(app):
        assert time.perf_counter() - began < seconds, screen_text(app)
        await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def answered(app: CptApp, key: str, words: str) -> float:
    """Wall seconds from a key to the words that it brings."""
    assert words not in screen_text(app)
    app.simulate_key(key)
    return await shown(app, words)


WHOLE = "step 1,000,000 of 1,000,000"
TURNS = (
    *(("v", "Forgetting  "), ("v", "Train loss  "), ("plus", "500k to 1M")),
    *(("plus", "750k to 1M"), ("left", "625k to 875k"), ("left", "500k to 750k")),
    *(("x", "tokens 1.64B"), ("x", "steps 500k"), ("minus", "375k to 875k")),
)
"""Keys on the training screen, and what stands there once it is drawn again."""


async def test_the_app_attaches_and_scrolls(long_run: worlds.World) -> None:
    """Processor seconds are held to the limit: wall seconds here share a loaded machine."""
    wall, busy, redraws = [], [], []
    for _ in range(3):
        began, cpu = time.perf_counter(), time.process_time()
        app = CptApp(long_run.run)
        async with app.run_test(size=(160, 50)) as pilot:
            await shown(app, WHOLE)
            wall.append(time.perf_counter() - began)
            busy.append(time.process_time() - cpu)
            await settle(pilot)
            redraws += [await answered(app, key, words) for key, words in TURNS[2:]]
            await pilot.press(*["plus"] * 12)
            await settle(pilot)
            panel = app.screen.query_one(TrainingPanel)
            assert panel.detail is not None, "a close look reads its steps from the log"
    log = long_run.run.events_path
    print(f"\napp: attach {told(wall)} s, processor {told(busy)} s; redraw after a key")
    print(f"median {median(redraws) * 1e3:.0f} ms, worst {max(redraws) * 1e3:.0f} ms;")
    print(f"log {log.stat().st_size:,} B, index {index.index_path(log).stat().st_size:,} B")
    assert min(busy) < 1.0
    assert median(redraws) < 1.0


def told(seconds: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)


def test_the_command_attaches_from_a_cold_start(long_run: worlds.World) -> None:
    """The whole of ``cpt watch``: Python, Textual, the index, the first picture."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        with Terminal(long_run.run.path.parent.parent, "watch", long_run.run.id) as terminal:
            terminal.wait_for("1,000,000 of 1,000,000")
            seconds.append(time.perf_counter() - began)
    print(f"\ncpt watch to its first picture: {told(seconds)} s")


async def test_without_an_index_it_shows_its_progress_and_answers_keys(
    long_run: worlds.World,
) -> None:
    """A log of an older cpt: read once with its progress shown, keys answered meanwhile."""
    log = long_run.run.events_path
    index.index_path(log).unlink()
    began = time.perf_counter()
    app = CptApp(long_run.run)
    async with app.run_test(size=(160, 50)):
        await shown(app, "reading history")
        first = time.perf_counter() - began
        screen = app.screen
        assert isinstance(screen, RunScreen)
        panels = ("Ledger", "Held-out", "Seed by seed", "The path taken")
        answers = [
            await answered(app, key, words) for key, words in zip("2341", panels, strict=True)
        ]
        assert screen.feed.behind, "answered while it read"
        while screen.feed.behind:
            assert time.perf_counter() - began < 300
            await asyncio.sleep(0.1)
        whole = time.perf_counter() - began
        await shown(app, WHOLE)
    print(f"\nno index: first picture {first:.2f} s, all read in {whole:.1f} s;")
    print(f"a key meanwhile: {told(answers)} s")
    assert index.load(log) is not None, "the next viewer finds an index"
    assert median(answers) < 1.0
