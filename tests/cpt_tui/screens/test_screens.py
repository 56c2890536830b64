"""The app driven by keys over real run directories."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from cpt_tui.app import CptApp
from cpt_tui.keys.registry import KEYS, bindings
from cpt_tui.panels.stage_rail import StageRail
from cpt_tui.screens.confirm import ChoiceScreen, ConfirmScreen
from cpt_tui.screens.control import kept_by_stop
from cpt_tui.screens.help import HelpScreen
from cpt_tui.screens.home.home import HomeScreen
from cpt_tui.screens.home.runs_table import RunsTable
from cpt_tui.screens.interview import InterviewScreen
from cpt_tui.screens.run import RunScreen
from engine.runs.launch import read_status
from engine.runs.run import list_runs
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, screen_text, settle
from tests.cpt_tui.worlds import recipe_values

SMALL = (80, 24)


async def beat(screen: RunScreen) -> None:
    """One look at the log, as if a second had passed since the last drawing."""
    while screen._reading:  # its own beat, under way on a busy machine
        await asyncio.sleep(0.01)
    screen._drawn_at = 0.0
    await screen.refresh_feed()


async def test_importing_the_app_loads_no_heavy_module() -> None:
    code = (
        "import sys, cpt_tui.app, cpt_tui.screens.home, cpt_tui.screens.run\n"
        "print([m for m in ('torch','transformers','numpy','scipy','pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_home_without_runs_says_what_to_do(tmp_path: Path) -> None:
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "No runs yet" in screen_text(app)


async def test_home_lists_runs_in_words_and_opens_one(tmp_path: Path) -> None:
    worlds.finished(tmp_path)
    worlds.failed(tmp_path)
    worlds.draft(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        text = screen_text(app)
        for word in ("EARNED", "failed", "draft", "broken dead", "clinic abcd"):
            assert word in text
        table = app.screen.query_one(RunsTable)
        table.move(next(i for i, row in enumerate(table.rows) if "clinic" in row.name))
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, RunScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, HomeScreen)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("1", ("Verdict: GO", "What hurts today?")),
        ("2", ("Ledger", "balances", "to the token", "9.99%")),
        ("3", ("domain 2.", "generic 2.", "never the verdict", "green")),
        ("4", ("Gate: no verdict yet", "61.25", "effects of 3.9")),
    ],
)
async def test_panels_of_a_training_run(tmp_path: Path, key: str, words: tuple[str, ...]) -> None:
    app = CptApp(worlds.mid_training(tmp_path).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await settle(pilot)
        text = screen_text(app)
        for word in words:
            assert word in text


async def test_run_screen_follows_new_events_until_a_panel_is_picked(tmp_path: Path) -> None:
    world = worlds.World(tmp_path)
    worlds.before_training(world)
    world.status("running", "pack", True)
    app = CptApp(world.run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        assert screen.panel == 2
        worlds.training(world, 60)
        await beat(screen)
        await settle(pilot)
        assert screen.panel == 3
        assert "step 60 of 1,000" in screen_text(app)
        await pilot.press("1")
        world.emit(worlds.train_step(61))
        await beat(screen)
        await settle(pilot)
        assert screen.panel == 1
        await pilot.press("f")
        await settle(pilot)
        assert screen.panel == 3
        assert "step 61 of 1,000" in screen_text(app)


async def test_hold_keeps_the_display_still(tmp_path: Path) -> None:
    world = worlds.mid_training(tmp_path, upto=60)
    app = CptApp(world.run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("space")
        world.emit(worlds.train_step(61))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await beat(screen)
        await settle(pilot)
        text = screen_text(app)
        assert "ON HOLD" in text
        assert "step 60 of" in text
        await pilot.press("space")
        await settle(pilot)
        assert "step 61 of" in screen_text(app)


async def test_the_status_line_says_what_a_run_has_come_to_on_every_panel(tmp_path: Path) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=420).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        for panel in "1234":
            await pilot.press(panel)
            await settle(pilot)
            first, second = screen_text(app).split("\n")[1:3]
            assert first.startswith(
                f" {5 * chr(0x25CF)}{chr(0x25D0)}{2 * chr(0x25CB)}  train running"
            )
            assert "42%" in first
            assert "all stages" in first
            for word in ("guard green", "domain -0.4", "step 420 of 1,000", "tokens/s"):
                assert word in second
        assert not app.screen.query_one(StageRail).display
        await pilot.resize_terminal(100, 24)
        await settle(pilot)
        rail = [line[:24].split() for line in screen_text(app).split("\n")]
        assert ["\u25b8", "train", "running", "42%"] in rail


async def test_the_end_of_a_run_offers_what_is_next_as_keys(tmp_path: Path) -> None:
    run = worlds.finished(tmp_path).run
    app = CptApp(run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "next: e export a arms f finish r report" in folded(app)
        assert {"export", "arms", "finish"} <= offered(app)
        assert not {"follow", "freeze"} & offered(app)
        await pilot.press("f")
        await pilot.pause()
        assert "It starts from the CPT checkpoint, which earned it" in folded(app)
        await pilot.press("n", "a")
        await pilot.pause()
        assert "a training run for each seed" in folded(app)
        await pilot.press("escape", "e")
        await pilot.pause()
        assert "Export into which folder?" in folded(app)
        await pilot.press("enter")
        await settle(pilot)
        said = " ".join(note.message for note in app._notifications)
        assert "has no" in said or "not" in said, "the run's files are those of a test"
        assert read_status(run).alive is False


async def test_stop_asks_and_only_y_means_yes(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path, upto=20).run
    app = CptApp(run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        for key in ("enter", "escape", "n"):
            await pilot.press("s")
            await pilot.pause()
            assert isinstance(app.screen, ConfirmScreen)
            await pilot.press(key)
            await settle(pilot)
            assert not (run.path / "control" / "stop").exists()
        await pilot.press("s")
        await pilot.pause()
        await pilot.press("y")
        await settle(pilot)
        assert (run.path / "control" / "stop").exists()


async def test_pause_and_checkpoint_leave_requests(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path, upto=20).run
    app = CptApp(run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        for key in ("p", "c"):
            await pilot.press(key)
            await pilot.pause()
            await pilot.press("y")
            await settle(pilot)
    assert {p.name for p in (run.path / "control").iterdir()} == {"pause", "checkpoint"}


async def test_a_dead_run_looks_it_and_offers_the_key_that_resumes_it(tmp_path: Path) -> None:
    """It said "train running 62%", "9 min 38 s left", and p: "nothing to do"."""
    run = worlds.mid_training(tmp_path, upto=20, alive=False).run
    app = CptApp(run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        text = screen_text(app)
        assert "interrupted" in text
        assert "p resumes" in text
        assert "running" not in text
        assert " left" not in text
        assert offered(app) & {"stop", "pause", "checkpoint", "resume"} == {"resume"}
        await pilot.press("s", "c")
        await settle(pilot)
        assert isinstance(app.screen, RunScreen)
        await pilot.press("p")
        await pilot.pause()
        assert "Stages: scan, probe, decide, baseline" in folded(app)
        await pilot.press("n")
        await settle(pilot)
    assert not (run.path / "control").exists()


def offered(app: CptApp) -> set[str]:
    """The actions whose keys the screen in front offers."""
    return {b.binding.action for b in app.screen.active_bindings.values() if b.enabled}


async def test_a_paused_run_says_so_and_goes_on_by_the_same_key(tmp_path: Path) -> None:
    from engine.runs import events as ev

    world = worlds.mid_training(tmp_path, upto=20)
    world.emit(ev.Control(action="paused", step=20))
    app = CptApp(world.run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        text = screen_text(app)
        assert "train paused" in text
        assert "p goes on" in text
        assert " left" not in text
        assert offered(app) & {"pause", "resume", "checkpoint"} == {"resume", "checkpoint"}


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("train", "It saves a checkpoint"),
        ("base", "Of base nothing is saved"),
        ("probe", "Of probe nothing is saved"),
        ("gate", "Seeds that are through are kept"),
        ("", "No stage is at work"),
    ],
)
def test_a_stop_says_what_is_saved(stage: str, words: str) -> None:
    """The demo's base at step 380 of 400 was promised a checkpoint, and began at step 1."""
    assert words in kept_by_stop(stage)


