"""Listing: globs, kinds by suffix, and folders as people have them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.corpus.files import listing
from engine.corpus.files.kinds import codecs_of, kind_of, unknown_suffix
from engine.corpus.files.listing import list_files
from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, corpus, read


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    names = "a.jsonl b.txt sub/c.jsonl sub/deep/d.jsonl sub/deep/e.txt odd/f.weird .h/g.jsonl"
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"text": "the text of NAME"}'.replace("NAME", path.name))
    return tmp_path


GLOBS = {
    "*.jsonl": ["a.jsonl"],
    "*": ["a.jsonl", "b.txt"],
    "**/*.jsonl": ["a.jsonl", "sub/c.jsonl", "sub/deep/d.jsonl"],
    "**/*.txt": ["b.txt", "sub/deep/e.txt"],
    "sub/*/*.jsonl": ["sub/deep/d.jsonl"],
    "sub/**": ["sub/c.jsonl", "sub/deep/d.jsonl", "sub/deep/e.txt"],
    "s?b/[a-c].jsonl": ["sub/c.jsonl"],
    "**/deep/**/*.txt": ["sub/deep/e.txt"],
    "odd/*": ["odd/f.weird"],
    ".h/*": [".h/g.jsonl"],
    "*/*.weird": ["odd/f.weird"],
}


@pytest.mark.parametrize("pattern", GLOBS)
def test_globs(tree: Path, pattern: str) -> None:
    source = corpus(tree / pattern)
    assert [str(path.relative_to(tree)) for path in source.files()] == GLOBS[pattern]
    assert len(read(source)) == len(GLOBS[pattern])
    assert source.ledger.skipped == {}


def test_a_glob_that_matches_nothing_and_one_that_is_a_name(tree: Path) -> None:
    with pytest.raises(InputError, match="matches no file"):
        corpus(tree / "*.xyz").check()
    with pytest.raises(InputError, match="does not exist"):
        corpus(tree / "nowhere" / "*.txt").check()
    (tree / "data[1].txt").write_text("a name with brackets")
    assert read(corpus(tree / "data[1].txt")) == ["a name with brackets"]


def test_a_glob_and_its_folder_have_their_own_fingerprints(tree: Path) -> None:
    marks = {corpus(tree / one).fingerprint() for one in ("", "*.jsonl", "**/*.jsonl")}
    assert len(marks) == 3


def test_links_that_go_round_do_not_multiply_a_glob(tree: Path) -> None:
    for number in range(8):
        (tree / "sub" / f"round{number}").symlink_to(tree)
    assert len(corpus(tree / "**" / "*.jsonl").files()) == 3


def test_kinds_by_name() -> None:
    kinds = {
        "a.TXT": "text",
        "a.tar.gz": None,
        "a.jsonl.gz": "lines",
        "a.jsonl.gz.zst": "lines",
        "a.gz": None,
        "a.zip": "zip",
        "a.zip.gz": None,
        "a.b.parquet": "parquet",
        "README": None,
        "x.py": "code",
        "x.C": "code",
        "page.HTM": "page",
        "a.geojson": None,
    }
    assert {name: kind_of(name) for name in kinds} == kinds
    assert codecs_of("a.jsonl.gz.zst") == ("zstd", "gzip")
    assert unknown_suffix("a.tar.gz") == ".tar.gz"
    assert unknown_suffix("README") == "no suffix"
    assert unknown_suffix("a.gz") == "no suffix.gz"


def test_a_folder_of_unknown_types_says_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(PROSE)
    (tmp_path / "two").write_text(PROSE)
    with pytest.raises(InputError, match=r"found no suffix 2.*\*\*/\*' to read them all"):
        corpus(tmp_path).check()
    assert len(read(corpus(tmp_path / "**" / "*"))) == 2


def test_a_glob_of_many_stars_takes_no_time(tmp_path: Path) -> None:
    """Ways of fitting forty ``**`` to a path of twenty folders: more than could be tried."""
    deep = tmp_path.joinpath(*"abcdefghijklmnopqrst")
    deep.mkdir(parents=True)
    (deep / "text.txt").write_text("x")
    began = time.process_time()
    assert not list_files(tmp_path / ("**/a*/" * 40) / "none").files
    assert list_files(tmp_path / ("**/" * 40) / "*.txt").files == {deep / "text.txt": 1}
    assert list_files(tmp_path / "a" / "**").files == {deep / "text.txt": 1}
    assert time.process_time() - began < 2


def test_a_glob_that_reaches_too_many_files_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_FILES", 3)
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text("x")
    assert "more than 3 files; give a narrower" in list_files(tmp_path / "*").why_none()
    (tmp_path / "d.txt").unlink()
    assert len(list_files(tmp_path / "*").files) == 3
