"""Home: what opens where, which keys are offered, and recipes whose files are elsewhere."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import OptionList

from cpt_tui.app import CptApp
from cpt_tui.interview.draft import missing_files
from cpt_tui.run_list import is_interview, recipe_files, run_row
from cpt_tui.screens.home.home import HomeScreen
from cpt_tui.screens.interview import InterviewScreen
from engine.runs import events as ev
from engine.runs.run import list_runs
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, screen_text, settle
from tests.cpt_tui.worlds import recipe_values

SMALL = (80, 24)


def offered(app: CptApp) -> set[str]:
    return {b.binding.action for b in app.screen.active_bindings.values() if b.enabled}


def test_a_row_says_what_became_of_a_run(tmp_path: Path) -> None:
    done = run_row(worlds.finished(tmp_path).run)
    assert (done.word, done.note, done.about) == (
        "EARNED",
        "forgetting amber",
        "smol-135m on letters",
    )
    dead = run_row(worlds.mid_training(tmp_path / "b", upto=20, alive=False).run)
    assert (dead.word, dead.alive) == ("interrupted", False)
    stopped = worlds.mid_training(tmp_path / "c", upto=20, alive=False)
    stopped.emit(ev.RunEnded(outcome="STOPPED", code=6, message="on request"))
    assert run_row(stopped.run).word == "stopped"
    assert run_row(worlds.failed(tmp_path / "d").run).word == "failed"


def test_a_red_guard_of_a_living_run_is_in_its_row(tmp_path: Path) -> None:
    """From the heartbeat: the evaluation may be far up in a long log."""
    import json

    run = worlds.mid_training(tmp_path, upto=20).run
    held = json.loads(run.status_path.read_text())
    run.status_path.write_text(json.dumps({**held, "guard": "red"}))
    assert run_row(run).note == "forgetting red"


def test_only_what_was_never_to_train_is_an_interview(tmp_path: Path) -> None:
    assert is_interview(run_row(worlds.draft(tmp_path)))
    assert is_interview(run_row(worlds.checked(tmp_path / "b").run))
    assert not is_interview(run_row(worlds.mid_training(tmp_path / "c", upto=5).run))
    whole = worlds.World(tmp_path / "d")
    whole.start()
    whole.emit(ev.RunEnded(outcome="FAILED", code=1, message="no such file"))
    assert not is_interview(run_row(whole.run))


async def test_a_measured_draft_goes_on_in_the_interview(tmp_path: Path) -> None:
    worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, InterviewScreen)


async def test_keys_that_cannot_act_are_not_offered(tmp_path: Path) -> None:
    worlds.mid_training(tmp_path, upto=5, alive=False)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert offered(app) & {"stop", "resume", "decide"} == {"resume"}
        await pilot.press("tab")
        await settle(pilot)
        assert not offered(app) & {"stop", "resume", "decide"}


async def test_back_home_the_cursor_is_on_what_was_left(tmp_path: Path) -> None:
    """It stood on the run that was first before, and Enter opened that one."""
    worlds.finished(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await settle(pilot)
        await pilot.press(*"some/model", "enter")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, HomeScreen)
        row = app.screen.table.row
        assert row is not None
        assert (row.state, row.name) == ("draft", f"model {row.run.id[-4:]}")


def data_folder(root: Path) -> Path:
    """A folder as the ready recipes on real text want it."""
    for folder in (
        "domains/legal",
        "general/novels",
        "tasks/legal_unfair_clause",
        "models/novel3m",
    ):
        (root / folder).mkdir(parents=True)
    for split in ("train", "test"):
        (root / "tasks/legal_unfair_clause" / f"{split}.jsonl").write_text("{}")
    return root


def legal() -> Path:
    return next(path for path in recipe_files() if path.stem == "legal-novel3m")


def test_files_of_a_recipe_that_are_elsewhere_are_named(tmp_path: Path) -> None:
    assert set(missing_files(legal())) == {"corpus.path", "generic.path", "gate.gold", "gate.sft"}
    assert missing_files(legal())["corpus.path"] == "domains/legal"
    assert missing_files(legal(), data_folder(tmp_path)) == {}
    assert [path.stem for path in recipe_files() if not missing_files(path)] == [
        "demo-fluent",
        "demo",
    ]


async def choose_legal(app: CptApp, pilot: object) -> None:
    listed = app.screen.query_one("#home-recipes", OptionList)
    listed.focus()
    listed.highlighted = recipe_files().index(legal())


async def test_a_recipe_without_its_files_asks_for_their_folder(tmp_path: Path) -> None:
    """Three of seven could only fail, after 25 s of a worker."""
    data = data_folder(tmp_path / "data")
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await choose_legal(app, pilot)
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert "not here: domains/legal" in folded(app)
        await pilot.press("1")
        await pilot.pause(0.2)
        await pilot.press(*str(data), "enter")
        await settle(pilot)
        assert isinstance(app.screen, InterviewScreen)
        (run,) = list_runs(tmp_path)
        assert recipe_values(run)["corpus"]["path"] == str(data / "domains/legal")


async def test_a_recipe_without_its_files_takes_other_text(tmp_path: Path) -> None:
    app = CptApp(home=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await choose_legal(app, pilot)
        await pilot.press("enter")
        await pilot.pause(0.2)
        await pilot.press("2")
        await settle(pilot)
        assert "Which text should it learn from?" in screen_text(app)
