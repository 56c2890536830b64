"""Tables: .csv and .tsv as records; what does not fit the header is counted, not cut."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus.files.members import members_of
from engine.corpus.ledger import Ledger
from engine.corpus.readers import csv_tsv, decoding
from engine.corpus.readers.csv_tsv import delimiter_of, table_rows
from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, corpus, read, texts


def records(path: Path) -> list[dict[str, str]]:
    (item,) = members_of(path, path.stat().st_size, True, Ledger())
    return [row.value for row in table_rows(item, Ledger())]


def test_quotes_line_ends_and_blank_lines(tmp_path: Path) -> None:
    raw = 'id,text\r\n1,"two\r\nlines, and a ""quote"""\r\n\r\n2,plain\r\n'
    (tmp_path / "a.csv").write_bytes(raw.encode())
    assert records(tmp_path / "a.csv") == [
        {"id": "1", "text": 'two\r\nlines, and a "quote"'},
        {"id": "2", "text": "plain"},
    ]
    source = corpus(tmp_path / "a.csv", text_column="text")
    assert read(source) == ['two\nlines, and a "quote"', "plain"]
    assert [d.origin.rpartition(":")[2] for d in source.documents()] == ["3", "5"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [["id", "text"], *([str(n), f"{PROSE}, {n}; and | more"] for n in range(9))]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(rows)
    name = "a.tsv" if delimiter == "\t" else "a.csv"
    (tmp_path / name).write_bytes(out.getvalue().encode())
    assert read(corpus(tmp_path / name)) == [row[1] for row in rows[1:]]


CELL = st.text(st.sampled_from('ab ,;"\n\r\té字'), max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL, CELL).filter(any), min_size=1, max_size=8),
    st.integers(1, 40),
)
def test_what_was_written_is_read(rows: list[tuple[str, str, str]], size: int) -> None:
    """Whatever the block size cuts through."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    text = out.getvalue()
    blocks = [text[i : i + size] for i in range(0, len(text), size)]
    lines = csv_tsv._Lines(iter(blocks), "utf-8", "x")
    assert list(csv.reader(iter(lines)))[1:] == [list(row) for row in rows]
    assert lines.passed() == len(text.encode())


def test_the_blocks_of_a_file_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 3)
    (tmp_path / "a.csv").write_bytes('id;text\r\n1;"größer\r\nund"\r\n2;länger\r\n'.encode())
    assert [row["text"] for row in records(tmp_path / "a.csv")] == ["größer\r\nund", "länger"]


def test_rows_that_do_not_fit_are_counted_and_named(tmp_path: Path) -> None:
    rows = ["id,text", "1,fits here", "2,an unquoted, comma", "3", "4,", "5,fits too"]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    source = corpus(tmp_path / "a.csv", text_column="text")
    assert read(source) == ["fits here", "fits too"]
    assert source.ledger.skipped == {"row with too many cells": 1, "no text in the record": 2}
    assert source.ledger.skipped_sizes == {
        "row with too many cells": len(rows[2]) + 1,
        "no text in the record": len("3\n4,\n"),
    }
    assert any("a.csv:3 has more cells than columns" in note for note in source.ledger.notes)


def test_headers_missing_empty_and_doubled(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'"{PROSE * 3}",1\n"{PROSE * 2}",0\n')
    source = corpus(tmp_path / "a.csv")
    assert read(source) == [(PROSE * 3).strip(), (PROSE * 2).strip()]
    assert "no header" in source.ledger.notes[0]
    (tmp_path / "b.csv").write_text(f',text,text\n0,"{PROSE}",second\n')
    assert records(tmp_path / "b.csv") == [{"": "0", "text": PROSE, "text (2)": "second"}]


def test_one_column_and_prose_with_commas() -> None:
    assert delimiter_of(["text\n", "one, two\n", "three\n"]) == ","
    assert delimiter_of(["a;b\n", "1,5;2,5\n", "3,5;4,5\n"]) == ";"
    assert delimiter_of([]) == ","


def test_a_quote_that_never_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tsv, "LONGEST_CELL", 5000)
    body = 'id,text\n1,good one here\n2,"never closed\n' + f"{PROSE}\n" * 200
    (tmp_path / "a.csv").write_text(body)
    with pytest.raises(InputError, match="no readable table: field larger"):
        texts(tmp_path / "a.csv")
    (tmp_path / "b.txt").write_text("good")
    source = corpus(tmp_path)
    assert read(source) == ["good one here", "good"]
    assert source.ledger.skipped_sizes == {"broken table": len(body) - len("1,good one here\n") - 8}


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tsv, "LONGEST_CELL", 5000)
    (tmp_path / "a.csv").write_text("x" * 3_000_000)
    with pytest.raises(InputError, match="a line is longer"):
        corpus(tmp_path / "a.csv").check()
