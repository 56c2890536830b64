"""Mojibake: counted, named, and repaired only where the recipe says so."""

from __future__ import annotations

import json
from pathlib import Path

import ftfy
import pytest
from ftfy.badness import is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus.readers.mojibake import is_mojibake, repair
from tests.engine.corpus.sources import PROSE, corpus, jsonl, read
from tests.material import MATERIAL, needs_material

BAD = "Sheâ€™d said â€œnoâ€\x9d to the cafÃ© in MÃ¼nchen"
MEANT = "She’d said “no” to the café in München"
FINE = ["plain", "café in München – “no”", "Ещё ты дремлешь", "春はあけぼの。", "Ã", "naïve œuvre"]


def test_found_and_left_alone_unless_asked(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": PROSE}, {"text": BAD}, {"text": FINE[1]}])
    source = corpus(path)
    assert read(source)[1] == BAD
    assert source.ledger.mojibake_documents == 1
    assert "a.jsonl:2" in source.ledger.notes[0]
    assert "repair_mojibake" in source.ledger.notes[0]
    mended = corpus(path, repair_mojibake=True)
    assert read(mended) == [PROSE.strip(), MEANT, FINE[1]]
    assert mended.ledger.mojibake_documents == 1
    assert "repaired" in mended.ledger.notes[0]
    assert mended.fingerprint() != source.fingerprint()


@pytest.mark.parametrize("text", FINE)
def test_good_text_is_not_touched(text: str) -> None:
    assert not is_mojibake(text)
    assert repair(text) == text


ODD = st.sampled_from("ÃÂâ€™œ©É“”Ð°Ñ\x9d ae.1ÎÏ€√‚вЂŒ°×²")


@settings(max_examples=300, deadline=None)
@given(st.text(st.one_of(ODD, st.characters(max_codepoint=0x2FFF)), max_size=40))
def test_the_quick_look_misses_nothing_that_ftfy_finds(text: str) -> None:
    lines = text.split("\n")
    slow = any(is_bad(line) and ftfy.fix_encoding(line) != line for line in lines)
    assert is_mojibake(text) == slow


@needs_material
def test_the_quick_look_agrees_with_ftfy_on_its_own_cases() -> None:
    assert MATERIAL is not None
    for path in (MATERIAL / "awkward/mojibake_ftfy/test-cases").glob("*.json"):
        for case in json.loads(path.read_text()):
            text = case["original"]
            slow = any(ftfy.fix_encoding(line) != line for line in text.split("\n"))
            assert is_mojibake(text) == slow, text
