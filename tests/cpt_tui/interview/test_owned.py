"""A recipe of one's own: every value in force, what it means, the evidence below the fold."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpt_tui.app import CptApp
from cpt_tui.interview.draft import Draft
from cpt_tui.interview.owned import owned_text, save_as
from engine.artifacts.decision import Evidence
from engine.errors import InputError
from engine.recipe.toml import load_recipe, parse_toml, validate
from engine.recipe.written.spelled_out import FOLD
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, interview, settle
from tests.cpt_tui.worlds import RECIPE, recipe_values


def test_every_value_in_force_stands_there_and_means_the_same(tmp_path: Path) -> None:
    run = worlds.checked(tmp_path, recipe=f"{RECIPE}\n[evidence]\ntokens = 5\n").run
    draft = Draft(run)
    text = owned_text(draft, Evidence())
    for line in (
        "mix_back = 0.1  # share of generic tokens in the training stream",
        "epochs = 1.0",
        "margin = 2.0  # points",
        "# rank =  # default 16, 64 or 256 by corpus size",
        "[gate.probe]",
    ):
        assert line in text
    assert text.index("margin =") < text.index(FOLD) < text.index("\ntokens = 5")
    again = validate(parse_toml(text, "mine"), text, "mine")
    assert again.model_dump() == draft.recipe().model_dump()


def test_it_is_saved_once_with_the_line_that_runs_it(tmp_path: Path) -> None:
    draft = Draft(worlds.checked(tmp_path).run)
    assert save_as(draft, Evidence(), tmp_path / "mine") == f"cpt run {tmp_path}/mine.toml"
    assert load_recipe(tmp_path / "mine.toml")[0].corpus.path == "/data/letters"
    assert (tmp_path / "schema.json").is_file()
    with pytest.raises(InputError, match="there already"):
        save_as(draft, Evidence(), tmp_path / "mine.toml")
    with pytest.raises(InputError, match=r"corpus\.path"):
        save_as(Draft(worlds.draft(tmp_path)), Evidence(), tmp_path / "other.toml")


async def test_from_the_verdict_and_the_price_is_a_dial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = worlds.checked(tmp_path).run
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(160, 40)) as pilot:
        await interview(pilot, run, tmp_path, "cost")
        assert "# max_tokens" in folded(app), "the file stands beside the form"
        await pilot.press("2")
        await pilot.pause()
        await pilot.press(*"500000", "enter")
        await settle(pilot)
        assert recipe_values(run)["train"]["max_tokens"] == 500_000
        assert "max_tokens = 500000" in folded(app)
        await interview(pilot, run, tmp_path, "verdict")
        await pilot.press("4")
        await pilot.pause()
        await pilot.press("enter")
        await settle(pilot)
        assert app.clipboard == f"cpt run {tmp_path}/clinic.toml"
        assert "max_tokens = 500000" in (tmp_path / "clinic.toml").read_text()
