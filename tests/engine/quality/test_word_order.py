"""Word order: told from shuffled words in any script, and silent where it cannot be known."""

from __future__ import annotations

import random
import string

import pytest

from engine.quality.word_order import LEAST_DOCUMENTS, word_order
from engine.thresholds import THRESHOLDS

BASE64 = string.ascii_letters + string.digits + "+/"
LETTERS = {
    "latin": "abcdefghijklmnopqrstuvwxyz",
    "chinese": "".join(map(chr, range(0x4E00, 0x4E00 + 1500))),
    "thai": "".join(map(chr, range(0x0E01, 0x0E3B))),
}


def phrases(rng: random.Random, script: str) -> list[list[str]]:
    """Phrases of words; in a script without blanks a word is one character."""
    letters = LETTERS[script]
    size = (lambda: rng.randint(3, 8)) if script == "latin" else (lambda: 1)
    words = ["".join(rng.choices(letters, k=size())) for _ in range(2000)]
    return [rng.choices(words, k=rng.randint(3, 6)) for _ in range(400)]


def documents(script: str, shuffled: bool, count: int = 300) -> list[str]:
    """Documents that say the same phrases in another order, and their words shuffled."""
    rng = random.Random(0)
    known = phrases(rng, script)
    texts = []
    for _ in range(count):
        words = [word for phrase in rng.choices(known, k=40) for word in phrase]
        if shuffled:
            rng.shuffle(words)
        texts.append((" " if script == "latin" else "").join(words))
    return texts


@pytest.mark.parametrize("script", LETTERS)
def test_running_text_is_told_from_shuffled_words(script: str) -> None:
    running, mixed = (word_order(documents(script, shuffled)) for shuffled in (False, True))
    assert running.ratio is not None
    assert running.ratio.low > 1.3
    assert mixed.ratio is not None
    assert mixed.ratio.low < 1.04 < mixed.ratio.high < 1.2
    assert mixed.share == pytest.approx(mixed.shuffled_share, rel=0.08)


def test_an_alphabet_is_read_in_longer_runs_than_words() -> None:
    assert word_order(documents("latin", False)).run == 2
    assert word_order(documents("thai", False)).run > 2


def test_set_phrases_between_random_fields_are_an_order() -> None:
    """Pairs of a log are as common shuffled; runs of four are not."""
    rng = random.Random(0)
    said = ["user logged in from", "connection closed by host", "worker took too long"]
    lines = [f"{rng.randrange(9999)} {rng.choice(said)}" for _ in range(18_000)]
    texts = ["\n".join(lines[at : at + 90]) for at in range(0, len(lines), 90)]
    found = word_order(texts)
    assert found.ratio is not None
    assert found.ratio.low > 1.25


def test_few_words_say_less() -> None:
    def width(count: int) -> float:
        ratio = word_order(documents("latin", False, count)).ratio
        assert ratio is not None
        return (ratio.high - ratio.low) / ratio.value

    assert width(120) > 1.3 * width(600)


def test_text_without_words_is_read_by_its_characters() -> None:
    """Random strings have no order; chemistry and codes with a grammar have one."""
    rng = random.Random(0)
    noise = ["".join(rng.choices(BASE64, k=400)) for _ in range(200)]
    rows = [" ".join("".join(rng.choices(BASE64, k=12)) for _ in range(30)) for _ in range(200)]
    for texts in (noise, rows):
        found = word_order(texts)
        assert found.unit == "characters"
        assert found.ratio is not None
        assert found.ratio.high < THRESHOLDS["word_order"].value
    parts = ["C(=O)", "c1ccccc1", "N[C@@H]", "[O-]", "CC(C)", "C#N", "S(=O)(=O)"]
    found = word_order(["".join(rng.choices(parts, k=8)) for _ in range(900)])
    assert found.unit == "characters"
    assert found.ratio is not None
    assert found.ratio.low > 1.3


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ([], "documents"),
        (documents("latin", False)[: LEAST_DOCUMENTS - 1], "documents"),
        (["".join(random.Random(n).choices("ab", k=600)) + " b" for n in range(50)], "no words"),
        ([" ".join(random.Random(n).choices("ab", k=90)) for n in range(60)], "common"),
        ([chr(0x4E00 + n) + chr(0x5E00 + n) for n in range(300)], "too few"),
    ],
)
def test_what_cannot_be_known_says_why(texts: list[str], why: str) -> None:
    found = word_order(texts)
    assert found.ratio is None
    assert why in found.why


def test_the_seed_is_fixed_and_the_sample_bounded() -> None:
    texts = documents("latin", False, 200) * 20
    found = word_order(texts)
    assert found == word_order(texts)
    assert found.words == 300_000
