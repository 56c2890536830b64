"""Rows: the right reader for an item, and which columns of its records hold the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


READERS: dict[str, Callable[[Member, Ledger, str | None, int | None], Iterator[Row]]] = {
    "lines": line_rows,
    "json": json_rows,
    "table": table_rows,
    "code": code_rows,
    "page": page_rows,
    "text": text_rows,
}


def rows_of(
    item: Member,
    ledger: Ledger,
    source: Source,
    limit: int | None = None,
    all_columns: bool = False,
) -> Iterator[Row]:
    """Rows of an item by its kind; with ``limit``, of about its first bytes. Raises Fault."""
    asked = source.encoding
    if item.kind in ("parquet", "arrow"):
        return column_rows(item, ledger, None if all_columns else _text_columns(item, source))
    if item.kind in ("pdf", "docx"):
        return paper_rows(item, ledger)
    return READERS[item.kind](item, ledger, asked, limit)


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
