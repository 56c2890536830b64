"""Short ways to read a file in tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.corpus.corpus import Corpus
from engine.recipe.sections import Source

PROSE = "The river bends where the stone is soft, and nobody remembers why it was named. "


def corpus(path: Path | str, **more: Any) -> Corpus:
    return Corpus(Source(path=str(path), **more))


def texts(path: Path | str, **more: Any) -> list[str]:
    return [document.text for document in corpus(path, **more).documents()]


def read(source: Corpus) -> list[str]:
    """Checked and read, and the ledger balances."""
    source.check()
    found = [document.text for document in source.documents()]
    balances(source)
    return found


def balances(source: Corpus) -> None:
    """The law of the ledger, after a full reading."""
    ledger = source.ledger
    assert ledger.bytes_read == ledger.bytes_total
    assert ledger.bytes_text + ledger.skipped_bytes == ledger.bytes_found
    assert min(ledger.bytes_text, *ledger.skipped_sizes.values(), 0) >= 0
    assert set(ledger.skipped_sizes) == set(ledger.skipped)


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


MEASURE = """
import sys
from pathlib import Path
import chardet, pyarrow, resiliparse.extract.html2text
from engine.corpus.corpus import Corpus
from engine.errors import InputError
from engine.recipe.sections import Source

def peak():
    # Not getrusage: its peak is inherited from the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

count, before = 0, peak()
try:
    source = Corpus(Source(path=sys.argv[1]))
    source.check()
    for _ in source.documents():
        count += 1
except InputError:
    count = -1
print(count, peak() - before)
"""


def added_memory(path: Path) -> tuple[int, float]:
    """Documents of a file (-1: refused), and MB at the peak of reading it, libraries aside."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, added = done.stdout.split()
    return int(count), float(added)
