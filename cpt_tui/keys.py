"""Every key of the app, once: bindings, footer and help are made from this list."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Key:
    """A key, what it does, and where it works."""

    id: str
    keys: str
    action: str
    label: str
    """Footer text; short, since 80 columns hold about eight of them."""
    help: str
    places: tuple[str, ...]
    footer: bool = True
    display: str | None = None
    priority: bool = False
    """Works before the focused widget gets the key."""

    @property
    def palette(self) -> bool:
        """Whether the command palette lists it; Textual lists quitting and the like itself."""
        return self.id not in ("app.quit", "app.suspend", "interview.left", "interview.right")


ALL = ("home", "interview", "run", "report", "traceback", "items", "item")
EVERYWHERE = (*ALL, "help", "dialog")

KEYS = (
    Key("home.new", "n", "new", "new", "New interview: should this model be trained?", ("home",)),
    Key("home.demo", "d", "demo", "demo", "The whole story on an embedded world", ("home",)),
    Key(
        "home.open",
        "o",
        "open",
        "open",
        "Open the selected run or recipe (Enter does too)",
        ("home",),
        display="enter",
    ),
    Key(
        "home.resume",
        "r",
        "resume",
        "resume",
        "Go on with a run that does not run (asks first)",
        ("home",),
    ),
    Key("home.stop", "s", "stop", "stop", "Stop a run; it asks and says what is kept", ("home",)),
    Key(
        "home.decide",
        "f5",
        "decide",
        "decide again",
        "Decide again, where answers are newer than the decision (asks first)",
        ("home",),
        display="F5",
    ),
    Key(
        "interview.next",
        "pagedown",
        "next",
        "turn",
        "The next question; a changed text is checked and kept first",
        ("interview",),
        display="pgup/dn",
        priority=True,
    ),
    Key(
        "interview.back",
        "pageup",
        "back",
        "back",
        "The question before",
        ("interview",),
        footer=False,
        priority=True,
    ),
    Key(
        "interview.right",
        "right",
        "next",
        "next",
        "The same, outside of text fields",
        ("interview",),
        False,
    ),
    Key(
        "interview.left",
        "left",
        "back",
        "back",
        "The same, outside of text fields",
        ("interview",),
        False,
    ),
    Key(
        "interview.jump",
        "f2",
        "jump",
        "go to",
        "Go to any question",
        ("interview",),
        display="F2",
    ),
    Key(
        "interview.measure",
        "m,f5",
        "measure",
        "measure",
        "Measure: scan the text, probe the model, decide; F5 works in text fields too",
        ("interview",),
        display="F5",
    ),
    Key(
        "interview.down",
        "j",
        "scroll_page(1)",
        "scroll",
        "Scroll the page down, k up (outside of text fields)",
        ("interview",),
        display="j/k",
    ),
    Key("interview.up", "k", "scroll_page(-1)", "up", "Scroll the page up", ("interview",), False),
    Key(
        "interview.term",
        "t",
        "term(1)",
        "next term",
        "The next term to mark, T the one before (on the page of your terms)",
        ("interview",),
        False,
    ),
    Key(
        "interview.term_back",
        "T",
        "term(-1)",
        "term before",
        "The term before",
        ("interview",),
        False,
    ),
    Key("interview.watch", "w", "watch", "watch", "Watch this run", ("interview",), footer=False),
    *(
        Key(f"run.panel{i}", str(i), f"panel({i})", "", f"Panel {i}: {name}", ("run",), False)
        for i, name in enumerate(
            ("evidence and decision", "packing", "training", "the gate"), start=1
        )
    ),
    Key("run.follow", "f", "follow", "follow", "Follow the running stage again", ("run",)),
    Key(
        "run.freeze",
        "space",
        "freeze",
        "hold",
        "Hold the display still; training continues",
        ("run",),
    ),
    Key(
        "run.stop",
        "s",
        "stop",
        "stop",
        "Stop; it asks first and says what is kept",
        ("run",),
    ),
    Key("run.pause", "p", "pause", "pause", "Pause; the worker keeps its memory", ("run",)),
    Key(
        "run.resume",
        "p",
        "resume",
        "resume",
        "Go on, where the run is paused, stopped, interrupted or failed (asks first)",
        ("run",),
    ),
    Key(
        "run.decide",
        "f5",
        "decide",
        "decide again",
        "Decide again, where answers are newer than the decision (asks first)",
        ("run",),
        display="F5",
    ),
    Key(
        "run.checkpoint",
        "c",
        "checkpoint",
        "ckpt",
        "Save a checkpoint now (asks first)",
        ("run",),
        False,
    ),
    *(
        Key(f"run.{name}", keys, f"curve('{what}')", "", f"Training chart: {said}", ("run",), False)
        for name, keys, what, said in (
            ("curve", "v", "curve", "the next curve (loss, forgetting, rate, speed, memory)"),
            ("axis", "x", "axis", "count in steps, or in tokens"),
            ("change", "d", "change", "loss, or its change since the first evaluation"),
            ("closer", "plus,equals_sign", "in", "closer; read from the log where it must be"),
            ("wider", "minus", "out", "less close"),
            ("whole", "0", "all", "all of it again"),
        )
    ),
    *(
        Key(
            f"run.{what}",
            what,
            f"curve('{what}')",
            "",
            f"Training chart: {what} along the axis, while zoomed",
            ("run",),
            footer=False,
            priority=True,
        )
        for what in ("left", "right")
    ),
    Key(
        "run.overlay",
        "o",
        "overlay",
        "overlay",
        "Another run's curves beneath; again takes them away",
        ("run",),
        False,
    ),
    Key(
        "run.samples",
        "w",
        "samples",
        "texts",
        "What the model writes, base beside it; again for the numbers",
        ("run",),
        False,
    ),
    Key(
        "run.items",
        "enter",
        "items",
        "items",
        "The gate's items: won, lost and tied, with their texts",
        ("run",),
        False,
    ),
    Key(
        "items.open",
        "enter",
        "open_item",
        "whole",
        "One item whole: prompt, gold answer, what each arm scored",
        ("items",),
    ),
    Key(
        "items.filter",
        "v",
        "filter",
        "won, lost, tied",
        "The next kind of items: all, won, lost, tied",
        ("items",),
    ),
    Key(
        "run.decision", "i", "interview", "interview", "The interview of this run", ("run",), False
    ),
    Key("run.report", "r", "report", "report", "Read the report", ("run",)),
    Key("run.traceback", "t", "traceback", "log", "The traceback and the worker's log", ("run",)),
    Key("app.back", "escape", "leave", "back", "To the screen before", ALL[1:]),
    Key(
        "app.glossary",
        "g,f3",
        "glossary",
        "terms",
        "What the terms mean; F3 works in text fields too",
        EVERYWHERE,
    ),
    Key(
        "app.help",
        "question_mark,f1",
        "help",
        "help",
        "This page",
        ("home", "run", "report", "traceback", "items", "item"),
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
)


def bindings(place: str) -> list[BindingType]:
    """The bindings of a screen, from the registry."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label or key.help,
            id=key.id,
            show=key.footer,
            key_display=key.display,
            tooltip=key.help,
            priority=key.priority,
        )
        for key in KEYS
        if place in key.places
    ]


NAMES = {
    **{"question_mark": "?", "pagedown": "PageDown", "pageup": "PageUp", "escape": "Esc"},
    **{"plus": "+", "equals_sign": "=", "minus": "-", "enter": "Enter", "slash": "/"},
}


def key_names(key: Key) -> str:
    """``+ or =``"""
    return " or ".join(NAMES.get(name, name) for name in key.keys.split(","))


def described(place: str) -> list[tuple[str, str]]:
    """Keys and what they do on a screen, for the help page."""
    return [(key_names(key), key.help) for key in KEYS if place in key.places]
