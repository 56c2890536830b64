"""Keys of home: the runs, the ready recipes, and two runs side by side."""

from __future__ import annotations

from cpt_tui.keys.key import Key

HOME_KEYS = (
    Key(
        "home.open",
        "o",
        "open",
        "open",
        "Open the selected run or recipe (Enter does too)",
        ("home",),
        display="enter",
    ),
    Key("home.new", "n", "new", "new", "New interview: should this model be trained?", ("home",)),
    Key("home.filter", "slash", "filter", "filter", "Only runs that match words", ("home",)),
    Key(
        "home.mark",
        "space",
        "mark",
        "mark",
        "Mark a run: two are compared, any number deleted",
        ("home",),
    ),
    Key(
        "home.compare",
        "c",
        "compare",
        "compare",
        "The two marked runs side by side, or the marked one and this one",
        ("home",),
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
        "home.edit",
        "e",
        "edit",
        "edit",
        "The recipe in $EDITOR: a draft's own; of what ran, or of a ready one, a copy",
        ("home",),
    ),
    Key("home.rename", "R", "rename", "rename", "Give a run a name", ("home",), False),
    Key(
        "home.delete",
        "D,delete",
        "delete",
        "delete",
        "Delete the marked runs or this one; it asks and says how large",
        ("home",),
        False,
    ),
    Key(
        "home.order", "O", "order", "order", "By age, name, state, effect, model", ("home",), False
    ),
    Key("home.demo", "d", "demo", "demo", "The whole story on an embedded world", ("home",)),
    Key(
        "home.back",
        "escape",
        "back",
        "back",
        "Away with the filter, then with the marks",
        ("home",),
        False,
    ),
    Key("compare.curve", "v", "curve", "curve", "The next curve of both runs", ("compare",)),
    Key("compare.swap", "x", "swap", "swap", "The other run first", ("compare",)),
    Key(
        "compare.open",
        "o",
        "open",
        "open",
        "Open the first run, the second beneath its curves",
        ("compare",),
    ),
)
