"""Companions: what lies beside a corpus is named, left out, and read on request."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from engine.corpus.corpus import Corpus
from engine.corpus.files.companions import companions, is_companion
from engine.corpus.ledger import BESIDE
from engine.recipe.sections import Source
from tests.engine.corpus.sources import texts
from tests.material import MATERIAL, needs_material

BESIDE_NAMES = [
    *("README", "README.md", "readme.txt", "README.de.md", "LICENSE", "LICENSE-MIT", "licence.txt"),
    *("COPYING", "SOURCE.txt", "NOTICE", "AUTHORS.md", "CHANGELOG.md", "requirements-dev.txt"),
    *("requirements.txt", "SHA256SUMS", "checksums.txt", "data.jsonl.sha256", "CITATION.cff"),
    *("dataset_info.json", "package-lock.json", "CONTRIBUTING.rst", "code_of_conduct.md"),
]
TEXT_NAMES = [
    *("a.txt", "history.txt", "sources.txt", "news.md", "license.jsonl", "Licence Terms.md"),
    *("source.txt", "readings.txt", "licensing.txt", "README.parquet", "notice of claim.txt"),
    *("security.md", "Copyright Policy.md", "requirements_engineering.jsonl", "01_install.txt"),
]


@pytest.mark.parametrize("name", BESIDE_NAMES)
def test_files_beside_a_corpus_are_known_by_name(name: str) -> None:
    assert is_companion(name)
    assert is_companion(f"data/part 1/{name}")


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_texts_are_none_of_them(name: str) -> None:
    assert not is_companion(name)


def test_logs_are_beside_texts_and_are_the_corpus_where_they_are_most_of_it() -> None:
    assert companions({"a.txt": 100, "download.log": 900}) == {"download.log"}
    assert companions({"a.log": 100, "b.log": 100, "README.md": 10}) == {"README.md"}
    assert companions({"a.txt": 9000, "b.log": 9, "c.log": 9, "d.log": 9}) == {
        "b.log",
        "c.log",
        "d.log",
    }


def test_nothing_is_left_out_where_there_is_nothing_else() -> None:
    assert companions({"README.md": 10, "docs/README.md": 10}) == set()


def write(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.txt").write_text("first text")
    (folder / "b").mkdir()
    (folder / "b" / "b.txt").write_text("second text")
    (folder / "README.md").write_text("what this is")
    (folder / "LICENSE").write_text("all rights")
    (folder / "SHA256SUMS").write_text("00 a.txt")
    (folder / "b" / "fetch.log").write_text("fetched b.txt")
    return folder


def test_a_folder_is_read_without_them_and_they_are_named(tmp_path: Path) -> None:
    corpus = Corpus(Source(path=str(write(tmp_path / "c"))))
    assert [document.text for document in corpus.documents()] == ["first text", "second text"]
    assert corpus.ledger.companions == ["LICENSE", "README.md", "SHA256SUMS", "b/fetch.log"]
    assert corpus.ledger.skipped == {BESIDE: 4}
    assert (
        corpus.ledger.skipped_bytes
        == sum(map(len, ["what this is", "all rights", "00 a.txt"])) + 13
    )


def test_they_are_read_on_request(tmp_path: Path) -> None:
    folder = str(write(tmp_path / "c"))
    kept, left = Source(path=folder, keep_companions=True), Source(path=folder)
    corpus = Corpus(kept)
    assert len(list(corpus.documents())) == 6
    assert corpus.ledger.companions == []
    assert Corpus(kept).fingerprint() != Corpus(left).fingerprint()


def test_a_file_or_a_glob_that_names_them_reads_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "c")
    assert texts(folder / "README.md") == ["what this is"]
    assert texts(folder / "README*") == ["what this is"]
    assert texts(folder / "*.*") == ["first text"]


def test_an_archive_is_read_without_them_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("c/a.txt", "first text")
        archive.writestr("c/README.md", "what this is")
        archive.writestr("c/LICENSE", "all rights")
    corpus = Corpus(Source(path=str(tmp_path / "c.zip")))
    assert [document.text for document in corpus.documents()] == ["first text"]
    assert [name.rpartition("zip/")[2] for name in corpus.ledger.companions] == [
        "c/LICENSE",
        "c/README.md",
    ]
    kept = Corpus(Source(path=str(tmp_path / "c.zip"), keep_companions=True))
    assert len(list(kept.documents())) == 3


@needs_material
def test_where_real_corpora_came_from_is_none_of_their_texts() -> None:
    assert MATERIAL
    for name in ("icelandic", "legal", "solidity"):
        corpus = Corpus(Source(path=str(MATERIAL / "domains" / name)))
        corpus.check()
        next(corpus.documents())
        assert corpus.ledger.companions == ["SOURCE.txt"]