async def test_escape_never_ends_the_app(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path, upto=5).run
    app = CptApp(run, home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        for _ in range(3):
            await pilot.press("escape")
            await settle(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert app.is_running
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, RunScreen)


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quitting_from_anywhere_names_all_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    worlds.mid_training(tmp_path, upto=5)
    second = worlds.World(tmp_path, "other-20260101-000000-abcd")
    second.start()
    second.status("running", "scan", True)
    worlds.draft(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
    said = capsys.readouterr().err
    assert "2 runs go on without this screen" in said
    assert "cpt watch clinic-20260101-000000-abcd" in said
    assert "draft" not in said


async def test_an_answer_newer_than_the_decision_marks_every_view(tmp_path: Path) -> None:
    """Interview GO, and NOT YET in its header, on home, on the run's screen and in the recipe."""
    world = worlds.checked(tmp_path, answers=True)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        await settle(pilot)
        assert "answers changed" not in screen_text(app)
        assert "decide" not in offered(app)
        await pilot.press("enter")
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, InterviewScreen)
        screen.go_to(5)
        await settle(pilot)
        await pilot.press("3")
        await screen.refresh_feed()
        await settle(pilot)
        assert "ended" in screen_text(app)
        assert "answers changed: F5" in screen_text(app).split("\n")[0]
        await pilot.press("w")
        await settle(pilot)
        assert "answers changed: F5" in screen_text(app)
        assert "decide" in offered(app)
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert isinstance(app.screen, HomeScreen)
        assert "GO changed: F5" in screen_text(app)
        await pilot.press("f5")
        await pilot.pause()
        assert "Answers changed after its decision" in folded(app)
    assert recipe_values(world.run)["interview"]["hurts"] == "fails_task"


async def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=20, hostile=True).run)
    async with app.run_test(size=(120, 60)) as pilot:
        await settle(pilot)
        for key in ("1", "2", "3", "4"):
            await pilot.press(key)
            await settle(pilot)
            text = screen_text(app)
            assert not set(text) & set("\x1b\x07\x9b\u202e\u200b")
            if key in "23":
                assert "[/nope]" in text


