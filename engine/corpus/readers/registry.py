"""Rows: the right reader for an item, and which columns of its records hold the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.corpus.fields import Layout, layout_of
from engine.corpus.files.members import Member
from engine.corpus.ledger import Fault, Ledger, Row
from engine.corpus.readers.csv_tsv import table_rows
from engine.corpus.readers.json_file import json_rows
from engine.corpus.readers.jsonl import line_rows
from engine.corpus.readers.parquet_arrow import column_rows, first_records
from engine.corpus.readers.pdf_docx import paper_rows
from engine.corpus.readers.plain_text import code_rows, page_rows, text_rows
from engine.recipe.sections import Source

PEEK = 50
"""Records looked at to find the text column of a file."""


@dataclass(frozen=True)
class ReadRequest:
    """How an item is to be read; a reader takes of it what it can use."""

    source: Source
    limit: int | None = None
    """About so many first bytes."""
    all_columns: bool = False
    """Not those of the text alone."""


Reader = Callable[[Member, Ledger, ReadRequest], Iterator[Row]]


def _decoded(
    rows: Callable[[Member, Ledger, str | None, int | None], Iterator[Row]],
) -> Reader:
    """A reader of bytes that are text in some encoding."""
    return lambda item, ledger, asked: rows(item, ledger, asked.source.encoding, asked.limit)


def _columns(item: Member, ledger: Ledger, asked: ReadRequest) -> Iterator[Row]:
    """A reader that leaves the columns alone which nobody asked for."""
    wanted = None if asked.all_columns else _text_columns(item, asked.source)
    return column_rows(item, ledger, wanted)


def _papers(item: Member, ledger: Ledger, asked: ReadRequest) -> Iterator[Row]:
    return paper_rows(item, ledger)


READERS: dict[str, Reader] = {
    "text": _decoded(text_rows),
    "lines": _decoded(line_rows),
    "json": _decoded(json_rows),
    "table": _decoded(table_rows),
    "parquet": _columns,
    "arrow": _columns,
    "page": _decoded(page_rows),
    "code": _decoded(code_rows),
    "pdf": _papers,
    "docx": _papers,
}
"""By the name of the kind (``files/kinds.py``)."""


def rows_of(
    item: Member,
    ledger: Ledger,
    source: Source,
    limit: int | None = None,
    all_columns: bool = False,
) -> Iterator[Row]:
    """Rows of an item by its kind; with ``limit``, of about its first bytes. Raises Fault."""
    return READERS[item.kind](item, ledger, ReadRequest(source, limit, all_columns))


def _text_columns(item: Member, source: Source) -> list[str] | None:
    """The columns that hold text, by the first records; None where all must be looked at."""
    first = first_records(item, PEEK)
    layout = layout_of(first, source.text_column) if first else None
    return list(layout.columns) if layout else None


def layout_for(values: list[Any], name: str, column: str | None, ledger: Ledger) -> Layout | None:
    """The layout of a file's records; a file of records without text is a fault."""
    records = [value for value in values if isinstance(value, dict)]
    if not records:
        return None
    layout = layout_of(records, column)
    if layout:
        ledger.text_column = ledger.text_column or layout.name
        return layout
    if len(records) < len(values):
        return None
    columns = ", ".join(dict.fromkeys(str(key) for record in records for key in record))[:200]
    if column is not None:
        message = f'{name} has no column "{column}"; its columns are {columns or "none"}'
        raise Fault("no such column", message)
    message = f"{name} has no column of text (columns: {columns or 'none'})"
    raise Fault("no text column", f"{message}; name one with text_column")
