"""The report as text: rendered, as wide as asked, and nothing in it is obeyed."""

from __future__ import annotations

import pytest

from cpt_tui.drawing.bars import Mark, interval_scale
from cpt_tui.drawing.markdown import markdown_text
from tests.cpt_tui.measured import EVIL

PAGE = r"""# clinic: EARNED

Run `clinic-1`, a name\_with [bold red]markup[/] and a [link](javascript:x).

![the interval](report-interval.svg)

| stage | time |
| --- | --- |
| train \| gate | 12 s |

- first
- second
"""


def test_marks_of_markdown_are_gone_and_its_words_stay() -> None:
    said = markdown_text(PAGE, 78).plain
    for word in ("clinic: EARNED", "name_with [bold red]markup[/]", "train | gate", "second"):
        assert word in said
    for mark in ("#", "![", "\\", "| ---"):
        assert mark not in said
    assert "(picture: the interval)" in said


@pytest.mark.parametrize("width", [40, 78, 110])
def test_lines_fit(width: int) -> None:
    lines = markdown_text(PAGE * 3, width).plain.split("\n")
    assert max(map(len, lines)) <= width


def test_nothing_of_a_stranger_reaches_the_terminal() -> None:
    text = markdown_text(f"# {EVIL}\n\n{EVIL}\n\n```\n{EVIL}\n```\n", 78)
    assert all(char == "\n" or char.isprintable() for char in text.plain)
    assert not any(getattr(span.style, "link", None) for span in text.spans)


def test_in_ascii_it_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPT_ASCII", "1")
    assert markdown_text(PAGE, 78).plain.isascii()


def test_names_under_an_interval_stand_in_order_in_one_row() -> None:
    marks = [Mark(x, f"{x:+g}") for x in (-2.0, 0.0, 2.0)]
    _, names, *more = interval_scale((-60.0, 1.0, 60.0), marks, 60, (-62.0, 62.0))
    assert names.split() == ["-2", "+0", "+2"]
    assert more == []
