"""clean(): nothing a terminal obeys, nothing a reader is deceived by, never markup."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpt_tui.safe import clean, clean_line

HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from(
            "\x1b\x9b\x9d\x07\x00\r\n\t\x7f\u202e\u2066\u200b\u200d\ufeff[]m;0123\ud800"
        ),
    )
)


@given(HOSTILE)
def test_output_holds_no_control_but_newline_and_tab(text: str) -> None:
    for char in clean(text):
        category = unicodedata.category(char)
        assert char in "\n\t" or category not in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
        assert category != "Cf" or char == "\u200d"


@given(HOSTILE)
def test_output_encodes_and_cleaning_again_changes_nothing(text: str) -> None:
    once = clean(text)
    once.encode("utf-8")
    assert clean(once) == once
    assert type(once) is str


@given(HOSTILE, st.integers(0, 50))
def test_limit_holds(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= limit
    assert len(clean_line(text, limit)) <= limit


@given(HOSTILE)
def test_clean_line_is_one_line(text: str) -> None:
    assert not set("\n\t\r") & set(clean_line(text))


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_printable_ascii_is_untouched(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text",
    ["naïve façade", "日本語のテキスト", "नमस्ते", "שלום עולם", "👩\u200d🚀 fly", "e\u0301"],
)
def test_languages_survive(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛red␛"),
        ("\x1b]0;title\x07x", "␛x"),
        ("\x1b]52;c;aGk=\x1b\\x", "␛x"),
        ("\x9b2Jx", "␛x"),
        ("a\x00b\x08c", "a␀b␈c"),
        ("user\u202egpj.exe", "user\ufffdgpj.exe"),
        ("pass\u200bword", "pass\ufffdword"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("[bold]x[/bold] [link=y]", "[bold]x[/bold] [link=y]"),
    ],
)
def test_known_tricks(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_stacked_marks_are_capped() -> None:
    assert len(clean("a" + "\u0301" * 500)) < 10


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    assert clean("x" * 50_000_000, 10) == "xxxxxxx..."
