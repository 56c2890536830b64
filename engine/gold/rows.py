"""Rows of a gold set or of SFT data: the corpus's own readers, but nothing may be skipped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.corpus.files.kinds import KINDS
from engine.corpus.files.members import Member, members_of
from engine.corpus.ledger import Fault, Ledger, shown
from engine.corpus.readers.registry import rows_of
from engine.errors import InputError
from engine.recipe.sections import Source

FORMATS = "jsonl, json, csv, tsv or parquet"
LISTS = ("choices", "tags", "messages")
"""Fields that hold lists; in a table, which has only text, as JSON."""


class GoldRow(NamedTuple):
    """One record, with the place that an error names."""

    where: str
    values: dict[str, Any]
    """By field: columns are renamed, and lists of a table read."""


def records(path: Path, columns: Mapping[Any, str]) -> Iterator[GoldRow]:
    """Records of a file in any format of ``FORMATS``, packed or not.

    ``columns`` names the column of a field where it is another. A suffix that is none of these
    is read as jsonl. Raises InputError, also where a line cannot be read: an item that is left
    out unsaid changes what is measured.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path in the recipe's [gate]")
    if not path.is_file():
        raise InputError(f"{path} cannot be read (it is no file); give a {FORMATS} file")
    ledger = Ledger()
    try:
        for item in members_of(path, path.stat().st_size, True, ledger):
            yield from _item_records(item, path, columns, ledger)
    except Fault as fault:
        raise InputError(str(fault)) from None
    if ledger.skipped:
        what = ledger.notes[-1].partition(";")[0]
        raise InputError(f"{what}; a gold set or SFT file must be read whole: mend it")


def _item_records(
    item: Member, path: Path, columns: Mapping[Any, str], ledger: Ledger
) -> Iterator[GoldRow]:
    """``ledger`` hears of every row that the reader leaves out."""
    if not KINDS[item.kind].records:
        item = dataclasses.replace(item, kind="lines")
    unit = KINDS[item.kind].unit
    for row in rows_of(item, ledger, Source(path=str(path)), all_columns=True):
        if ledger.skipped:
            continue  # to the end: the reader then says which line it left out
        where = f"{shown(item.name)}, {unit} {row.line}"
        if not isinstance(row.value, dict):
            raise InputError(f"{where} is not a JSON object; give it prompt and completion")
        yield GoldRow(where, _fields(row.value, columns, where, item.kind == "table"))


def _fields(
    row: dict[str, Any], columns: Mapping[Any, str], where: str, table: bool
) -> dict[str, Any]:
    missing = next((name for name in columns.values() if name not in row), None)
    if missing is not None:
        keys = ", ".join(map(str, list(row)[:8])) or "none"
        raise InputError(f"{where} has no column '{missing}' (its columns: {keys}); correct [gate]")
    taken = set(columns.values())
    values = {key: value for key, value in row.items() if key not in taken and key not in columns}
    values |= {field: row[name] for field, name in columns.items()}
    if table:
        values |= {key: _list(values[key], key, where) for key in LISTS if values.get(key)}
        values = {key: value for key, value in values.items() if value != "" or key in REQUIRED}
    return values


REQUIRED = ("prompt", "completion")
"""An empty cell of these is a fault; of any other column it means nothing."""


def _list(cell: str, key: str, where: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        if key == "tags":
            return [cell]
        message = f"'{key}' must be a list in JSON, as in " + '["yes", "no"]'
        raise InputError(f"{where}: {message}; correct the cell") from None
