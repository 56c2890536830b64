"""A sealed folder is believed as it was written, and no other way."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus.files import seals
from engine.corpus.files.seals import BLOCK, SEAL, find_damage, seal_folder


def write_folder(folder: Path, large: int = 3000) -> Path:
    folder.mkdir()
    generator = random.Random(0)
    (folder / "tokens.bin").write_bytes(generator.randbytes(large))
    (folder / "meta.json").write_text('{"words": 12, "dtype": "uint16"}')
    (folder / "empty.bin").write_bytes(b"")
    seal_folder(folder)
    return folder


def test_an_untouched_folder_is_whole(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "store")
    assert find_damage(folder) == ""
    (folder / "overlap-1.json").write_text("{}")  # added later, checked by its own reader
    assert find_damage(folder) == ""


@settings(max_examples=60)
@given(data=st.data())
def test_no_flip_and_no_cut_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = write_folder(tmp_path_factory.mktemp("sealed") / "store")
    path = folder / data.draw(st.sampled_from(["tokens.bin", "meta.json"]))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
    assert path.name in find_damage(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": {"a": {}}}'])
def test_a_broken_seal_is_damage(tmp_path: Path, text: str) -> None:
    folder = write_folder(tmp_path / "store")
    (folder / SEAL).write_text(text)
    assert SEAL in find_damage(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "store")
    (folder / "empty.bin").unlink()
    assert find_damage(folder) == "empty.bin is missing"


def test_rot_that_keeps_the_times_is_seen_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remembered hash is believed where no time changed; blocks and the weekly look are not."""
    folder = write_folder(tmp_path / "store", large=3 * BLOCK)
    path = folder / "tokens.bin"
    old = path.stat()
    with path.open("rb+") as handle:
        handle.seek(BLOCK + 5)
        handle.write(b"rot")
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    believed = [found.sha256 for found in read_seal(folder)]
    monkeypatch.setattr(seals, "digests", lambda paths: believed)  # a disk's rot leaves ctime too
    assert find_damage(folder) == "tokens.bin is not as it was written (at 1 MiB)"
    monkeypatch.setattr(seals, "SAMPLED", 0)
    assert find_damage(folder) == ""
    monkeypatch.setattr(seals, "WHOLE_AFTER", -1)
    assert find_damage(folder) == "tokens.bin is not as it was written"


def read_seal(folder: Path) -> list[seals.SealedFile]:
    seal = seals.Seal.model_validate_json((folder / SEAL).read_bytes())
    return list(seal.files.values())
