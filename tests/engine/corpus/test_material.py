"""Real awkward material: every part becomes what was written down before, and nothing crashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.corpus.ledger import Ledger
from engine.corpus.readers.csv_tsv import table_rows
from tests.benchmarks import reading
from tests.benchmarks.reading import EXPECTED, READ, REFUSED, outcome
from tests.engine.corpus.sources import texts
from tests.material import MATERIAL, needs_material

AWKWARD = MATERIAL / "awkward" if MATERIAL else Path("nowhere")

pytestmark = needs_material


@pytest.mark.parametrize("pattern", EXPECTED)
def test_every_part_becomes_what_was_expected(pattern: str) -> None:
    paths = sorted(AWKWARD.glob(pattern))
    assert paths
    for path in paths:
        given = outcome(path)
        assert given.kind == EXPECTED[pattern], (path.name, given)
        assert given.kind == REFUSED or given.documents
        assert "\n" not in given.detail


def test_encodings_are_right_or_refused() -> None:
    """The one other text: U+2212 or U+FF0D for one and the same minus sign of Shift JIS."""
    counts, others = reading.encodings(AWKWARD / "encodings")
    assert counts.total() >= 40
    assert counts["same text"] >= 0.9 * counts.total()
    assert [line for line in others if line.startswith("other")] == [
        "other text: SHIFT_JIS/_chromium_Shift-JIS_with_no_encoding_specified.html shift_jis read "
        "as cp932: 0.18% of the characters, {('−', '－'): 1}"
    ]


def test_tables_equal_their_truth() -> None:
    """Two differ from it in the material itself, and only there: its git turned CRLF into LF,
    and one truth has another telephone number than its table."""
    verdicts = dict(reading.csv_truth(AWKWARD / "csv_spectrum"))
    assert len(verdicts) == 12
    assert {name for name, equal in verdicts.items() if not equal} == {
        "location_coordinates",
        "newlines_crlf",
    }


def test_tables_with_their_line_ends_back(tmp_path: Path) -> None:
    raw = (AWKWARD / "csv_spectrum/csvs/newlines_crlf.csv").read_bytes()
    (tmp_path / "a.csv").write_bytes(raw.replace(b"\n", b"\r\n"))
    truth = json.loads((AWKWARD / "csv_spectrum/json/newlines_crlf.json").read_text())
    item = reading.text_item(tmp_path / "a.csv")
    assert [row.value for row in table_rows(item, Ledger())] == truth


def test_valid_json_is_read_and_invalid_json_is_refused() -> None:
    """Read although its name says invalid: one object after the other, as some tools write."""
    for path in sorted((AWKWARD / "json_malformed").glob("*.json")):
        given = outcome(path)
        if path.name.startswith("n_") and "object_with_trailing_garbage" not in path.name:
            assert given.kind == REFUSED, path.name
            assert path.name in given.detail
        elif path.name.startswith("y_") and given.kind == REFUSED:
            reasons = ("no column of text", "holds no text")
            assert any(reason in given.detail for reason in reasons), given
            assert not given.documents


def test_naughty_strings_survive() -> None:
    want = json.loads((AWKWARD / "naughty_strings/blns.json").read_text())
    found = texts(AWKWARD / "naughty_strings/blns.json")
    assert len(found) >= sum(1 for text in want if text.strip()) - 3
    assert outcome(AWKWARD / "naughty_strings/blns.json").kind == READ
