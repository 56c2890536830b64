"""Rows of the GPU benchmark, written one by one: a part that ends early keeps what it found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One check (``ok`` is true or false) or one figure (``ok`` is None)."""

    part: str
    what: str
    value: float | None = None
    unit: str = ""
    ok: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What a part writes to, one line a row."""

    path: Path
    part: str

    def figure(self, what: str, value: float, unit: str, note: str = "") -> None:
        """A measurement."""
        self._add(Row(self.part, what, value, unit, None, note))

    def check(
        self, what: str, ok: bool, value: float | None = None, unit: str = "", note: str = ""
    ) -> None:
        """Something that must hold."""
        self._add(Row(self.part, what, value, unit, bool(ok), note))

    def skip(self, what: str, why: str) -> None:
        """Something that cannot be tried here."""
        self._add(Row(self.part, what, note=f"not tried: {why}"))

    def _add(self, row: Row) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")


def read(path: Path) -> list[Row]:
    """The rows of a part; a line that was cut short is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return rows


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| part | what | value | | note |", "|---|---|---|---|---|"]
    for row in rows:
        state = {True: "holds", False: "**FAILS**", None: ""}[row.ok]
        value = "" if row.value is None else f"{row.value:,.4g} {row.unit}".strip()
        note = row.note.replace("|", "/").replace("\n", " ")
        lines.append(f"| {row.part} | {row.what} | {value} | {state} | {note} |")
    return "\n".join(lines) + "\n"
