"""Escapes, C1, bidi and markup of strangers never reach the bytes of a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cpt_tui.interview.questions import questions
from tests.conftest import Command
from tests.cpt_tui import hostile, measured, worlds
from tests.cpt_tui.terminal import Terminal

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
    other = worlds.World(tmp_path, f"beneath-{hostile.NAME}")
    worlds.training(other, 60, hostile=True)
    os.utime(other.run.events_path, (1, 1))
    assert "pwned" in hostile.raw_events(run)
    with Terminal(tmp_path, size=(120, 45)) as terminal:
        terminal.wait_for("[nope]-0001")
        seen = terminal.go("enter", "1 Evidence")
        for panel, word in (("1", "The path taken"), ("2", "Ledger"), ("3", "Held-out")):
            seen += terminal.go(panel, word) + terminal.press("end", "pagedown")
        seen += terminal.go("w", "What it writes") + terminal.press("end", "w")
        seen += terminal.go("o", "Which run beneath?") + terminal.press("enter")
        seen += terminal.go("4", "What would change") + terminal.press("end")
        seen += terminal.go("enter", "showing: all") + terminal.go("enter", "Gold answer")
        seen += terminal.press("end") + terminal.go("escape", "showing: all")
        seen += terminal.go("escape", "4 Gate")
        for key, word in (("t", "Errors and log"), ("r", "Report of"), ("g", "Glossary")):
            seen += terminal.go(key, word) + terminal.press("end")
            seen += terminal.go("escape", "4 Gate")
        seen += terminal.go("i", "Verdict")
        titles = [question.title for question in questions()][:-1]
        for title in reversed(titles):
            seen += terminal.press("j", "j") + terminal.go("pageup", title)
        seen += terminal.go("f2", "Go to") + terminal.go("escape", titles[0])
        seen += terminal.go("escape", "4 Gate") + terminal.go("escape", "Ready recipes")
        seen += terminal.go("r", "Resume") + terminal.go("n", "Ready recipes")
        terminal.press("q")
        assert terminal.process.wait(20) == 0
    assert hostile.escaped(terminal.raw) == []
    for text in (*MARKUP, "EVIL", "What happened:", "Seams", "Term 1 of 3", "failed"):
        assert text in seen


def test_marking_hostile_terms_keeps_them_inert(tmp_path: Path) -> None:
    run = hostile.run(tmp_path, trained=False)
    with Terminal(tmp_path, size=(80, 24)) as terminal:
        terminal.wait_for("[nope]")
        terminal.go("enter", "1 Evidence")
        terminal.go("i", "Verdict")
        terminal.go("f2", "Go to")
        terminal.go("9", "9 of 19")
        terminal.go("pagedown", "10 of 19")
        terminal.go("pagedown", "Term 1 of 3")
        seen = terminal.go("2", "Term 2 of 3") + terminal.go("T", "Term 1 of 3")
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
        ("watch", "evil", "--once", "--overlay", "evil"),
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