async def test_traceback_is_one_key_away(tmp_path: Path) -> None:
    app = CptApp(worlds.failed(tmp_path).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "train failed: No space left on the disk" in screen_text(app)
        await pilot.press("t")
        await settle(pilot)
        text = screen_text(app)
        assert "Traceback (most recent call last)" in text
        assert "No space left on the disk" in text


async def test_malformed_evidence_does_not_end_the_viewer(tmp_path: Path) -> None:
    from engine.runs import events as ev

    world = worlds.World(tmp_path)
    world.start()
    for stage in ("scan", "probe", "decide", "pack", "gate"):
        world.emit(ev.StageDone(stage=stage, seconds=1, evidence={"fluency": 3, "ledger": [1]}))
    app = CptApp(world.run)
    async with app.run_test(size=SMALL) as pilot:
        for key, stage in (("1", "scan"), ("1", "decide"), ("2", "pack"), ("4", "gate")):
            await pilot.press(key)
            await settle(pilot)
            assert f"{stage}: its evidence cannot be read" in screen_text(app)
        for key in ("3", "i"):
            await pilot.press(key)
            await settle(pilot)
        assert isinstance(app.screen, InterviewScreen)


async def test_every_registered_key_has_its_action_and_is_in_help(tmp_path: Path) -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))
    from cpt_tui.screens.report import ReportScreen
    from cpt_tui.screens.traceback import TracebackScreen

    screens = {
        "home": HomeScreen,
        "interview": InterviewScreen,
        "run": RunScreen,
        "report": ReportScreen,
        "traceback": TracebackScreen,
    }
    for place, screen in screens.items():
        for binding in bindings(place):
            name = binding.action.partition("(")[0]  # type: ignore[union-attr]
            assert hasattr(screen, f"action_{name}") or hasattr(CptApp, f"action_{name}"), name
    app = CptApp(worlds.mid_training(tmp_path, upto=5).run)
    async with app.run_test(size=(100, 220)) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        await settle(pilot)
        assert isinstance(app.screen, HelpScreen)
        text = " ".join(screen_text(app).split())
        for key in KEYS:
            assert key.help.split()[0] in text


