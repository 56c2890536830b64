"""Keys of every list, and of every screen."""

from __future__ import annotations

from cpt_tui.keys.key import ALL, ELSEWHERE, LISTS, Key

COMMON_KEYS = (
    *(
        Key(f"list.{name}", keys, action, name, said, LISTS, False)
        for name, keys, action, said in (
            ("down", "j", "move(1)", "A row down (the arrow does too)"),
            ("up", "k", "move(-1)", "A row up"),
            ("first", "g", "end(0)", "The first row"),
            ("last", "G", "end(1)", "The last row"),
        )
    ),
    Key("app.back", "escape", "leave", "back", "To the screen before", ALL[1:]),
    Key(
        "app.glossary",
        "g,f3",
        "glossary",
        "terms",
        "What the terms mean; F3 works in text fields too",
        ELSEWHERE,
    ),
    Key(
        "app.terms",
        "f3",
        "glossary",
        "terms",
        "What the terms mean",
        (*LISTS, "dialog"),
        footer=False,
    ),
    Key(
        "app.help",
        "question_mark,f1",
        "help",
        "help",
        "This page",
        ("home", "run", "report", "traceback", "items", "item", "compare"),
        display="?",
    ),
    Key(
        "interview.help",
        "f1,question_mark",
        "help",
        "help",
        "This page; F1 works in text fields too",
        ("interview",),
        display="F1",
    ),
    Key(
        "app.suspend",
        "ctrl+z",
        "suspend_process",
        "",
        "To the shell; come back with fg",
        ALL,
        False,
    ),
    Key("app.quit", "q", "leave_app", "quit", "Quit; a running worker goes on", ALL),
    Key("app.redraw", "ctrl+l", "redraw", "", "Draw the whole screen again", ALL, False),
    Key(
        "app.copy",
        "y",
        "copy",
        "copy",
        "Copy what this screen is about to the terminal's clipboard (OSC 52)",
        ("home", "run", "report", "traceback", "item", "compare"),
        footer=False,
    ),
    Key(
        "app.picture",
        "f8",
        "picture",
        "picture",
        "The screen as a picture (SVG) in this folder",
        (*ALL, "help", "glossary"),
        footer=False,
    ),
)
