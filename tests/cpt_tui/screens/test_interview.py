"""Each page of the interview shows what was measured, the rule in force, and takes marks."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.containers import VerticalScroll

from cpt_tui.app import CptApp
from cpt_tui.panels.panel import Panel, text_width
from cpt_tui.screens.run import RunScreen
from engine.runs import events as ev
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, interview, screen_text, settle
from tests.cpt_tui.measured import probe, scan
from tests.cpt_tui.worlds import recipe_values

HIGH = (120, 100)
PAGES = [
    (
        "shape",
        (
            "raw",
            "94.1% of bytes",
            "confidence 0.93",
            "CRP 14 mg/l",
            "cp1252 1",
            "mojibake",
            "0.6%, noted",
        ),
    ),
    (
        "size",
        (
            *("2.6M: marginal", "0.2M", "10M", "-395k tokens (12.7%)", "-110k", "48.2 KB"),
            *(
                "0.94 b.txt:7 like a.txt:1",
                "old/a.txt repeats",
                "Confidential.",
                "0.36",
                "German 93%",
            ),
        ),
    ),
    (
        "surprise",
        (
            *("├", "median document", "1.42 (95% 1.31 to 1.55)", "1.1 fluent below", "0.05 go"),
            *("1.56 (95% 1.51 to 1.61)", "1 worth nothing", "cost 1.14 times the bits"),
            *("punctuation", "+0.79", "Hemiparese 3.7 (26x)", "Z.n. GBM"),
        ),
    ),
    ("fertility", ("1.63", "1.5 noted", "2 problem", "An | am | nese", "1,280", "would save 4.3%")),
    (
        "gate",
        (
            "MDE",
            "4.6 points",
            "10.0 points",
            "0.5% of gold items",
            "18, 204",
            "9 of 312",
            "3 items in words of many",
        ),
    ),
    ("facts", ("12.9% of documents", "803 of 6,240")),
    ("cost", ("25 min 20 s", "40 min 00 s", "2.6e+15", "5.1e+15", "3.1 GB", "1 h 05 min")),
    ("explain", ("Term 1 of 3: Glioblastom", "is a kind of bird", "left temporal lobe")),
    ("verdict", ("Verdict  GO", "Not answered", "explain, facts, distil", "25 min 20 s")),
]


@pytest.mark.parametrize(("page", "words"), PAGES, ids=[page for page, _ in PAGES])
async def test_a_page_shows_its_evidence(tmp_path: Path, page: str, words: tuple[str, ...]) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=HIGH) as pilot:
        await interview(pilot, world.run, tmp_path, page)
        text = screen_text(app)
        assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_runs_of_older_versions_are_shown(tmp_path: Path, size: tuple[int, int]) -> None:
    """Evidence without the newer fields: every page draws what there is."""
    world = worlds.checked(tmp_path, old=True)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=size) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "size")
        assert "not looked for in this run" in screen_text(app)
        for page, word in (("shape", "raw"), ("surprise", "1.312"), ("explain", "no passage")):
            screen.go_to(next(i for i, q in enumerate(screen.questions) if q.id == page))
            await settle(pilot)
            await pilot.press("j") if page == "surprise" else None
            await settle(pilot)
            assert word in screen_text(app)


async def test_drawings_are_ascii_where_the_terminal_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPT_ASCII", "1")
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=HIGH) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "shape")
        for page, _ in PAGES:
            screen.go_to(next(i for i, q in enumerate(screen.questions) if q.id == page))
            await settle(pilot)
            lines = screen_text(app).splitlines()
            # Scrollbars are Textual's own, in the last column.
            odd = {char for line in lines for char in line[:-1] if not char.isascii()}
            assert odd == set()


async def test_a_moved_threshold_is_marked_with_its_default(tmp_path: Path) -> None:
    moved = worlds.RECIPE + "\n[probe.thresholds]\nfluent_ratio = 1.3\n"
    world = worlds.checked(tmp_path, recipe=moved)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=HIGH) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "surprise")
        text = screen_text(app)
        assert "below 1.3 and" in text
        assert "fluent_ratio = 1.3 by this recipe; the default is 1.1" in text
        assert "1.3 fluent below" in text
        screen.go_to(len(screen.questions) - 1)
        await settle(pilot)
        assert "fluent_ratio = 1.3 (default 1.1)" in screen_text(app)


async def test_terms_are_marked_with_one_key_each(tmp_path: Path) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 40)) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "explain")
        await pilot.press("1")
        await settle(pilot)
        assert "Term 2 of 3: Anamnese" in screen_text(app)
        await pilot.press("1")
        await settle(pilot)
        assert screen.verdict is not None
        assert screen.verdict.deciding_node == "explain"
        assert screen.verdict.outcome == "NO-GO"
        assert "2 of 2 marked terms passable" in folded(app)
        await pilot.press("2", "t", "2")
        await settle(pilot)
        marks = recipe_values(world.run)["interview"]["term_marks"]
        assert sorted(marks.values()) == ["not_passable", "not_passable", "passable"]
        assert screen.steps["explain"].outcome == "go"
        await pilot.press("T", "5")
        await settle(pilot)
        assert len(recipe_values(world.run)["interview"]["term_marks"]) == 2


async def test_an_answer_for_all_stands_until_a_term_is_marked(tmp_path: Path) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "explain")
        await pilot.press("4")
        await settle(pilot)
        assert recipe_values(world.run)["interview"]["explains_terms"] == "not_passable"
        assert "Which token-level fluency" in screen_text(app)
        await pilot.press("pageup")
        await settle(pilot)
        assert "(your answer)" in screen_text(app)
        await pilot.press("1")
        await settle(pilot)
        held = recipe_values(world.run)["interview"]
        assert "explains_terms" not in held
        assert held["term_marks"] == {"Glioblastom": "passable"}
        assert screen.steps["explain"].outcome == "no_go"


@pytest.mark.parametrize(("width", "beside"), [(80, False), (119, False), (120, True), (160, True)])
async def test_base_and_corpus_stand_side_by_side_where_there_is_room(
    tmp_path: Path, width: int, beside: bool
) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(width, 40)) as pilot:
        await interview(pilot, world.run, tmp_path, "explain")
        rows = [line for line in screen_text(app).splitlines() if "Your corpus says" in line]
        assert len(rows) == 1
        assert ("The base goes on" in rows[0]) == beside


async def test_a_stage_that_cannot_be_read_is_named_and_leaves_the_others(tmp_path: Path) -> None:
    world = worlds.World(tmp_path)
    world.start()
    found = scan()
    found["scan"]["domain"]["quality"] = 3
    world.emit(ev.StageDone(stage="scan", seconds=1, evidence=found))
    world.emit(ev.StageDone(stage="probe", seconds=1, evidence=probe()))
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(120, 160)) as pilot:
        await settle(pilot)
        await app.push_screen(RunScreen(world.run))
        await settle(pilot)
        text = folded(app)
        assert "scan: its evidence cannot be read (scan.domain.quality: Input should be" in text
        assert "1.42 (95% 1.31 to 1.55) domain over generic" in text
        assert "25 min 20 s" in text
        screen = await interview(pilot, world.run, tmp_path, "verdict")
        assert "Fault scan: its evidence cannot be read (scan.domain.quality:" in folded(app)
        screen.go_to(next(i for i, q in enumerate(screen.questions) if q.id == "surprise"))
        await settle(pilot)
        text = folded(app)
        assert "Fault scan: its evidence cannot be read (scan.domain.quality:" in text
        assert "measure again" in text
        assert "1.42 (95% 1.31 to 1.55) domain over generic" in text


async def test_typed_text_is_kept_on_the_way_out(tmp_path: Path) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await interview(pilot, world.run, tmp_path, "goal")
        await pilot.press(*" and doses", "escape")
        await settle(pilot)
    goal = recipe_values(world.run)["interview"]["fluency_goal"]
    assert goal == "abbreviations of the ward and doses"


async def test_an_idle_interview_draws_nothing(tmp_path: Path) -> None:
    """A beat without news repaints no part of the screen."""
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "surprise")
        drawn: list[str] = []
        for widget in screen.query("Static"):
            original = widget.update
            widget.update = lambda *a, o=original, w=widget: (drawn.append(str(w.id)), o(*a))  # type: ignore
        await screen.refresh_feed()
        await screen.refresh_feed()
        assert drawn == []


@pytest.mark.parametrize("width", [80, 100, 160])
async def test_lines_are_as_wide_as_their_place(tmp_path: Path, width: int) -> None:
    """Nothing but the question itself is left to the terminal's own wrapping."""
    run = worlds.finished(tmp_path).run
    app = CptApp(run)
    async with app.run_test(size=(width, 40)) as pilot:
        await settle(pilot)
        long: list[str] = []
        for key, name in (("1", "evidence"), ("2", "packing"), ("4", "gate")):
            await pilot.press(key)
            await settle(pilot)
            panel = app.screen.query_one(f"#{name}", Panel)
            assert panel._shown is not None
            long += too_long(panel._shown.plain, text_width(panel))
        screen = await interview(pilot, run, tmp_path, "shape")
        for index in range(len(screen.questions)):
            screen.go_to(index)
            await settle(pilot)
            room = text_width(screen.query_one("#interview-page", VerticalScroll))
            long += too_long(screen._texts["#question"].plain.partition("\n")[2], room)
        assert long == []


def too_long(text: str, width: int) -> list[str]:
    return [line for line in text.splitlines() if cell_len(line) > width]
