"""Escapes, C1, bidi and markup of strangers never reach the bytes of a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cpt_tui.pages import questions
from tests.conftest import Command
from tests.tui import hostile, measured, worlds
from tests.tui.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="ptys")

MARKUP = ("[/nope]", "[@click=app.quit]")


def test_the_search_finds_what_was_planted() -> None:
    """The test's own eyes: each payload raw is found, and cleaned text is not."""
    from cpt_tui.safe import clean

    for text in (measured.EVIL, hostile.NAME):
        assert len(hostile.escaped(text.encode())) >= 4
        assert hostile.escaped(clean(text).encode()) == []


def test_the_app_shows_hostile_text_and_never_sends_it(tmp_path: Path) -> None:
    run = hostile.run(tmp_path)
    assert "pwned" in hostile.raw_events(run)
    with Terminal(tmp_path, size=(120, 45)) as terminal:
        terminal.wait_for("[nope]-0001")
        seen = terminal.press("enter")
        for panel in "1234":
            seen += terminal.press(panel, "end", "pagedown")
        for key in ("t", "r"):
            seen += terminal.press(key, "end", "escape")
        seen += terminal.press("ctrl+p", "escape", "g", "escape", "s", "i")
        titles = [question.title for question in questions()]
        for _ in titles:
            seen += terminal.press("j", "pageup")
        seen += terminal.press("f2", "escape", "?", "escape", "escape", "escape")
        seen += terminal.press("r", "n", "q")
        assert terminal.process.wait(10) == 0
    assert hostile.escaped(terminal.raw) == []
    assert [title for title in titles[:-1] if title not in seen] == []
    for text in (*MARKUP, "EVIL", "What happened:", "Seams", "Held-out", "Seed by seed"):
        assert text in seen


def test_marking_hostile_terms_keeps_them_inert(tmp_path: Path) -> None:
    run = hostile.run(tmp_path, trained=False)
    with Terminal(tmp_path, size=(80, 24)) as terminal:
        terminal.wait_for("[nope]")
        terminal.press("enter", "i", "f2", "9", "pagedown", "pagedown")
        terminal.wait_for("Term 1 of 3")
        seen = terminal.press("2", "t", "T", "j")
        assert "EVIL" in seen
        assert "not passable" in seen
    assert worlds.recipe_values(run)["interview"]["term_marks"][measured.EVIL] == "not_passable"
    assert hostile.escaped(terminal.raw) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch", "--plain"),
        ("watch", "--once"),
        ("watch", "--json"),
        ("watch", "--once", "--json"),
        ("report",),
        ("runs",),
        ("runs", "--json"),
        ("gate",),
    ],
)
def test_headless_commands(
    tmp_path: Path, cpt: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    hostile.run(tmp_path)
    done = cpt(*arguments)
    raw = (done.stdout + done.stderr).encode(errors="surrogateescape")
    assert b"EVIL" in raw
    assert hostile.escaped(raw) == []
    assert b"Traceback (most" not in raw


@pytest.mark.parametrize("command", ["run", "watch", "report"])
def test_error_sentences_about_hostile_names(
    tmp_path: Path, cpt: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CPT_HOME", str(tmp_path))
    hostile.run(tmp_path)
    done = cpt(command, f"x{hostile.NAME}")
    raw = (done.stdout + done.stderr).encode(errors="surrogateescape")
    assert done.returncode == 1
    assert raw.startswith(b"cpt: ")
    assert b"EVIL" in raw
    assert hostile.escaped(raw) == []
