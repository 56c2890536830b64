"""The app in a real terminal that goes away, and the app killed in the middle of an interview."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cpt_tui import terminal
from engine.runs.run import list_runs
from tests.cpt_tui import worlds
from tests.cpt_tui.measured import probe, scan
from tests.cpt_tui.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="ptys")


def test_a_lost_terminal_ends_the_viewer(tmp_path: Path) -> None:
    run = worlds.mid_training(tmp_path, upto=20).run
    with Terminal(tmp_path, "watch", run.id) as viewer:
        viewer.wait_for("Held-out")
        viewer.hang_up()
        deadline = time.monotonic() + 12
        while viewer.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert viewer.process.returncode == 129
    assert run.events_path.exists()


def test_answers_survive_a_kill(tmp_path: Path) -> None:
    """SIGKILL in the middle of the interview: each answer given is on disk, and comes back."""
    corpus = tmp_path / "letters.txt"
    corpus.write_text("The patient was admitted on Monday.\n\n" * 50)
    with Terminal(tmp_path) as app:
        app.wait_for("No runs yet")
        app.go("n", "Which model?")
        app.press("someone/some-model")
        app.go("enter", "Which text should it learn from?")
        app.press(str(corpus))
        app.go("enter", "Which text stands for")
        for title in ("Which gold set", "Which fine-tuning data", "What hurts today?"):
            app.go("pagedown", title)
        app.go("1", "What kind of data is the corpus?")
        app.kill()
    (run,) = list_runs(tmp_path)
    values = worlds.recipe_values(run)
    assert values["model"]["id"] == "someone/some-model"
    assert values["corpus"]["path"] == str(corpus)
    assert values["interview"] == {"hurts": "unreadable"}
    with Terminal(tmp_path) as app:
        app.wait_for("draft")
        app.go("enter", "Which token-level fluency must improve?")
        app.go("f2", "Go to")
        app.go("6", "(your answer)")


def test_marks_survive_a_kill(tmp_path: Path) -> None:
    world = worlds.World(tmp_path)
    world.start(("scan", "probe", "decide"))
    world.stage("scan", scan())
    world.stage("probe", probe())
    world.status("ended", "probe", alive=False)
    with Terminal(tmp_path, size=(80, 24)) as app:
        app.wait_for("clinic")
        app.go("enter", "of 21")
        app.go("f2", "Go to")
        app.go("9", "9 of 21")
        app.go("pagedown", "10 of 21")
        app.go("pagedown", "Term 1 of 3: Glioblastom")
        app.go("1", "Term 2 of 3: Anamnese")
        app.go("2", "Term 3 of 3: Hemiparese")
        app.kill()
    marks = worlds.recipe_values(world.run)["interview"]["term_marks"]
    assert marks == {"Glioblastom": "passable", "Anamnese": "not_passable"}


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        ({"LC_ALL": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python leaves it (PEP 538)
        ({"LANG": "POSIX"}, True),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, False),
    ],
)
def test_the_c_locale_is_drawn_in_ascii(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], plain: bool
) -> None:
    """Python's own UTF-8 mode hid it: Braille was drawn there."""
    for name in ("CPT_ASCII", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert terminal.ascii_only() == plain
