"""Compressed files and archives: read as if unpacked, and no bomb, no path, no cut goes unseen."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.corpus.files import members as items
from engine.corpus.files import streams
from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, added_memory, corpus, jsonl, read, texts

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstd.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}
ROWS = [{"text": f"{PROSE}{n}", "n": n} for n in range(400)]
WANT = [row["text"] for row in ROWS]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zipped(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("suffix", PACK)
def test_every_compression_around_records_and_text(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.jsonl{suffix}").write_bytes(PACK[suffix](LINES))
    source = corpus(tmp_path / f"a.jsonl{suffix}")
    assert read(source) == WANT
    assert source.ledger.bytes_found == len(LINES)
    (tmp_path / f"b.txt{suffix}").write_bytes(PACK[suffix](PROSE.encode()))
    assert texts(tmp_path / f"b.txt{suffix}") == [PROSE.strip()]


@pytest.mark.parametrize("suffix", PACK)
def test_several_members_in_a_row_and_padding(tmp_path: Path, suffix: str) -> None:
    half = len(LINES) // 2
    both = PACK[suffix](LINES[:half]) + PACK[suffix](LINES[half:]) + b"\0" * 512
    (tmp_path / f"a.jsonl{suffix}").write_bytes(both)
    assert texts(tmp_path / f"a.jsonl{suffix}") == WANT


@pytest.mark.parametrize("suffix", PACK)
def test_a_cut_file_keeps_its_records_in_a_folder_and_is_refused_alone(
    tmp_path: Path, suffix: str
) -> None:
    noise = "".join(chr(33 + hash((n, "x")) % 90) for n in range(200_000))
    rows = [{"text": f"{PROSE}{noise[n * 100 : n * 100 + 100]}"} for n in range(2000)]
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    packed = PACK[suffix](raw)
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed[: len(packed) * 3 // 4])
    (tmp_path / f"b.txt{suffix}").write_bytes(packed[: len(packed) * 3 // 4])
    (tmp_path / "c.txt").write_text("good")
    source = corpus(tmp_path)
    found = read(source)
    want = [row["text"] for row in rows]
    assert found[-1] == "good"
    assert found[:-1] == want[: len(found) - 1]
    assert source.ledger.skipped["cut-off archive"] == 2
    if suffix in (".gz", ".xz"):
        assert len(found) > 500  # bzip2 and zstd give whole blocks only
    for name in (f"a.jsonl{suffix}", f"b.txt{suffix}"):
        with pytest.raises(InputError, match="ends too early"):
            texts(tmp_path / name)


@pytest.mark.parametrize("suffix", PACK)
def test_a_flipped_byte_is_found(tmp_path: Path, suffix: str) -> None:
    packed = bytearray(PACK[suffix](LINES))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / f"a.txt{suffix}").write_bytes(packed)
    with pytest.raises(InputError, match=r"is broken|broke off|ends too early"):
        texts(tmp_path / f"a.txt{suffix}")


@pytest.mark.parametrize("suffix", PACK)
def test_empty_and_misnamed(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"empty.txt{suffix}").write_bytes(b"")
    (tmp_path / f"nothing.txt{suffix}").write_bytes(PACK[suffix](b""))
    (tmp_path / f"plain.txt{suffix}").write_text("just text")
    (tmp_path / f"lfs.txt{suffix}").write_text("version https://git-lfs.github.com/spec/v1\n")
    wrong = {"empty": "is empty", "nothing": "is empty", "plain": "is not", "lfs": "git-LFS"}
    for name, message in wrong.items():
        with pytest.raises(InputError, match=message):
            corpus(tmp_path / f"{name}.txt{suffix}").check()


def test_a_suffix_that_hides_a_compression(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"hello"))
    with pytest.raises(InputError, match="gzip-compressed, whatever its name says"):
        corpus(tmp_path / "a.txt").check()


# archives


def test_members_are_read_by_their_own_kind(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet")
    members: dict[str, bytes | str] = {
        "data/a.jsonl": LINES,
        "data/b.jsonl.gz": gzip.compress(LINES),
        "c.parquet": (tmp_path / "x.parquet").read_bytes(),
        "d.txt": "a text",
        "e/f.csv": "id,body\n1,the body of a row in a table\n",
        "__MACOSX/._d.txt": "left alone",
        ".hidden.txt": "left alone",
        "g/": "",
    }
    (tmp_path / "x.parquet").unlink()
    source = corpus(zipped(tmp_path / "a.zip", members))
    found = read(source)
    table = "the body of a row in a table"
    assert sorted(found) == sorted([*WANT, *WANT, *WANT, "a text", table])
    assert not source.ledger.skipped
    origins = {document.origin.partition(".zip/")[2] for document in source.documents()}
    assert {"data/a.jsonl:1", "d.txt:1", "e/f.csv:2"} <= origins


def test_a_bad_member_does_not_stop_the_others(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.txt": PROSE * 50, "b.txt": "good", "c.png": b"\x89PNG"})
    raw = bytearray(path.read_bytes())
    at = raw.index(b"a.txt") + 5
    raw[at + 4] ^= 0xFF
    path.write_bytes(raw)
    source = corpus(path)
    assert read(source) == ["good"]
    assert source.ledger.skipped == {
        "broken archive": 1,
        "unknown type in an archive (.png)": 1,
    }


def test_names_that_leave_the_archive_are_refused(tmp_path: Path) -> None:
    evil = ["../../up.txt", "/etc/passwd.txt", "C:\\win.txt", "a/../../b.txt", "..\\c.txt"]
    source = corpus(zipped(tmp_path / "a.zip", {**dict.fromkeys(evil, "evil"), "ok.txt": "fine"}))
    assert read(source) == ["fine"]
    assert source.ledger.skipped == {"unsafe name in an archive": 5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_links_locks_and_nested_archives_in_an_archive(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", b"PK")
        archive.writestr("locked.txt", "secret")
        archive.writestr("fine.txt", "fine")
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    at = raw.rindex(b"locked.txt") - 46  # its entry in the index; the flags are 8 bytes in
    raw[at + 8] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    source = corpus(tmp_path / "a.zip")
    assert read(source) == ["fine"]
    assert source.ledger.skipped == {
        "archive in an archive": 1,
        "link or device in an archive": 1,
        "encrypted": 1,
    }


def test_no_zip_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 nothing more")
    (tmp_path / "b.zip").write_bytes(b"")
    (tmp_path / "c.zip").write_text("version https://git-lfs.github.com/spec/v1\n")
    zipped(tmp_path / "d.zip", {"x.png": b"\x89PNG"})
    wrong = {"a": "not a readable zip", "b": "not a readable zip", "c": "git-LFS", "d": r"\.png"}
    for name, message in wrong.items():
        with pytest.raises(InputError, match=message):
            corpus(tmp_path / f"{name}.zip").check()
    (tmp_path / "good.txt").write_text("good")
    assert read(corpus(tmp_path)) == ["good"]


# bombs


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE", 1 << 20)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("suffix", PACK)
def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path, suffix: str) -> None:
    """Whatever reads it: no reader has a record or a page of its own limit before that."""
    bomb = PACK[suffix](b'{"text": "' + b"a" * (48 << 20) + b'"}')
    for name in ("a.txt", "a.jsonl", "a.csv", "a.json", "a.html"):
        path = tmp_path / (name + suffix)
        path.write_bytes(bomb)
        with pytest.raises(InputError, match=r"unpacks to more than 300 times|longer than"):
            texts(path)


@pytest.mark.usefixtures("small_limits")
def test_a_bomb_in_an_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.txt": b"a" * (50 << 20), "b.txt": "good"})
    source = corpus(path)
    assert read(source) == ["good"]
    assert source.ledger.skipped == {"archive bomb": 1}


def test_overlapping_members(tmp_path: Path) -> None:
    """Many names for one piece of data: the bomb of Fifield (2019)."""
    path = zipped(tmp_path / "a.zip", {f"{n}.txt": "a" * 1000 for n in range(9)})
    raw = bytearray(path.read_bytes())
    at = 0
    while (at := raw.find(b"PK\x01\x02", at)) >= 0:
        raw[at + 42 : at + 46] = struct.pack("<L", 0)
        at += 46
    path.write_bytes(raw)
    source = corpus(path)
    assert len(read(source)) <= 1
    assert source.ledger.skipped["broken archive"] >= 8


def test_an_index_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "MEMBERS", 5)
    path = zipped(tmp_path / "a.zip", {f"{n}.txt": "x" for n in range(20)})
    with pytest.raises(InputError, match="index for more than 5 members"):
        corpus(path).check()


def test_a_dictionary_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WINDOW", 1 << 20)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(LINES, filters=filters))
    options: Any = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    stream = zstd.ZstdCompressor(options=options)
    (tmp_path / "b.txt.zst").write_bytes(stream.compress(LINES) + stream.flush())
    for name in ("a.txt.xz", "b.txt.zst"):
        with pytest.raises(InputError, match="memory"):
            corpus(tmp_path / name).check()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz"])
def test_memory_stays_flat_while_unpacking(tmp_path: Path, suffix: str) -> None:
    lines = jsonl(tmp_path / "x", ROWS[1:]).read_bytes() + b"\n"
    opened = {".gz": gzip.open, ".zst": zstd.open, ".xz": lzma.open}[suffix]
    with opened(tmp_path / f"a.jsonl{suffix}", "wb") as out:
        for _ in range(3000):
            out.write(json.dumps({"text": os.urandom(1000).hex()}).encode() + b"\n" + lines)
    count, added = added_memory(tmp_path / f"a.jsonl{suffix}")
    assert count == 1_200_000
    assert added < 60, added
