"""A reader is one entry of ``READERS`` and one of ``KINDS``; a new one touches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.corpus.files.kinds import ARCHIVE, KINDS, FileKind, kind_of, readable
from engine.corpus.files.listing import list_files
from engine.corpus.files.members import Member
from engine.corpus.ledger import Ledger, Row
from engine.corpus.readers.registry import READERS, ReadRequest
from tests.engine.corpus.sources import PROSE, corpus, read


def upside_down(item: Member, ledger: Ledger, asked: ReadRequest) -> Iterator[Row]:
    """A made-up format: the lines of one document, the last one first."""
    with item.open(ledger) as content:
        lines = content.read().decode().splitlines()
    yield Row(1, "\n".join(reversed(lines)), item.size)


def test_a_new_reader_is_an_entry_of_both_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "upside", FileKind(frozenset({".upside"}), ".upside"))
    monkeypatch.setitem(READERS, "upside", upside_down)
    (tmp_path / "a.upside").write_text(f"second\n{PROSE * 3}")
    assert kind_of("b/A.UPSIDE.gz") == "upside"
    source = corpus(tmp_path)
    (text,) = read(source)
    assert text.startswith("The river bends")
    assert text.endswith("second")


def test_what_can_be_read_is_said_from_the_table(tmp_path: Path) -> None:
    sentence = (
        "text (.txt, .md, .rst), records (.jsonl, .json, .csv, .tsv, .parquet, .arrow), .html, "
        "source code, .pdf or .docx, also as .gz, .zst, .xz, .bz2 or .zip"
    )
    assert readable() == sentence
    assert sentence in list_files(tmp_path).why_none()


def test_every_kind_has_a_reader_and_no_suffix_two_kinds() -> None:
    assert set(READERS) == set(KINDS)
    assert ARCHIVE not in KINDS
    suffixes = [suffix for kind in KINDS.values() for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
