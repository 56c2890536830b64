"""The glossary: one key away everywhere, and it knows every label that needs knowing."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from cpt_tui import glossary
from cpt_tui.app import CptApp
from cpt_tui.interview.questions import questions
from cpt_tui.screens.glossary import GlossaryScreen
from cpt_tui.screens.report import ReportScreen
from cpt_tui.screens.run import RunScreen
from tests.cpt_tui import worlds
from tests.cpt_tui.driving import folded, interview, screen_text, settle

ASKED = (
    *("CPT", "SFT", "LoRA", "rank", "bits per byte", "nats", "perplexity", "fertility", "mix-back"),
    *("replay", "forgetting", "held-out", "document bootstrap", "MDE", "power", "TOST"),
    *("equivalent", "paired seeds", "packing", "best-fit", "document mask", "seam", "pilot"),
    *("NO-GO", "GO", "NOT YET", "EARNED", "TIE", "HURT", "gate", "margin", "alpha"),
    *("contamination", "13-gram", "near-duplicate", "MinHash", "effective tokens", "warm-up"),
    *("cosine", "WSD", "gradient norm", "EOS", "BOS", "underpowered", "trivial", "tokenizer"),
)
LABELS = (
    *("near-duplicates", "effective tokens", "boilerplate", "gzip ratio", "mojibake", "confidence"),
    *("bits/byte", "median document", "5% trimmed mean", "nats/token", "ratio", "pilot"),
    *("tokens per word", "pieces", "MDE", "plausible gain", "gold items", "SFT examples"),
    *("constant guess", "contamination", "13 words in a row", "FLOPs", "domain", "generic"),
    *("held out", "mix-back", "ledger", "EOS tokens", "BOS tokens", "padding", "seams"),
    *("train loss", "rate (LR)", "grad norm", "forgetting", "checkpoint", "margin", "seed"),
    *(
        "p",
        "interval",
        "held-out",
        "micro-batch",
        "Moved",
        "exact copies",
        "order",
    ),
    *("what it writes", "tries", "by tag", "won", "lost", "tied", "sd", "memory"),
)
"""Headings and labels of the screens that a newcomer may not know."""


@pytest.mark.parametrize("label", sorted({*ASKED, *LABELS}))
def test_every_term_has_its_entry(label: str) -> None:
    assert glossary.find(label) is not None


async def test_every_label_of_the_list_stands_on_a_screen(tmp_path: Path) -> None:
    """So that the list cannot rot: what is no longer shown leaves it."""
    moved = worlds.RECIPE + "\n[probe.thresholds]\nfluent_ratio = 1.3\n"
    world = worlds.checked(tmp_path / "a", recipe=moved)
    done = worlds.finished(tmp_path / "b")
    seen = ""
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(140, 120)) as pilot:
        screen = await interview(pilot, world.run, tmp_path, "shape")
        for index in range(len(screen.questions)):
            screen.go_to(index)
            await settle(pilot)
            seen += screen_text(app)
        await app.push_screen(RunScreen(done.run))
        await settle(pilot)
        for key in "1234":
            await pilot.press(key)
            await settle(pilot)
            seen += screen_text(app)
    shown = " ".join(seen.split()).lower()
    assert [label for label in LABELS if label.lower() not in shown] == []


def test_entries_are_sentences_with_names_of_their_own() -> None:
    terms = glossary.entries()
    names = [name.lower() for term in terms for name in term.names]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert [term.name for term in terms if not term.meaning.endswith(".")] == []
    assert [term.name for term in terms if len(term.meaning) > 260] == []
    places = {question.id for question in questions()}
    places |= {"evidence", "packing", "training", "gate", "home", "run", "report"}
    assert {topic for term in terms for topic in term.topics} <= places


@pytest.mark.parametrize("query", ["", "power", "minimum detectable", "nothing of the kind"])
def test_search_keeps_only_what_holds_every_word(query: str) -> None:
    found = glossary.matching(glossary.entries(), query)
    for term in glossary.entries():
        text = " ".join((*term.names, term.meaning, term.where)).lower()
        assert (term in found) == all(word in text for word in query.split())


async def opened(pilot: Pilot[int], key: str) -> bool:
    """Whether a key opens the glossary here; goes back again."""
    await pilot.press(key)
    await pilot.pause()
    here = isinstance(pilot.app.screen, GlossaryScreen)
    if here:
        await pilot.press("escape")
        await pilot.pause()
    return here


async def test_it_is_one_key_away_on_every_screen(tmp_path: Path) -> None:
    world = worlds.finished(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert await opened(pilot, "f3")
        assert not await opened(pilot, "g"), "in a list it is the first row"
        await pilot.press("d")
        await pilot.pause()
        assert await opened(pilot, "f3"), "a choice"
        await pilot.press("escape", "question_mark")
        await settle(pilot)
        assert await opened(pilot, "f3"), "help"
        await pilot.press("escape")
        await app.push_screen(RunScreen(world.run))
        await settle(pilot)
        for keys in ([], ["t"], ["escape", "r"]):
            await pilot.press(*keys)
            await settle(pilot)
            assert await opened(pilot, "f3")
        assert isinstance(app.screen, ReportScreen)
        await pilot.press("escape", "i")
        await settle(pilot)
        assert await opened(pilot, "g"), "a page of choices"
        await interview(pilot, world.run, tmp_path, "goal")
        assert not await opened(pilot, "g"), "g is a letter in a text field"
        assert app.screen.query_one(Input).value.endswith("g")
        assert await opened(pilot, "f3"), "a text field"


async def test_the_terms_of_the_page_stand_first_and_search_narrows(tmp_path: Path) -> None:
    world = worlds.checked(tmp_path)
    app = CptApp(home=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await interview(pilot, world.run, tmp_path, "fertility")
        await pilot.press("g")
        await settle(pilot)
        text = folded(app)
        assert "On the screen you came from" in text
        assert "shatters your terms" in text
        await pilot.press("slash", *"minhash")
        await settle(pilot)
        text = screen_text(app)
        assert "near-duplicate" in text
        assert "fertility" not in text
        assert "1 of" in text
        await pilot.press("escape")
        await settle(pilot)
        assert "fertility" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert not isinstance(app.screen, GlossaryScreen)
