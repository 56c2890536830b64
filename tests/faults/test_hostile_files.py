"""Hostile files: each gets its one line, and the scan of the others goes on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.corpus.corpus import Corpus
from engine.errors import InputError
from engine.recipe.sections import Source
from tests.conftest import Command
from tests.engine.corpus.sources import PROSE, added_memory, balances, corpus, jsonl, read, texts

ROW = json.dumps({"text": PROSE}) + "\n"


# names


def test_names_that_would_speak_to_a_terminal(tmp_path: Path) -> None:
    names = [
        b"a\nb.txt",
        b"\x1b[2Jc.txt",
        b"\xff\xfe.txt",
        b"\xc2\x9b31m.txt",
        b"-rf.txt",
        b"'\".txt",
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"\xff\xff\xff")
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".jsonl")).write_text(ROW)
    source = corpus(tmp_path)
    assert read(source) == [PROSE.strip()] * len(names)
    assert len(source.ledger.notes) == len(names)
    said = [*source.ledger.notes, *(d.origin for d in source.documents())]
    for line in said:
        line.encode()
        assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line)
    assert len(source.fingerprint()) == 64


def test_a_very_long_name_and_a_nul() -> None:
    for path in ("x" * 5000, "a/" * 3000, "a\x00b"):
        with pytest.raises(InputError) as caught:
            corpus(path).check()
        assert "\n" not in str(caught.value)


# what is no file


@contextmanager
def standing(folder: Path) -> Iterator[None]:
    """A folder with a pipe, a socket, links to themselves, and one text."""
    os.mkfifo(folder / "pipe.txt")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s")
        (folder / "socket.txt").symlink_to(f"{short}/s")
        (folder / "self.txt").symlink_to(folder / "self.txt")
        (folder / "zero.txt").symlink_to("/dev/zero")
        (folder / "one.txt").write_text("the only text")
        yield


def test_pipes_sockets_devices_and_loops(tmp_path: Path) -> None:
    with standing(tmp_path):
        source = corpus(tmp_path)
        assert read(source) == ["the only text"]
        assert source.ledger.skipped == {"not a regular file": 3, "broken link": 1}
        for name in ("pipe.txt", "socket.txt", "self.txt", "zero.txt"):
            with pytest.raises(InputError, match=name):
                corpus(tmp_path / name).check()


def test_a_pipe_that_took_the_place_of_a_file(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"text of {name}")
    source = corpus(tmp_path)
    source.check()
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    assert [document.text for document in source.documents()] == ["text of b.txt"]
    assert source.ledger.skipped == {"not a regular file": 1}
    assert len(source.fingerprint()) == 64


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", ["mem", "environ", "pagemap"])
def test_files_that_are_none(name: str) -> None:
    with pytest.raises(InputError):
        corpus(f"/proc/self/{name}").check()


# rights


@pytest.mark.skipif(os.name != "posix", reason="needs users")
def test_permission_denied_for_real() -> None:
    """As a user without rights: root, who runs some CI, may read everything."""
    code = (
        "import os, sys\n"
        "from engine.corpus.corpus import Corpus; from engine.recipe.sections import Source\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "source = Corpus(Source(path=sys.argv[1])); source.check()\n"
        "print([d.text for d in source.documents()], source.ledger.skipped)"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "open.txt").write_text("open")
        (folder / "shut.txt").write_text("shut")
        (folder / "inner").mkdir()
        (folder / "inner" / "x.txt").write_text("x")
        for path in (folder / "shut.txt", folder / "inner"):
            path.chmod(0)
        command = [sys.executable, "-c", code, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        (folder / "inner").chmod(0o700)
    assert done.stdout.strip() == "['open'] {'permission denied': 2}", done.stderr


# files that change


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    for name in ("a.txt", "b.jsonl", "c.parquet", "d.zip", "e.txt.gz", "f.html"):
        (tmp_path / name).write_text(ROW)
    (tmp_path / "z.txt").write_text("last")
    source = corpus(tmp_path)
    source.files()
    for path in source.files()[:-1]:
        path.unlink()
    assert [document.text for document in source.documents()] == ["last"]
    balances(source)
    assert source.ledger.skipped == {"vanished": 6}


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_a_file_that_grows_does_not_keep_us_for_ever(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(ROW * 60_000)
    source = corpus(tmp_path)
    count = 0
    for _ in source.documents():
        count += 1
        with path.open("a") as out:
            out.write(ROW * 2)
    assert count == (60_000 if name == "a.jsonl" else count)
    balances(source)
    assert source.ledger.bytes_found == len(ROW) * 60_000


def test_a_file_that_shrinks_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(ROW * 60_000)
    source = corpus(tmp_path)
    documents = source.documents()
    next(documents)
    os.truncate(path, len(ROW) * 20_000)
    assert 1 + sum(1 for _ in documents) < 60_000
    balances(source)
    assert any("changed while it was read" in note for note in source.ledger.notes)


# size and depth


def test_a_sparse_file_of_ten_gigabytes(tmp_path: Path) -> None:
    for name, head in (("a.txt", b""), ("b.txt", PROSE.encode() * 200), ("c.jsonl", b"")):
        with (tmp_path / name).open("wb") as out:
            out.write(head)
            out.truncate(10 << 30)
    (tmp_path / "d.txt").write_text("good")
    begun = time.process_time()
    source = corpus(tmp_path)
    assert read(source) == ["good"]
    assert source.ledger.skipped == {"binary": 3}
    assert source.ledger.skipped_sizes["binary"] == 30 << 30
    assert time.process_time() - begun < 5


@pytest.fixture
def deep() -> Iterator[Path]:
    """A folder that may go too deep for shutil, which pytest cleans with."""
    folder = Path(tempfile.mkdtemp(prefix="cpt-deep-"))
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def dig(folder: Path, name: str, times: int) -> None:
    """A text so many folders down; step by step, since no path could name it."""
    here = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(times):
            Path(name).mkdir()
            os.chdir(name)
        Path("deep.txt").write_text("deep down")
    finally:
        os.chdir(here)


def test_a_thousand_folders_deep(deep: Path) -> None:
    dig(deep, "d", 1000)
    (deep / "top.txt").write_text("top")
    begun = time.process_time()
    source = corpus(deep)
    assert sorted(read(source)) == ["deep down", "top"]
    assert time.process_time() - begun < 5


def test_deeper_than_any_path(deep: Path) -> None:
    dig(deep, "d" * 200, 30)
    (deep / "top.txt").write_text("top")
    source = corpus(deep)
    assert read(source) == ["top"]
    assert source.ledger.skipped == {"not readable": 1}


def test_json_that_nests_without_end(tmp_path: Path) -> None:
    for depth in (2_000, 200_000):
        (tmp_path / "a.json").write_text("[" * depth)
        (tmp_path / "b.jsonl").write_text('{"a":' * depth + "\n" + ROW)
        assert texts(tmp_path) == [PROSE.strip()]
        with pytest.raises(InputError, match="nested too deep"):
            texts(tmp_path / "a.json")


@pytest.mark.slow
def test_a_hundred_thousand_files_are_listed_in_seconds(tmp_path: Path) -> None:
    for number in range(100_000):
        (tmp_path / f"{number:06}.txt").touch()
    begun = time.process_time()
    assert len(corpus(tmp_path).files()) == 100_000
    assert time.process_time() - begun < 5
    begun = time.process_time()
    assert len(corpus(tmp_path / "**" / "*9.txt").files()) == 10_000
    assert time.process_time() - begun < 5


ONE_LINE = {
    "a.txt": (b"", b"word ", b"", 1000, 100),
    "solid.txt": (b"", b"words", b"", 1000, 100),
    "a.jsonl": (b'{"text": "', b"word ", b'"}', -1, 260),
    "many.jsonl": (b"", ROW.encode(), b"", 1000, 100),
    "list.json": (b"[0", b',{"text": "' + PROSE.encode() * 9 + b'"}', b"]", 1000, 120),
    "a.json": (b'{"text": "', b"word ", b'"}', -1, 400),
    "a.csv": (b"id,text\n1,", b"word ", b"\n", -1, 300),
    "open.csv": (b'id,text\n1,"', b"word \n", b"", -1, 300),
    "a.html": (b"<p>", b"word ", b"</p>", -1, 100),
    "a.py": (b"", b"word ", b"", 1000, 100),
    "utf16.txt": (b"\xff\xfe", b"w\0o\0r\0 \0", b"", 1000, 100),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_LINE)
def test_three_hundred_megabytes_on_one_line(tmp_path: Path, name: str) -> None:
    """Read in flat memory, or refused by name in bounded memory (-1)."""
    head, piece, tail, documents, limit = ONE_LINE[name]
    block = piece * ((1 << 20) // len(piece))
    with (tmp_path / name).open("wb") as out:
        out.write(head)
        for _ in range(300):
            out.write(block)
        out.write(tail)
    count, added = added_memory(tmp_path / name)
    assert count == -1 if documents < 0 else count > documents
    assert added < limit, added


# the command


def test_the_command_refuses_in_one_line(cpt: Command, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with standing(folder):
        (folder / "latin\x1b[31m\n.txt").write_bytes("größer".encode("latin-1"))
        for path in (folder / "pipe.txt", folder / "zero.txt", *folder.glob("latin*")):
            done = cpt("check", str(path), "--model", str(tiny_model), "--hurts", "unreadable")
            assert done.returncode == 1
            assert done.stderr.startswith("cpt: ")
            assert "\x1b" not in done.stderr
            assert "Traceback" not in done.stdout + done.stderr


def test_records_with_every_kind_of_odd_text(tmp_path: Path) -> None:
    rows = [
        "\ud800",
        "\ud83d\ude00",
        "a\x00b",
        "\ufeffc",
        "\x1b[31md",
        "e\u202ef",
        "g\x85h",
        "i\u2028j",
    ]
    source = Corpus(Source(path=str(jsonl(tmp_path / "a.jsonl", [{"text": r} for r in rows]))))
    found = read(source)
    assert found[:4] == ["\ufffd", "\U0001f600", "ab", "c"]
    assert len(found) == len(rows)
