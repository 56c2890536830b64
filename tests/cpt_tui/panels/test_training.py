"""The training screen: the guard's band, zoom, tokens, another run beneath, what is written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from cpt_tui import feed
from cpt_tui.app import CptApp
from cpt_tui.drawing.chart import Chart, clipped, draw, y_range
from cpt_tui.drawing.levels import Level, with_levels
from cpt_tui.drawing.zoom import LEAST, Zoom, scaled
from cpt_tui.panels.training import TrainingPanel
from cpt_tui.screens.run import RunScreen
from engine.runs import history, index
from tests import longlogs
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, screen_text, settle

SMALL = (80, 24)
FINITE = st.floats(-1e3, 1e3)


def other(root: Path, upto: int = 900) -> worlds.World:
    """Another run beside the one that is watched."""
    world = worlds.World(root, "earlier-20251224-101010-beef")
    worlds.before_training(world)
    worlds.training(world, upto)
    return world


async def press(pilot: Pilot[int], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


def panel(app: CptApp) -> TrainingPanel:
    return app.screen.query_one(TrainingPanel)


def chart(app: CptApp) -> str:
    return app.screen.query_one("#heldout", Chart).render().plain


@pytest.mark.parametrize("size", [SMALL, (110, 34), (160, 50), (200, 60)])
async def test_the_guard_s_band_is_drawn_and_named(tmp_path: Path, size: tuple[int, int]) -> None:
    app = CptApp(worlds.mid_training(tmp_path).run)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = chart(app)
        for words in ("Forgetting", "generic +0.014 nats", "green", "+0.02", "red above +0.05"):
            assert words in text
        await press(pilot, "v")
        assert chart(app).startswith("Forgetting")
        assert "amber" in chart(app)
        assert "red above +0.05" in chart(app)


def rows_of_bands(app: CptApp) -> dict[str, str]:
    """The strip under the chart at 80 columns: what is drawn in each band's row."""
    return dict(zip(("red", "amber", "green"), chart(app).split("\n")[-3:], strict=True))


BANDS = ("green", "amber", "red")


def at_braille(row: str) -> list[int]:
    """Where a row has dots."""
    return [at for at, char in enumerate(row) if "\u2800" < char <= "\u28ff"] or [-1]


@pytest.mark.parametrize(
    ("rise", "band"), [(0.014, "green"), (0.03, "amber"), (0.06, "red"), (0.233, "red")]
)
async def test_forgetting_stands_in_the_row_of_its_band(
    tmp_path: Path, rise: float, band: str
) -> None:
    """At 80x24 a rise of 0.014 touched the red line, and one of 0.233 was a lone dot."""
    from engine.runs import events as ev

    world = worlds.mid_training(tmp_path, upto=60)
    world.emit(ev.EvalPoint(step=60, domain=2.9, generic=2.871 + rise))
    app = CptApp(world.run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        rows, text = rows_of_bands(app), screen_text(app)
        assert f"generic +{rise:.3f} nats since the start: {band}" in text
        newest = max(max(map(at_braille, rows.values())))
        above = [row for name, row in rows.items() if BANDS.index(name) > BANDS.index(band)]
        assert newest in at_braille(rows[band])
        assert not any(newest in at_braille(row) for row in above)
        head = text.split("\n")[0]
        assert (f"forgetting {band}" in head) == (band != "green")


async def test_no_band_while_a_demo_makes_its_base(tmp_path: Path) -> None:
    from engine.runs import events as ev

    world = worlds.World(tmp_path)
    world.start()
    world.emit(ev.StageStarted(stage="base"))
    world.emit(worlds.eval_point(0, "base"))
    world.emit(worlds.train_step(1, series="base"))
    world.emit(worlds.eval_point(50, "base"))
    world.status("running", "base", True)
    app = CptApp(world.run)
    async with app.run_test(size=(110, 34)) as pilot:
        await settle(pilot)
        assert "Base's held-out loss" in chart(app)
        assert "amber" not in chart(app)


async def test_every_curve_has_its_turn(tmp_path: Path) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=320).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        seen = []
        for _ in range(7):
            seen.append(chart(app).split("  ")[0])
            await press(pilot, "v")
        assert len(set(seen)) == 7
        assert "Memory" in seen
        assert chart(app).startswith("Held-out")


async def test_zoom_pan_and_tokens(tmp_path: Path) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=600).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "steps 0 to 1,000" in screen_text(app)
        await press(pilot, "plus", "plus")
        assert "steps 450 to 600" in screen_text(app)
        await press(pilot, "left")
        assert "steps 375 to 525" in screen_text(app)
        await press(pilot, "x")
        assert "tokens 1.23M to 1.72M" in screen_text(app)
        await press(pilot, "right", "x", "minus")
        assert "steps 300 to 600" in screen_text(app)
        await press(pilot, "0")
        assert "steps 0 to 1,000" in screen_text(app)


