"""Columns: rows of parquet and arrow files, a batch at a time, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from engine.corpus.files.members import Member
from engine.corpus.ledger import Fault, Ledger, Row

ERRORS = (OSError, ValueError, RuntimeError, MemoryError, SystemError, KeyError)
"""What pyarrow raises on broken files besides its own."""

BATCH = 64
"""Rows held as Python values at once."""


def column_rows(item: Member, ledger: Ledger, columns: list[str] | None = None) -> Iterator[Row]:
    """Records of a .parquet, .arrow or .feather file, of all columns that hold values or text.

    A row's size is its share of the file. Raises Fault, after the rows before the fault.
    """
    import pyarrow

    begun = ledger.bytes_read
    batches = _parquet if item.kind == "parquet" else _arrow
    number = given = 0
    with item.seekable(ledger) as handle:
        try:
            for batch, share in batches(handle, columns):
                upto = int(item.size * share)
                sizes = _shares(upto - given, batch.num_rows)
                for record, size in zip(batch.to_pylist(), sizes, strict=True):
                    number += 1
                    yield Row(number, _decoded(record), size)
                given = upto
                if not item.packed:
                    ledger.bytes_read = begun + upto
        except (pyarrow.ArrowException, *ERRORS) as error:
            what = " ".join(str(error).split())[:120] or type(error).__name__
            message = f"{item.name} is not a readable {item.kind} file ({what}); write it again"
            raise Fault(f"broken {item.kind}", message) from None


def _decoded(record: dict[str, Any]) -> dict[str, Any]:
    """Bytes as the UTF-8 text that they are; columns of other bytes are left out.

    Hive, Impala and older Spark write strings without saying that they are strings. A record of
    nothing but other bytes keeps its columns' names, for whoever says that there is no text.
    """
    found = {
        key: text
        for key, value in record.items()
        if (text := _text(value) if isinstance(value, bytes) else value) is not None
        or not isinstance(value, bytes)
    }
    return found or dict.fromkeys(record)


def _text(value: bytes) -> str | None:
    try:
        return None if b"\0" in value else value.decode()
    except UnicodeDecodeError:
        return None


def _shares(size: int, count: int) -> list[int]:
    """A number of bytes spread over rows, to the byte."""
    return [size * (i + 1) // count - size * i // count for i in range(count)]


def _parquet(handle: BinaryIO, columns: list[str] | None) -> Iterator[tuple[Any, float]]:
    """Batches, and the share of all rows up to each one's end."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(handle, pre_buffer=False, buffer_size=1 << 20) as source:
        names = _wanted(source.schema_arrow, columns)
        total, done = max(1, source.metadata.num_rows), 0
        for batch in source.iter_batches(BATCH, columns=names, use_threads=False):
            done += batch.num_rows
            yield batch, min(1.0, done / total)


def _arrow(handle: BinaryIO, columns: list[str] | None) -> Iterator[tuple[Any, float]]:
    """The same for the IPC file format, or else the stream format (``datasets`` writes it)."""
    import pyarrow

    size = max(1, handle.seek(0, 2))
    handle.seek(0)
    magic = handle.read(6)
    handle.seek(0)
    if magic == b"ARROW1":
        reader = pyarrow.ipc.open_file(handle)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        reader = pyarrow.ipc.open_stream(handle)
        batches = iter(reader)
    names = _wanted(reader.schema, columns)
    for batch in batches:
        upto = min(1.0, handle.tell() / size)
        chosen = batch.select(names)
        chosen.validate(full=True)  # offsets that point outside would read foreign memory
        for at in range(0, chosen.num_rows, BATCH):
            yield chosen.slice(at, BATCH), upto


def _wanted(schema: Any, columns: list[str] | None) -> list[str]:
    """The columns to read: the named ones, or all that are plain values, text, or bytes."""
    if columns is not None:
        return [name for name in schema.names if name in columns]
    return [field.name for field in schema if _plain(field.type) or _is_bytes(field.type)]


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _plain(kind: Any) -> bool:
    """Text, numbers, truth values, and lists and structs of them; no bytes, no dates."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_struct(kind):
        return all(_plain(kind.field(i).type) for i in range(kind.num_fields))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _plain(kind.value_type)
    if types.is_map(kind):
        return _plain(kind.key_type) and _plain(kind.item_type)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    )


def first_records(item: Member, count: int) -> list[dict[str, Any]]:
    """The first records with all their columns. Raises Fault."""
    return [row.value for row in islice(column_rows(item, Ledger()), count)]