# the interview


async def test_interview_saves_every_answer_and_comes_back(tmp_path: Path) -> None:
    corpus = tmp_path / "letters.txt"
    corpus.write_text("The patient was admitted on Monday.\n\n" * 50)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await settle(pilot)
        assert list_runs(tmp_path) == []
        await type_answer(pilot, "someone/some-model")
        await type_answer(pilot, str(corpus))
        await type_answer(pilot, "")
        assert "Which gold set" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
    (run,) = list_runs(tmp_path)
    values = recipe_values(run)
    assert values["model"]["id"] == "someone/some-model"
    assert values["corpus"]["path"] == str(corpus)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert "What hurts today?" in screen_text(app)
        await pilot.press("3")
        await settle(pilot)
        assert recipe_values(run)["interview"]["hurts"] == "fails_task"
        assert "hurts NO-GO" in screen_text(app)
        assert "What kind of data" in screen_text(app)
        await pilot.press("left")
        await settle(pilot)
        assert "(your answer)" in screen_text(app)


async def type_answer(pilot: Pilot[int], text: str) -> None:
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await settle(pilot)


async def test_bad_paths_are_refused_in_place(tmp_path: Path) -> None:
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await settle(pilot)
        await type_answer(pilot, "/no/such/model")
        assert "/no/such/model: no such folder" in screen_text(app)
        await type_answer(pilot, "someone/some-model")
        await type_answer(pilot, "/no/such/corpus")
        assert "Which text should it learn from?" in screen_text(app)
        assert "/no/such/corpus" in screen_text(app)
    (run,) = list_runs(tmp_path)
    assert "corpus" not in recipe_values(run)


async def test_measuring_needs_a_model_and_a_corpus(tmp_path: Path) -> None:
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("n", "f5")
        await settle(pilot)
        assert "Needed first: model.id and corpus.path" in screen_text(app)


async def test_verdict_page_starts_only_on_go(tmp_path: Path) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        await settle(pilot)
        app.push_screen(InterviewScreen(world.run, tmp_path))
        await settle(pilot)
        text = screen_text(app)
        assert "Verdict  GO" in text
        assert "1  start: baseline" in text
        assert "25 min 20 s" in text
        await pilot.press("f2")
        await pilot.pause()
        app.screen.query_one(OptionList).highlighted = 5
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("3")
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, InterviewScreen)
        assert screen.verdict is not None
        assert screen.verdict.outcome == "NO-GO"
        screen.go_to(len(screen.questions) - 1)
        await settle(pilot)
        text = screen_text(app)
        assert "Verdict  NO-GO" in text
        assert "Instead" in text
        assert "start: baseline" not in text
        await pilot.press("3")
        await pilot.pause()
        assert "Why train anyway?" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert "override" not in recipe_values(world.run)["recipe"]


