"""Quality: shared lines, odd words, languages, gzip ratio, on clean and on spoilt text."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.quality import boilerplate
from engine.quality.boilerplate import Boilerplate
from engine.quality.languages import _names, language_of, languages
from engine.quality.odd_words import is_of_words, odd_characters_share, odd_words_share
from engine.quality.text_quality import SAMPLE, TextQuality, gzip_ratio
from tests.material import MATERIAL, needs_material

FOOTER = "All rights reserved by the example company of somewhere."
CLEAN = 0.01
"""The threshold of the decision: clean text stays below."""


def shared(texts: list[str]) -> Boilerplate:
    found = Boilerplate()
    for at in range(0, len(texts), 10):
        found.feed(texts[at : at + 10])
    return found


def body(seed: int, lines: int = 5) -> str:
    rng = random.Random(seed)
    return "\n".join("".join(rng.choices(string.ascii_lowercase, k=60)) for _ in range(lines))


def test_boilerplate_is_counted_in_documents_and_bytes() -> None:
    texts = [f"{body(n)}\n  {FOOTER}\n{FOOTER}" for n in range(20)] + [body(99)]
    found = shared(texts)
    assert [(line.text, line.documents) for line in found.lines()] == [(FOOTER, 20)]
    size = sum(len(text.encode()) for text in texts)
    assert found.share == pytest.approx(40 * len(FOOTER) / size)


def test_two_documents_and_short_lines_are_no_boilerplate() -> None:
    assert shared([f"{body(n)}\n{FOOTER}" for n in range(2)]).share == 0
    assert shared([f"{body(n)}\n}}\nreturn x" for n in range(50)]).lines() == []
    assert Boilerplate().share == 0


def test_boilerplate_survives_a_full_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boilerplate, "CAPACITY", 500)
    found = shared([f"{body(n)}\n{FOOTER}" for n in range(1000)])
    assert found.lines()[0].documents == 1000
    assert len(found._once) <= 560


def spoil(text: str, rate: float) -> str:
    """Random wrong characters."""
    rng = random.Random(0)
    wrong = [rng.choice(string.ascii_lowercase) if c.isalpha() and rng.random() < rate else c
             for c in text]  # fmt: skip
    return "".join(wrong)


def read(name: str, size: int = 400_000) -> str:
    assert MATERIAL is not None
    paths = sorted(p for p in (MATERIAL / name).rglob("*") if p.suffix in (".txt", ".md"))
    parts: list[str] = []
    for path in paths[1:]:
        parts.append(path.read_text()[:60_000])
        if sum(map(len, parts)) > size:
            break
    return "\n".join(parts)[:size]


@needs_material
@pytest.mark.parametrize("name", ["general/novels", "general/wikitext2", "domains/legal"])
def test_clean_text_is_below_the_threshold_and_spoilt_text_above(name: str) -> None:
    text = read(name)
    assert odd_words_share([text]) < CLEAN / 2
    assert odd_words_share([spoil(text, 0.02)]) > CLEAN
    assert odd_words_share([spoil(text, 0.05)]) > 2 * CLEAN
    assert odd_words_share([spoil(text, 0.15)]) > 2 * CLEAN


def test_code_terms_and_names_are_no_odd_words() -> None:
    code = "".join(
        p.read_text() for p in sorted(Path(boilerplate.__file__).parents[1].glob("**/*.py"))
    )
    assert odd_words_share([code]) < CLEAN
    drugs = "Nivolumab, CYP2D6, p53, B12, interleukin-2 and 2-(4-isobutylphenyl)propanoic acid. "
    assert odd_words_share([drugs * 50]) == 0
    assert (
        odd_words_share([" ".join(f"Protein{n}X binds gene{n} and mRNA" for n in range(500))]) == 0
    )


def test_hashes_and_digits_in_words_are_odd() -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices("0123456789abcdef", k=32)) for _ in range(100)]
    assert odd_words_share([" ".join(words)]) > 0.9
    assert odd_words_share(["The h0use is l1ttle and the d0or is cl0sed"]) == pytest.approx(4 / 9)


@pytest.mark.parametrize(
    ("text", "share"), [("ab\ufffdc", 0.25), ("a\x00\x07b", 0.5), ("a\tb\nc", 0), ("", 0)]
)
def test_odd_characters(text: str, share: float) -> None:
    assert odd_characters_share([text]) == share


SENTENCES = {
    "English": "The committee decided that the bridge should be repaired before winter comes.",
    "German": "Der Ausschuss beschloss, dass die Brücke noch vor dem Winter repariert wird.",
    "French": "Le comité a décidé que le pont devait être réparé avant l'arrivée de l'hiver.",
    "Spanish": "El comité decidió que el puente debía repararse antes de que llegue el invierno.",
    "Russian": "Комитет решил, что мост следует отремонтировать до наступления зимы.",
    "Chinese": "委员会决定在冬天到来之前修好这座桥，并请工程师提出方案。",
    "Japanese": "委員会は冬が来る前に橋を修理することを決めました。",
    "Arabic": "قررت اللجنة إصلاح الجسر قبل حلول فصل الشتاء في المدينة.",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_languages_by_name(name: str) -> None:
    assert language_of(SENTENCES[name]) == name


def test_every_language_of_the_detector_has_a_name() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    codes = set(LanguageIdentifier.from_model_file(MODEL_FILE).nb_classes)
    assert codes - set(_names()) == {"zxx"}  # no language


def test_language_mix_is_weighted_and_sums_to_one() -> None:
    found = languages([(SENTENCES["German"], 3.0), (SENTENCES["English"], 1.0), ("12 34", 0.001)])
    assert [(one.name, round(one.share, 2)) for one in found] == [
        ("German", 0.75),
        ("English", 0.25),
        ("unknown", 0.0),
    ]
    assert sum(one.share for one in found) == pytest.approx(1)
    assert languages([]) == []


def test_gzip_ratio() -> None:
    noise = random.Random(0).randbytes(9000).hex()
    assert gzip_ratio([FOOTER * 100]) < 0.05
    assert 0.5 < gzip_ratio([noise]) < 0.7
    assert gzip_ratio([]) == 0


@pytest.mark.parametrize("order", [list, lambda numbers: list(reversed(numbers))])
def test_the_sample_does_not_depend_on_the_order(order: Callable[[range], list[int]]) -> None:
    quality = TextQuality()
    for n in order(range(3 * SAMPLE)):
        text = SENTENCES["German"] if n >= 2 * SAMPLE else SENTENCES["English"]
        quality.feed([text], [n])
    found = quality.measure()
    assert [one.name for one in found.languages] == ["German"]
    assert found.documents == 3 * SAMPLE
    assert "1,000 documents" in found.notes[0]


def test_nothing_is_measured_without_text() -> None:
    found = TextQuality().measure()
    assert (found.gzip_ratio, found.languages, found.notes) == (0, [], [])


NO_WORDS = {
    "molecules": "CC(=O)Nc1ccc(O)cc1 C1=CC=C(C=C1)C(=O)O OC(=O)C[nH]1ccnc1 " * 30,
    "a log": "Nov 13 12:01:02 h1 sshd[4421]: 0xde4adbe3f port 5522 a3f8c9d2e1b4 ok " * 30,
    "links": "https://www.example.com/a3f8c9d2e1b45566 http://x1y2z3.org/5f3a9c " * 30,
}


@pytest.mark.parametrize("name", NO_WORDS)
def test_text_without_words_has_no_odd_ones(name: str) -> None:
    found = TextQuality()
    found.feed([NO_WORDS[name]], [1])
    assert not is_of_words(NO_WORDS[name])
    assert found.measure().odd_words_share == 0


def test_spoilt_prose_is_still_asked_for_odd_words() -> None:
    """Every fourth word as a bad scanner leaves it."""
    words = "The committee decided that h0use and br1dge should be rep@ired before w1nter comes."
    assert is_of_words(words * 9)
