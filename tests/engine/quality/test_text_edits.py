"""Text edits: shared lines once, contacts masked, every change counted."""

from __future__ import annotations

import pytest

from engine.quality.boilerplate import Boilerplate
from engine.quality.text_edits import TextEdits

FOOTER = "All rights reserved by the example company."
TEXTS = [
    f"Chapter {n} has words of its own, {n * n}.\n{FOOTER}\nIt ends with {n}." for n in range(9)
]


def shared(texts: list[str]) -> frozenset[int]:
    lines = Boilerplate()
    lines.feed(texts)
    return lines.shared_keys()


def test_a_shared_line_stays_where_it_comes_first() -> None:
    edits = TextEdits(shared(TEXTS))
    found = [edits.apply(text) for text in TEXTS]
    assert found[0] == TEXTS[0]
    assert found[1:] == [text.replace(f"{FOOTER}\n", "") for text in TEXTS[1:]]
    assert edits.counts.lines == 8
    assert edits.counts.line_bytes == 8 * (len(FOOTER) + 1)
    assert edits.counts.emptied_documents == 0


def test_a_text_of_shared_lines_alone_is_emptied() -> None:
    edits = TextEdits(shared([*TEXTS, FOOTER]))
    assert [edits.apply(text) for text in (*TEXTS, f"  {FOOTER} \n")][-1] == ""
    assert edits.counts.emptied_documents == 1


def test_lines_of_two_texts_and_short_lines_stay() -> None:
    texts = ["}\nreturn x\n" * 3 + f"one line that only stands here {n}" for n in range(9)]
    texts += ["a line that stands in two of the texts"] * 2
    edits = TextEdits(shared(texts))
    assert [edits.apply(text) for text in texts] == texts
    assert edits.counts.lines == 0


MASKED = {
    "Write to jane.doe+x@mail.example.co.uk, or not.": "Write to name@example.com, or not.",
    "from 8.8.8.8:53 to 1.1.1.1.": "from 192.0.2.1:53 to 192.0.2.1.",
    "host 2606:4700:4700::1111 is up": "host 2001:db8::1 is up",
}
KEPT = [
    *("127.0.0.1", "10.0.0.7", "192.168.1.20 and ::1", "version 2.11.0", "1.2.3.4.5", "999.1.1.1"),
    *("at 12:30:45", "std::vector::iterator", "a @ b", "@decorator", "user@localhost", "x@y.z"),
    *("10:20:30:40", "3.14.15", "name@example.com", "Gen. 1:1-2:3"),
]


@pytest.mark.parametrize(("text", "masked"), MASKED.items())
def test_contacts_are_replaced_by_reserved_ones(text: str, masked: str) -> None:
    edits = TextEdits(mask=True)
    assert edits.apply(text) == masked
    assert edits.counts.emails + edits.counts.addresses >= 1
    assert edits.apply(masked) == masked


@pytest.mark.parametrize("text", KEPT)
def test_what_is_nobodys_address_stays(text: str) -> None:
    assert TextEdits(mask=True).apply(text) == text


def test_nothing_is_masked_unasked() -> None:
    assert TextEdits().apply("a@example.org 8.8.8.8") == "a@example.org 8.8.8.8"
