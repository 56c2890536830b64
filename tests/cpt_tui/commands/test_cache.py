"""``cpt cache``: what is kept is listed with its state, and cleared but for what is used."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import typer

from cpt_tui.commands.cache import clear_cache, show_cache
from engine import cache
from engine.corpus.files.seals import SEAL, hold_folder, seal_folder
from engine.demo.demo import world_files
from engine.errors import InputError
from engine.files import home, private_dir, write_json, write_sealed_json
from engine.runs.run import create_run

KEY = "0123456789abcdef" * 2
DAY = 86_400


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def store(key: str = KEY, source: str = "books", days: float = 0) -> Path:
    """A sealed token store of three documents, last used so many days ago."""
    folder = private_dir(home() / "cache" / "tokens" / key)
    write_json(folder / "meta.json", {"source": source})
    (folder / "tokens.bin").write_bytes(bytes(4000))
    (folder / "lengths.bin").write_bytes(bytes(24))
    seal_folder(folder)
    when = time.time() - days * DAY
    os.utime(folder / SEAL, (when, when))
    os.utime(folder, (when, when))
    return folder


@contextmanager
def another_process(code: str, *arguments: str) -> Iterator[int]:
    """A process that runs some lines, says so, and waits."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint('ready', flush=True)\ninput()"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([*command, *arguments], **streams)  # type: ignore[call-overload]
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    show_cache("all", "", json_=True)
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["entries"]}


def test_a_base_arm_is_listed_and_a_damaged_seed_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = private_dir(home() / "cache" / cache.ARMS_FOLDER / KEY)
    about = {"model": "small", "metric": "choice", "items": 240}
    write_sealed_json(folder / cache.ABOUT, about)
    for seed in (0, 1):
        write_sealed_json(folder / f"{seed}.json", {"scores": [1.0, 0.0]})
    row = listed(capsys)[KEY[:16]]
    assert (row["kind"], row["whole"]) == ("base arm", True)
    assert row["about"] == "2 seeds of small on 240 gold items, choice"
    (folder / "1.json").write_text((folder / "1.json").read_text().replace("1.0", "0.0"))
    assert not listed(capsys)[KEY[:16]]["whole"]
    assert cache.clear(cache.choose(cache.list_cache(), KEY)) != []
    assert not folder.exists()


def test_all_kinds_are_listed_with_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    store()
    damaged = store("f" * 32, "letters")
    os.truncate(damaged / "tokens.bin", 100)
    world = world_files(False)["gold"].parent
    (home() / "cache" / "tokens" / f"{KEY}.partial-{2**22 + 1}").mkdir()
    found = listed(capsys)
    assert found[KEY[:16]]["about"] == "books, 3 documents"
    assert found[KEY[:16]]["whole"]
    assert found[KEY[:16]]["bytes"] == sum(
        p.stat().st_size for p in (damaged.parent / KEY).iterdir()
    )
    assert found["f" * 16]["damage"] == "tokens.bin has 100 bytes instead of 4,000"
    assert found[world.name]["kind"] == "demo texts"
    assert found["digests.sqlite3"]["whole"]
    assert found[f"{KEY}.partial-{2**22 + 1}"]["kind"] == "leftover"
    show_cache("all", "", json_=False)
    lines = capsys.readouterr().out.splitlines()
    assert any("letters" in line and "damaged" in line for line in lines)


def test_an_empty_cache_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_cache("all", "", json_=False)
    assert "Nothing" in capsys.readouterr().out
    show_cache("all", "", json_=True)
    assert json.loads(capsys.readouterr().out)["entries"] == []


def test_only_what_is_old_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = store(days=40), store("f" * 32, days=20)
    clear_cache("all", "30d", yes=True, json_=True)
    assert json.loads(capsys.readouterr().out)["cleared"] == [KEY[:16]]
    assert not old.exists()
    assert new.exists()


def test_a_use_makes_an_old_store_young() -> None:
    code = "from pathlib import Path; from engine.corpus.files.seals import hold_folder\n"
    folder = store(days=40)
    with another_process(code + "hold_folder(Path(sys.argv[1]))", str(folder)):
        pass
    assert cache.choose(cache.list_cache(), older="30d") == []


def test_what_another_process_holds_stays(capsys: pytest.CaptureFixture[str]) -> None:
    folder = store()
    code = "from pathlib import Path; from engine.corpus.files.seals import hold_folder\n"
    with another_process(code + "hold_folder(Path(sys.argv[1]))", str(folder)):
        assert listed(capsys)[KEY[:16]]["user"] == "another process"
        clear_cache("all", "", yes=True, json_=False)
        assert "another process uses it" in capsys.readouterr().out
        assert folder.is_dir()
    clear_cache("all", "", yes=True, json_=True)
    assert not folder.exists()


def test_what_a_living_run_reads_stays() -> None:
    """Its scan has named the store; its worker is a process that lives."""
    folder, other = store(), store("f" * 32)
    run = create_run("living", '[recipe]\nname = "living"\n')
    run.write_artifact("scan", {"stores": {"domain": str(folder)}}, "x")
    with another_process("") as pid:
        started = psutil.Process(pid).create_time()
        beat = {"pid": pid, "started": started, "state": "running", "beat": time.time()}
        write_json(run.status_path, beat)
        entries = cache.list_cache()
        assert {e.path.name: e.user for e in entries}[KEY] == run.id
        clear_cache("all", "", yes=True, json_=False)
    assert folder.is_dir()
    assert not other.exists()


def test_it_asks_back_and_without_a_terminal_needs_yes() -> None:
    folder = store()
    with pytest.raises(InputError, match="add --yes"):
        clear_cache("all", "", yes=False, json_=False)
    with pytest.raises(InputError, match="add --yes"):
        clear_cache("all", "", yes=False, json_=True)
    assert folder.is_dir()


def test_no_at_the_question_clears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store()
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(typer.Abort):
        clear_cache("all", "", yes=False, json_=False)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("name", "older", "said"),
    [("zz", "", "nothing in the cache"), ("0", "", "2 entries"), ("all", "30", "30d")],
)
def test_a_wrong_name_or_time_is_refused(name: str, older: str, said: str) -> None:
    store()
    store("0" * 32)
    with pytest.raises(InputError, match=said):
        show_cache(name, older, json_=False)


def test_a_held_folder_is_held_once(tmp_path: Path) -> None:
    """A run opens its stores many times: no handle is lost by that."""
    (tmp_path / "store").mkdir()
    hold_folder(tmp_path / "store")
    before = psutil.Process().num_fds()
    for _ in range(5):
        hold_folder(tmp_path / "store")
    hold_folder(tmp_path / "absent")
    assert psutil.Process().num_fds() == before
