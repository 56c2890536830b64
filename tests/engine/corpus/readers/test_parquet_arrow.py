"""Parquet and arrow: text columns only, in flat memory, and broken files refused by name."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, added_memory, corpus, read, texts

ROWS: list[dict[str, Any]] = [
    {
        "id": n,
        "picture": b"\x89PNG" * 9,
        "when": datetime.datetime(2020, 1, 1),
        "tags": ["a", "b"],
        "text": f"{PROSE}{n} \U0001f600",
    }
    for n in range(300)
]
WANT = [row["text"] for row in ROWS]


def stream(table: pa.Table, path: Path, batch: int = 40) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)


def file(table: pa.Table, path: Path, batch: int = 40) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)


WRITE: dict[str, Callable[[pa.Table, Path], Any]] = {
    "a.parquet": lambda table, path: pq.write_table(table, path, row_group_size=70),
    "file.arrow": file,
    "stream.arrow": stream,
    "zstd.feather": lambda table, path: pyarrow.feather.write_feather(table, path, "zstd"),
    "lz4.feather": lambda table, path: pyarrow.feather.write_feather(table, path, "lz4"),
}


@pytest.mark.parametrize("name", WRITE)
def test_every_layout_gives_the_same_text(tmp_path: Path, name: str) -> None:
    WRITE[name](pa.Table.from_pylist(ROWS), tmp_path / name)
    source = corpus(tmp_path / name)
    assert read(source) == WANT
    assert source.ledger.text_column == "text"
    assert source.ledger.bytes_found == (tmp_path / name).stat().st_size
    assert texts(tmp_path / name, text_column="tags") == ["a\nb"] * 300
    with pytest.raises(InputError, match='no column "body"'):
        corpus(tmp_path / name, text_column="body").check()


def test_samples_show_all_plain_columns(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (sample,) = corpus(tmp_path / "a.parquet").samples(3)
    assert sample.kind == "parquet"
    assert sample.rows[0].keys() == {"id", "tags", "text"}


def test_types_that_hold_text(tmp_path: Path) -> None:
    plain = pa.array(WANT)
    kinds = {
        "large": plain.cast(pa.large_string()),
        "view": plain.cast(pa.string_view()),
        "dictionary": plain.dictionary_encode(),
    }
    for name, column in kinds.items():
        file(pa.table({"id": range(300), "text": column}), tmp_path / f"{name}.arrow")
        assert texts(tmp_path / f"{name}.arrow") == WANT


def test_a_date_out_of_range_does_not_cost_the_text(tmp_path: Path) -> None:
    far = pa.array([2**62] * 300, pa.int64()).cast(pa.timestamp("us"))
    pq.write_table(pa.table({"when": far, "text": WANT}), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == WANT


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_broken_files_are_refused_or_keep_the_rows_before(tmp_path: Path, name: str) -> None:
    WRITE[name](pa.Table.from_pylist(ROWS), tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    (tmp_path / "zz.txt").write_text("ok")
    for cut in range(0, len(raw), len(raw) // 40):
        (tmp_path / name).write_bytes(raw[:cut])
        source = corpus(tmp_path)
        found = read(source)
        assert found[:-1] == WANT[: len(found) - 1]
        if source.ledger.skipped:
            assert sum(source.ledger.skipped.values()) == 1
            with pytest.raises(InputError, match=name):
                texts(tmp_path / name)


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_flipped_bytes_never_crash(tmp_path: Path, name: str) -> None:
    WRITE[name](pa.Table.from_pylist(ROWS), tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    (tmp_path / "zz.txt").write_text("ok")
    for at in range(0, len(raw), max(1, len(raw) // 60)):
        spoilt = bytearray(raw)
        spoilt[at] ^= 0xFF
        (tmp_path / name).write_bytes(spoilt)
        assert read(corpus(tmp_path))[-1] == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_memory_stays_flat(tmp_path: Path, name: str) -> None:
    big = pa.concat_tables([pa.Table.from_pylist(ROWS)] * 4000).combine_chunks()
    WRITE[name](big, tmp_path / name)
    count, added = added_memory(tmp_path / name)
    assert count == 1_200_000
    assert added < 150, added  # the index of 17,000 row groups is in it