async def test_answers_stand_once_training_has_begun(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path, upto=5).run
    before = run.recipe_path.read_text()
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        screen = InterviewScreen(run, tmp_path)
        app.push_screen(screen)
        await settle(pilot)
        screen.go_to(5)
        await settle(pilot)
        await pilot.press("3")
        await settle(pilot)
        assert "Training has begun on these answers" in " ".join(screen_text(app).split())
    assert run.recipe_path.read_text() == before


async def test_method_choices_ask_why(tmp_path: Path) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        screen = InterviewScreen(world.run, tmp_path)
        app.push_screen(screen)
        await settle(pilot)
        screen.go_to(next(i for i, q in enumerate(screen.questions) if q.id == "method"))
        await settle(pilot)
        await pilot.press("2")
        await pilot.pause()
        await pilot.press(*"new tongue", "enter")
        await settle(pilot)
        assert recipe_values(world.run)["train"] == {"method": "full", "why_full": "new tongue"}
        assert "because: new tongue" in " ".join(screen_text(app).split())


async def test_changed_inputs_make_the_evidence_stale(tmp_path: Path) -> None:
    from cpt_tui.feed import Feed
    from cpt_tui.interview.draft import Draft

    world = worlds.checked(tmp_path)
    draft, feed = Draft(world.run, tmp_path), Feed(world.run)
    await feed.poll()
    draft.remember_measured()
    assert draft.evidence(feed.view).scan is not None
    draft.set({"corpus.path": "/other"})
    assert draft.evidence(feed.view).scan is None
    draft.set({"corpus.path": "/data/letters"})
    assert draft.evidence(feed.view).scan is not None


async def test_quitting_says_that_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=5).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("q")
        await pilot.pause()
    assert "The run goes on without this screen" in capsys.readouterr().err


async def test_palette_lists_the_keys_of_the_screen(tmp_path: Path) -> None:
    app = CptApp(worlds.mid_training(tmp_path, upto=5).run)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        commands = {c.title: c.help for c in app.get_system_commands(app.screen)}
        assert {"stop", "pause", "Panel 3: training"} <= set(commands)
        assert commands["pause"].startswith("p         Pause")
        assert commands["Panel 3: training"] == "3"
        assert not {"resume", "report", "decide again"} & set(commands)  # they cannot act now


async def test_a_list_is_walked_by_j_and_k_and_chosen_by_two_digits(tmp_path: Path) -> None:
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        chosen: list[int | None] = []
        for keys in (("j", "j", "k", "enter"), ("1", "7"), ("9",)):
            names = [f"page {number}" for number in range(1, 20)]
            app.push_screen(ChoiceScreen("Go to", names), chosen.append)
            await pilot.pause()
            await pilot.press(*keys)
            await settle(pilot)
        assert chosen == [1, 16, 8]


async def test_a_refused_text_is_kept_until_escape_is_pressed_twice(tmp_path: Path) -> None:
    """Esc lost it without a word; and its fault stayed under the next text."""
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await settle(pilot)
        await pilot.press(*"/no/model", "escape")
        await settle(pilot)
        assert isinstance(app.screen, InterviewScreen)
        assert "no such folder" in screen_text(app)
        await pilot.press("s")
        await settle(pilot)
        assert not app.screen.query_one("#fault").display
        assert "/no/models: no such folder" in folded(app), "that of the new text, not kept yet"
        await pilot.press("escape")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, HomeScreen)


async def test_a_long_history_is_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cpt_tui import feed

    monkeypatch.setattr(feed, "BLOCK", 20_000)
    monkeypatch.setattr(feed, "BEAT_SECONDS", 0.0)
    app = CptApp(worlds.mid_training(tmp_path, upto=900).run)
    async with app.run_test(size=SMALL) as pilot:
        screen = app.screen
        assert isinstance(screen, RunScreen)
        for _ in range(60):
            await pilot.pause(0.05)
            if not screen.feed.behind:
                break
        await beat(screen)
        await settle(pilot)
        assert "step 900 of 1,000" in screen_text(app)
