"""Keys of a run's screens: its panels, and the gate's items."""

from __future__ import annotations

from cpt_tui.keys.key import Key

RUN_KEYS = (
    *(
        Key(f"run.panel{i}", str(i), f"panel({i})", "", f"Panel {i}: {name}", ("run",), False)
        for i, name in enumerate(
            ("evidence and decision", "packing", "training", "the gate"), start=1
        )
    ),
    Key("run.export", "e", "export", "export", "After the verdict: a folder to ship", ("run",)),
    Key("run.finish", "f", "finish", "finish", "After the verdict: the task model", ("run",)),
    Key(
        "run.arms",
        "a",
        "arms",
        "arms",
        "After the verdict: an irrelevant text, or a training for each seed, for comparison",
        ("run",),
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
            ("earlier", "h", "earlier", "the cursor to earlier steps; its values are read out"),
            ("later", "l", "later", "the cursor to later steps"),
            ("alarm", "n", "alarm", "the cursor to the next alarm"),
            ("alarm_before", "N", "alarm_before", "the cursor to the alarm before"),
            ("log", "L", "log", "y by its logarithm"),
            ("smooth", "S", "smooth", "smoothed (labelled), or raw as it is by default"),
            ("whole", "0", "all", "all of it again, without the cursor"),
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
        "run.decision", "i", "interview", "interview", "The interview of this run", ("run",), False
    ),
    Key("run.report", "r", "report", "report", "Read the report", ("run",)),
    Key("run.traceback", "t", "traceback", "log", "The traceback and the worker's log", ("run",)),
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
)