async def test_a_zoomed_chart_moves_with_the_newest_step(tmp_path: Path) -> None:
    world = worlds.mid_training(tmp_path, upto=100)
    app = CptApp(world.run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await press(pilot, "plus")
        for step in range(101, 141):
            world.emit(worlds.train_step(step))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen._drawn_at = 0.0
        await screen.refresh_feed()
        await settle(pilot)
        assert "steps 90 to 140" in screen_text(app)


async def test_another_run_beneath_by_key_and_away_again(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path).run
    other(tmp_path)
    app = CptApp(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "earlier" not in chart(app)
        await pilot.press("o")
        await pilot.pause()
        assert "Which run beneath?" in screen_text(app)
        await press(pilot, "enter")
        assert "earlier-20251224-101010-beef  · domain 2.918  × generic 2.893" in chart(app)
        assert "×" in chart(app).split("\n", 2)[2]
        assert "steps 0 to 1,000" in screen_text(app)
        await press(pilot, "o")
        assert "earlier" not in chart(app)


async def test_another_run_beneath_from_the_start_that_grows(tmp_path: Path) -> None:
    run, world = worlds.mid_training(tmp_path).run, other(tmp_path)
    app = CptApp(run, overlay=world.run)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        assert "domain 2.918" in chart(app)
        world.emit(worlds.train_step(950))
        world.emit(worlds.eval_point(950))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen._drawn_at = 0.0
        await screen.refresh_feed()
        await settle(pilot)
        assert "domain 2.917" in chart(app)


async def test_a_run_without_curves_beneath_is_said(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path / "a").run
    checked = worlds.checked(tmp_path / "b").run
    app = CptApp(run, overlay=checked)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        said = [note.message for note in app._notifications]
        assert said == [f"{checked.id} has no curves of training yet."]


@pytest.mark.parametrize("size", [SMALL, (160, 50)])
async def test_what_it_writes_beside_the_base(tmp_path: Path, size: tuple[int, int]) -> None:
    app = CptApp(worlds.mid_training(tmp_path).run)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        if size == SMALL:
            assert "What it writes" not in screen_text(app)
            await press(pilot, "w")
        text = folded(app)
        assert "step 620" in text
        assert "prompt The patient" in text
        assert "was stable, extubated" in text
        assert "is a man who was a man" in text
        if size == SMALL:
            before = screen_text(app)
            await press(pilot, "pagedown")
            assert screen_text(app) != before
            await press(pilot, "w")
            assert "What it writes" not in screen_text(app)


async def test_a_finished_run_is_replayed_by_the_same_screen(tmp_path: Path) -> None:
    app = CptApp(worlds.finished(tmp_path).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        text = screen_text(app)
        for word in ("domain 2.9", "generic 2.895 (+0.024)", "0 to 1,000", "next: e export"):
            assert word in text
        assert "amber" in screen_text(app)


async def test_alarms_are_all_there(tmp_path: Path) -> None:
    from engine.runs import events as ev

    world = worlds.mid_training(tmp_path, upto=60)
    for number in range(5):
        world.emit(ev.Alarm(level="amber", stage="train", message=f"spike number {number}"))
    app = CptApp(world.run)
    async with app.run_test(size=(80, 50)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        text = screen_text(app)
        assert "alarms before that, newest first (5)" in text
        places = [text.index(f"spike number {number}") for number in (4, 3, 2)]
        assert places == sorted(places)


# long runs


async def test_a_zoom_on_a_long_run_shows_every_step(tmp_path: Path) -> None:
    world = longlogs.training_run(tmp_path, 20_000, 20_000)
    longlogs.indexed(world)
    app = CptApp(world.run)
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        await press(pilot, *["plus"] * 7, "left")
        shown = panel(app)
        left, right = shown.zoom.window(*shown.extent())
        assert shown.detail is not None
        curve = app.screen.feed.view.curve  # type: ignore[attr-defined]
        steps = {x for x, _ in shown._points(curve, "loss") if left <= x <= right}
        assert steps == set(range(math.ceil(left), math.floor(right) + 1))
        kept = [x for x, _ in curve.loss.points() if left <= x <= right]
        assert len(kept) < len(steps)


async def test_a_long_log_without_index_is_read_with_its_progress_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = longlogs.training_run(tmp_path, 20_000, 20_000)
    log = world.run.events_path
    monkeypatch.setattr(feed, "BEAT_SECONDS", 0.0)
    app = CptApp(world.run)
    async with app.run_test(size=(160, 40)) as pilot:
        seen = ""
        for _ in range(300):
            if "reading history" in (seen := screen_text(app)):
                break
            await pilot.pause(0.005)
        assert "reading history" in seen
        assert "%" in seen
        await pilot.press("1")
        await pilot.pause()
        assert "The path taken" in screen_text(app) or "1 Evidence" in screen_text(app)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        for _ in range(200):
            await pilot.pause(0.03)
            if not screen.feed.behind:
                break
        await pilot.pause(1.2)
        await press(pilot, "3")
        assert "step 20,000 of 20,000" in screen_text(app)
    kept = index.load(log)
    assert kept is not None, "the first viewer leaves an index for the next"
    assert log.stat().st_size - kept.offset < history.SAVE_EVERY


# arithmetic


@given(st.lists(st.tuples(st.integers(0, 500), FINITE), min_size=2, max_size=60), st.data())
def test_clipping_keeps_what_is_inside_and_the_line_s_ends(
    points: list[tuple[int, float]], data: st.DataObject
) -> None:
    line = sorted(dict(points).items())
    left = data.draw(st.floats(0, 400))
    right = left + data.draw(st.floats(1, 200))
    cut = clipped(line, left, right)
    assert [p for p in cut if p in line] == [p for p in line if left <= p[0] <= right]
    assert all(left <= x <= right for x, _ in cut)
    assert cut == sorted(cut)
    if len(line) > 1 and line[0][0] < left and right < line[-1][0]:
        assert cut[0][0] == left
        assert cut[-1][0] == right


@given(st.floats(0, 1e6), st.floats(LEAST, 1e6), st.lists(st.sampled_from("+-lr0"), max_size=20))
def test_a_window_never_leaves_the_run(first: float, span: float, keys: list[str]) -> None:
    zoom, last = Zoom(), first + span
    for key in keys:
        if key in "+-":
            zoom.scale(key == "+", first, last)
        elif key in "lr":
            zoom.pan(key == "r", first, last)
        else:
            zoom.reset()
        left, right = zoom.window(first, last)
        slack = 1e-9 * max(1.0, last)
        assert first - slack <= left < right <= last + slack
        assert right - left >= min(LEAST, span) - slack


@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=40, unique=True).map(sorted))
def test_tokens_of_a_steady_run_are_steps_times_tokens(steps: list[float]) -> None:
    moved = scaled([(x, 1.0) for x in steps], [(0.0, 0.0), (100.0, 3200.0), (200.0, 6400.0)])
    assert [x for x, _ in moved] == pytest.approx([32 * x for x in steps])


@given(st.floats(-5, 5), st.floats(0.01, 5), st.integers(8, 40), st.integers(40, 160))
def test_a_level_lies_where_a_curve_of_that_value_would(
    low: float, span: float, height: int, width: int
) -> None:
    """The dashes of a level fall on the row that plotext gives a flat curve there."""
    points = [(0.0, low), (100.0, low + span)]
    at = low + 0.6 * span
    ends = y_range([points])
    flat = draw([("*", [(0.0, at), (100.0, at)])], width, height, ends=ends)
    empty = draw([("*", [])], width, height, ends=ends, window=(0, 100))
    dashed, spans = with_levels(empty, [Level(at, "here", "here", "red")], ends, width)
    row = next(i for i, line in enumerate(flat.split("\n")) if "*" in line)
    assert "here" in dashed.split("\n")[row]
    assert "┄" in dashed.split("\n")[row]
    assert len(dashed.split("\n")) == height
    assert all(0 <= start < end <= len(dashed) for start, end, _ in spans)


def test_levels_never_hide_a_curve() -> None:
    points = [(float(x), 1.0) for x in range(60)]
    ends = y_range([points], [Level(1.0, "x", "x")])
    drawn = draw([("*", points)], 60, 12, ends=ends)
    after, _ = with_levels(drawn, [Level(1.0, "long words", "short", "red")], ends, 60)
    assert after.count("*") == drawn.count("*")
    assert "short ↓" in after


async def test_a_cursor_reads_values_out_and_jumps_to_alarms(tmp_path: Path) -> None:
    from engine.runs import events as ev

    world = worlds.mid_training(tmp_path, upto=200)
    world.emit(ev.Alarm(level="amber", stage="train", message="a spike"))
    for step in range(201, 401):
        world.emit(worlds.train_step(step))
    app = CptApp(world.run)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        assert screen_text(app).count("!") == 1
        assert "!" in chart(app)
        await press(pilot, "l")
        assert "at step 400: domain" in screen_text(app)
        await press(pilot, "n")
        text = screen_text(app)
        assert "at step 200: domain 3.11" in text, text
        assert "\u25b2" in text
        await press(pilot, "h")
        assert "at step 19" in screen_text(app)
        await press(pilot, "0")
        assert "at step" not in screen_text(app)


async def test_smoothing_and_the_logarithm_are_labelled(tmp_path: Path) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=200).run)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await press(pilot, "v", "v")
        assert "nats/token, raw" in screen_text(app)
        await press(pilot, "S", "L")
        text = screen_text(app)
        assert "smoothed (EMA 0.9)" in text
        assert "log y" in text
