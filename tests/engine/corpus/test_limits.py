"""A look at a part answers "not seen", never "none": what stands behind the part is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from engine.corpus import corpus as corpora
from engine.corpus.corpus import CHECK_BYTES, Corpus
from engine.corpus.shape import detect_shape
from engine.errors import InputError
from engine.recipe.sections import Source

PROSE = "some words of prose, and a few more of them. " * 5
BOOK = "ab cd " * (CHECK_BYTES // 6 + (2 << 20) // 6)
"""Longer than a check and a block of reading."""


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


WITHOUT: list[object] = [{"id": number, "text": None} for number in range(60)]
WITH: list[object] = [{"id": number, "text": PROSE} for number in range(5)]
OTHERS: list[object] = [{"id": number} for number in range(120)]
STORIES: list[object] = [{"id": number, "story": PROSE} for number in range(3)]
BEHIND: dict[str, tuple[str, str, int]] = {
    "a book as first record": ("a.jsonl", lines({"text": BOOK}, *WITH), 6),
    "blank lines": ("a.jsonl", "\n" * (2 * CHECK_BYTES) + lines(*WITH), 5),
    "a bad line as long as a book": ("a.jsonl", "{" + BOOK + "\n" + lines(*WITH), 5),
    "empty texts": ("a.jsonl", lines({"text": ""}) * (CHECK_BYTES // 4) + lines(*WITH), 5),
    "no text in many records": ("a.jsonl", lines(*WITHOUT, *WITH), 5),
    "another column in many records": ("a.jsonl", lines(*OTHERS, *STORIES), 3),
    "no column beyond the check": (
        "a.jsonl",
        lines({"id": 1}) * (CHECK_BYTES // 4) + lines(*WITH),
        5,
    ),
    "blank text": ("a.txt", "\n" * (2 * CHECK_BYTES) + PROSE, 1),
    "a long first cell": ("a.csv", f'text,id\n"{BOOK}",1\n"{PROSE}",2\n', 2),
    "empty cells": ("a.csv", "id,text\n" + "1,\n" * CHECK_BYTES + f'2,"{PROSE}"\n', 1),
}


@pytest.mark.parametrize("case", BEHIND)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_text_behind_what_a_check_sees_is_read(case: str, packed: bool, tmp_path: Path) -> None:
    name, text, documents = BEHIND[case]
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode(), 1) if packed else text.encode())
    corpus = Corpus(Source(path=str(path)))
    corpus.check()
    assert sum(1 for _ in corpus.documents()) == documents
    ledger = corpus.ledger
    assert 0 < ledger.bytes_text <= ledger.bytes_found


def test_a_named_column_that_begins_late_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(*({"id": n} for n in range(80)), {"id": 80, "story": PROSE}))
    corpus = Corpus(Source(path=str(path), text_column="story"))
    corpus.check()
    assert [d.origin for d in corpus.documents()] == [f"{path}:81"]
    assert corpus.ledger.skipped["no text in the record"] == 80


def write_table(path: Path, columns: dict[str, list[object]], types: object = None) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns, schema=types), path)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_is_in_no_record_is_still_refused(suffix: str, tmp_path: Path) -> None:
    """The whole file was seen: then the answer is no, and names the columns."""
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        path.write_text(lines(*OTHERS))
    else:
        write_table(path, {"id": list(range(120))})
    with pytest.raises(InputError, match=r"no column of text \(columns: id\)"):
        Corpus(Source(path=str(path))).check()
    with pytest.raises(InputError, match='no column "story"; its columns are'):
        Corpus(Source(path=str(path), text_column="story")).check()


def test_a_column_in_one_of_two_files_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"other": PROSE}))
    (tmp_path / "b.jsonl").write_text(lines({"story": PROSE}))
    corpus = Corpus(Source(path=str(tmp_path), text_column="story"))
    corpus.check()
    assert [d.origin for d in corpus.documents()] == [f"{tmp_path / 'b.jsonl'}:1"]
    assert corpus.ledger.skipped == {"no such column": 1}


def test_a_value_beyond_what_a_check_holds_is_not_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .json file is looked at up to 32 MB; here up to 1 MB, so that the test is small."""
    monkeypatch.setattr("engine.corpus.readers.json_file.IN_MEMORY", 1 << 20)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": BOOK}, {"text": PROSE}]))
    corpus = Corpus(Source(path=str(path)))
    corpus.check()
    assert sum(1 for _ in corpus.documents()) == 2
    assert "looked at" in detect_shape(corpus).why


def test_a_table_of_columns_is_looked_at_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "CHECK_ROWS", 100)
    path = tmp_path / "a.parquet"
    write_table(path, {"id": list(range(305)), "text": [None] * 300 + [PROSE] * 5})
    corpus = Corpus(Source(path=str(path)))
    corpus.check()
    assert sum(1 for _ in corpus.documents()) == 5


def binary(large: bool) -> object:
    import pyarrow

    return pyarrow.schema([("text", pyarrow.large_binary() if large else pyarrow.binary())])


@pytest.mark.parametrize("large", [False, True], ids=["binary", "large_binary"])
@pytest.mark.parametrize("column", [None, "text"])
def test_text_that_was_written_as_bytes_is_text(
    large: bool, column: str | None, tmp_path: Path
) -> None:
    """Hive, Impala and older Spark write strings without the mark of a string."""
    path = tmp_path / "a.parquet"
    texts = [f"Grüße {number}: {PROSE}" for number in range(4)]
    cells: list[object] = [text.encode() for text in texts]
    write_table(path, {"text": [*cells, b"\xff\xfe\x00 no text", None]}, binary(large))
    corpus = Corpus(Source(path=str(path), text_column=column))
    corpus.check()
    assert [d.text.strip() for d in corpus.documents()] == [text.strip() for text in texts]
    assert corpus.ledger.skipped == {"no text in the record": 2}


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, {"text": [b"\x89PNG\x00\x01", b"\x00\x01"]}, binary(False))
    with pytest.raises(InputError, match=r"no column of text \(columns: text\)"):
        Corpus(Source(path=str(path))).check()
