"""Digests: unchanged files are not read again, changed ones always are."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
import time
from pathlib import Path

import pytest

from engine.corpus.files import digests as remembered
from engine.corpus.files.digests import UNREADABLE, digests
from tests.engine.corpus.sources import PROSE, corpus


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    seen: list[Path] = []
    real = remembered._hash

    def hashed(path: Path) -> str:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(remembered, "_hash", hashed)
    return seen


def old(path: Path, text: str) -> Path:
    """A file written a while ago, as far as its times tell (its ctime cannot be set)."""
    path.write_text(text)
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "RACY", -1)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_second_look_reads_nothing(tmp_path: Path, reads: list[Path]) -> None:
    paths = [old(tmp_path / f"{n}.txt", f"{PROSE}{n}") for n in range(5)]
    first = digests(paths)
    assert first == [sha(f"{PROSE}{n}") for n in range(5)]
    assert len(reads) == 5
    assert digests(paths) == first
    assert len(reads) == 5


def test_what_changed_is_read_again(tmp_path: Path, reads: list[Path]) -> None:
    path = old(tmp_path / "a.txt", "one")
    digests([path])
    old(path, "two")  # same size, same mtime: the ctime tells
    assert digests([path]) == [sha("two")]
    other = old(tmp_path / "b.txt", "six")
    other.replace(path)  # another inode
    assert digests([path]) == [sha("six")]
    path.write_text("longer")
    assert digests([path]) == [sha("longer")]
    path.unlink()
    assert digests([path]) == [UNREADABLE]
    assert len(reads) == 5


def test_a_file_just_written_is_not_remembered(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "RACY", 2_000_000_000)
    (tmp_path / "a.txt").write_text("one")
    for _ in range(2):
        digests([tmp_path / "a.txt"])
    assert len(reads) == 2


def test_private_and_only_a_help(tmp_path: Path, private_home: Path, reads: list[Path]) -> None:
    path = old(tmp_path / "a.txt", "one")
    digests([path])
    memory = private_home / "cache" / "digests.sqlite3"
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600
    assert stat.S_IMODE(private_home.stat().st_mode) == 0o700
    for wreck in (b"", b"no database at all" * 99, memory.read_bytes()[:5000] + b"\0" * 9000):
        memory.write_bytes(wreck)
        assert digests([path]) == [sha("one")]
    assert digests([path]) == [sha("one")]
    memory.unlink()
    memory.mkdir()
    assert digests([path]) == [sha("one")]


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CPT_HOME", str(tmp_path / "file" / "home"))
    assert digests([old(tmp_path / "a.txt", "one")]) == [sha("one")]


def test_a_flipped_digest_is_not_believed(tmp_path: Path, private_home: Path) -> None:
    """A half-written row is no digest; one of the right length can only come from us."""
    import sqlite3

    path = old(tmp_path / "a.txt", "one")
    digests([path])
    with sqlite3.connect(private_home / "cache" / "digests.sqlite3") as table:
        table.execute("UPDATE digests SET sha256 = 'short'")
    table.close()
    assert digests([path]) == [sha("one")]


def _look(folder: str) -> list[str]:
    return digests(sorted(Path(folder).glob("*.txt")))


def test_many_processes_at_once(tmp_path: Path) -> None:
    for n in range(200):
        old(tmp_path / f"{n:03}.txt", str(n))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        answers = pool.map(_look, [str(tmp_path)] * 12)
    assert answers == [[sha(str(n)) for n in range(200)]] * 12


def test_the_table_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    monkeypatch.setattr(remembered, "KEPT", 10)
    paths = [old(tmp_path / f"{n}.txt", str(n)) for n in range(12)]
    for path in paths:
        digests([path])
    assert digests([paths[-1]]) == [sha("11")]
    assert len(reads) == 12
    digests([paths[0]])
    assert len(reads) == 13


@pytest.mark.slow
def test_a_second_fingerprint_of_a_large_corpus_is_near_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "RACY", 2_000_000_000)
    (tmp_path / "data").mkdir()
    block = (PROSE * 13_000).encode()
    for n in range(4):
        with (tmp_path / "data" / f"{n}.txt").open("wb") as out:
            for _ in range(64):
                out.write(block)
    time.sleep(2.1)
    first = corpus(tmp_path / "data").fingerprint()
    begun = time.monotonic()
    assert corpus(tmp_path / "data").fingerprint() == first
    assert time.monotonic() - begun < 0.1
