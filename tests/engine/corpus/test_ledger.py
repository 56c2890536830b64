"""The ledger's law: what became text and what was skipped make up all that was found, to the byte.

The expected skips are computed here, from how the files were made, not from the reader.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus.ledger import Fault, Ledger, shown
from tests.engine.corpus.sources import PROSE, corpus, read

GOOD = {"text": PROSE, "n": 1}

LINE = st.sampled_from(
    [
        (json.dumps(GOOD), ""),
        (json.dumps({"text": "größer"}, ensure_ascii=False), ""),
        ("{broken", "bad JSON line"),
        ('{"n": 5}', "no text in the record"),
        ('{"text": "\\u0000 \\ufeff"}', "empty text"),
        ("", ""),
    ]
)
LINES = st.lists(LINE, max_size=12)

FILE = st.one_of(
    LINES.map(lambda lines: ("lines", lines)),
    LINES.map(lambda lines: ("packed", lines)),
    LINES.map(lambda lines: ("json", [line for line in lines if line[0] and line[0] != "{broken"])),
    st.sampled_from(
        [
            ("text", PROSE.encode(), ""),
            ("text", "größer ".encode() * 900, ""),
            ("text", b"", "empty"),
            ("text", b"\x00\x01\x02" * 50, "binary"),
            ("text", (PROSE.encode() + b"\xff"), "not UTF-8 (encoding unknown)"),
            ("unknown", b"anything", "unknown type"),
            ("parquet", b"PAR1 no", "broken parquet"),
            ("gz", b"\x1f\x8b\x08 cut", "broken archive"),
        ]
    ),
)


def put(folder: Path, number: int, made: tuple[object, ...], skips: Counter[str]) -> int:
    """Write one file of a generated corpus; its content's size, and what should be skipped."""
    kind, body, *why = made
    if kind in ("lines", "packed", "json"):
        assert isinstance(body, list)
        pieces = [(text.encode(), reason) for text, reason in body]
        if kind == "json":
            raw = b"[" + b",".join(text for text, _ in pieces) + b"]"
            # A value ends with the comma or the bracket after it; the first begins with a bracket.
            for at, (text, reason) in enumerate(pieces):
                skips[reason] += len(text) + 1 + (at == 0)
        else:
            raw = b"".join(text + b"\n" for text, _ in pieces)
            for text, reason in pieces:
                skips[reason] += len(text) + 1
        first = f"{number}.json" if kind == "json" else f"{number}.jsonl"
        packed = kind == "packed"
        (folder / (first + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)
        return len(raw)
    assert isinstance(body, bytes)
    suffix = {"text": ".txt", "unknown": ".bin", "parquet": ".parquet", "gz": ".txt.gz"}[str(kind)]
    (folder / f"{number}{suffix}").write_bytes(body)
    skips[str(why[0])] += len(body)
    return len(body)


def readable(made: tuple[object, ...]) -> bool:
    """A file of lines of which at least one good one comes first: its column is found."""
    kind, body, *_ = made
    if kind not in ("lines", "packed", "json"):
        return True
    assert isinstance(body, list)
    return bool(body) and body[0] == (json.dumps(GOOD), "")


@settings(max_examples=150, deadline=None)
@given(st.lists(FILE.filter(readable), min_size=1, max_size=6))
def test_every_byte_is_text_or_skipped_with_its_reason(made: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "z.txt").write_text("one good file")
        skips: Counter[str] = Counter()
        total = len("one good file")
        for number, one in enumerate(made):
            total += put(folder, number, one, skips)
        source = corpus(folder)
        read(source)
        ledger = source.ledger
        del skips[""]
        want = {reason: size for reason, size in skips.items() if size}
        got = {reason: size for reason, size in ledger.skipped_sizes.items() if size}
        assert got == want
        assert ledger.bytes_found == total
        assert ledger.bytes_text == total - sum(want.values())


def test_a_file_that_breaks_off_loses_what_came_after(tmp_path: Path) -> None:
    good = json.dumps(GOOD)
    (tmp_path / "a.json").write_text(f'[{good},{{"n": 1}},{good},{{"text": ')
    (tmp_path / "b.txt").write_text("good")
    source = corpus(tmp_path)
    assert len(read(source)) == 3
    size = (tmp_path / "a.json").stat().st_size
    used = 2 * (len(good) + 1) + 1
    assert source.ledger.skipped_sizes == {
        "no text in the record": len('{"n": 1},'),
        "malformed JSON": size - used - len('{"n": 1},'),
    }


def test_shown_keeps_a_name_on_one_line() -> None:
    assert shown("a\nb\x1b[31m\x9b\udcff") == "a\\x0ab\\x1b[31m\\x9b\ufffd"


def test_losing_never_goes_below_nothing() -> None:
    ledger = Ledger()
    place = ledger.place()
    ledger.used = 500
    ledger.lose(Fault("x", "a file that shrank"), place, 100, False)
    assert ledger.bytes_text + ledger.skipped_bytes == ledger.bytes_found == 500
