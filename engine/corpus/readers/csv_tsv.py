"""Tables: rows of .csv and .tsv files as records, quoted line ends and all."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from engine.corpus.files.members import Member
from engine.corpus.ledger import Fault, Ledger, Row
from engine.corpus.readers.decoding import byte_length, decoded

DELIMITERS = (",", ";", "\t", "|")
SNIFFED = 200
"""Lines looked at to find the delimiter."""

HEADER = 100
"""A cell of a header is no longer than this, in characters; else the table has none."""

LONGEST_CELL = 16 << 20
"""Characters of a cell or a line at most; csv holds four bytes for each."""


class _Lines:
    """Lines of a text in blocks, their ends kept, with the bytes taken since the last look."""

    def __init__(self, blocks: Iterator[str], encoding: str, name: str) -> None:
        self.encoding, self.name = encoding, name
        self.taken = 0
        self._narrow = not encoding.startswith(("utf-16", "utf-32"))
        self._batches: Iterator[list[str]] = self._split(blocks)

    def _split(self, blocks: Iterator[str]) -> Iterator[list[str]]:
        rest = ""
        for block in blocks:
            lines = io.StringIO(rest + block, newline="").readlines()
            rest = lines.pop() if lines else ""
            yield lines
            if len(rest) > LONGEST_CELL:
                raise self.fault(f"a line is longer than {LONGEST_CELL >> 20} MB")
        # A lone CR may have been the first half of a CRLF; what is left may hold both.
        yield io.StringIO(rest, newline="").readlines()

    def __iter__(self) -> Iterator[str]:
        for batch in self._batches:
            for line in batch:
                if self._narrow and line.isascii():
                    self.taken += len(line)
                else:
                    self.taken += byte_length(line, self.encoding)
                yield line

    def ahead(self, count: int) -> list[str]:
        """The next lines, which stay where they are."""
        first: list[str] = []
        while len(first) < count and (batch := next(self._batches, None)) is not None:
            first += batch
        self._batches = chain([first], self._batches)
        return first[:count]

    def passed(self) -> int:
        """Bytes taken since this was last asked."""
        taken, self.taken = self.taken, 0
        return taken

    def fault(self, what: str) -> Fault:
        return Fault("broken table", f"{self.name} is no readable table: {what}; mend the file")


def table_rows(
    item: Member, ledger: Ledger, asked: str | None = None, limit: int | None = None
) -> Iterator[Row]:
    """Records of a table, keyed by its header; a row that does not fit it is counted.

    A row with more cells than the header has columns is not read: an unquoted delimiter in the
    text would cut it short. Raises Fault.
    """
    text = decoded(item, ledger, asked, limit, records=True)
    ledger.encoded(text.encoding, item.name)
    lines = _Lines(text.blocks, text.encoding, item.name)
    delimiter = "\t" if ".tsv" in item.name.lower() else delimiter_of(lines.ahead(SNIFFED))
    csv.field_size_limit(LONGEST_CELL)
    cells = csv.reader(iter(lines), delimiter=delimiter)
    header: list[str] = []
    wrong, first = 0, 0
    while (row := _next(cells, lines)) is not None:
        if not row:
            continue  # a blank line
        if not header:
            header = header_of(row)
            if header:
                continue
            header = [str(number) for number in range(1, len(row) + 1)]
            ledger.note(f"{item.name} has no header line; its columns are numbered")
        size = lines.passed()
        if len(row) > len(header):
            ledger.skip("row with too many cells", size)
            wrong, first = wrong + 1, first or cells.line_num
            continue
        yield Row(cells.line_num, dict(zip(header, row, strict=False)), size)
    if wrong:
        what = f"has more cells than columns; {wrong:,} such rows skipped (quote the text)"
        ledger.note(f"{item.name}:{first} {what}")


def _next(cells: Iterator[list[str]], lines: _Lines) -> list[str] | None:
    try:
        return next(cells, None)
    except csv.Error as error:
        raise lines.fault(str(error)) from None


def delimiter_of(sample: list[str]) -> str:
    """The delimiter that gives the most equal rows of more than one cell; a comma if none does."""

    def rank(delimiter: str) -> tuple[int, int]:
        rows = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        width, count = Counter(rows).most_common(1)[0] if rows else (1, 0)
        return (count, width) if width > 1 else (0, 0)

    try:
        ranks = {delimiter: rank(delimiter) for delimiter in DELIMITERS}
    except csv.Error:
        return ","
    best = max(DELIMITERS, key=lambda delimiter: ranks[delimiter])
    return best if ranks[best][0] else ","


def header_of(row: list[str]) -> list[str]:
    """The first row as names of columns; empty where it is a row of text or numbers."""
    filled = [cell.strip() for cell in row if cell.strip()]
    if any(len(cell) > HEADER for cell in filled) or all(map(_is_number, filled)):
        return []
    seen: Counter[str] = Counter()
    names = []
    for cell in row:
        seen[cell] += 1
        names.append(cell if seen[cell] == 1 else f"{cell} ({seen[cell]})")
    return names


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
