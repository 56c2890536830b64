"""Odd words and characters: the marks of OCR noise and broken encodings, without a dictionary.

The text is its own dictionary. A word is odd if it is rare, holds three letters that stand in
no word used three times or more, and differs in one letter from a word ten times as frequent:
``leukemva`` beside ``leukemia``. Terms, names, inflections, code and other languages rarely
meet all three. Odd as well: a digit inside lowercase letters (``h0use``), and long mixtures of
letters and digits (hashes).

Measured on 17 texts (tests/benchmarks/odd_words.py): clean English, eight other languages, terms,
code and chemical names 0.0% to 0.7%; with 2% of the characters wrong 0.8% to 4.4%; with 5%,
1.5% to 8.2%.

Logs, molecules, links and tables are odd by nature: ``is_of_words`` tells texts of which it can be
asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

WORDS = 100_000
"""Words looked at: what is rare depends on how many there are."""
USED = 3
"""Times a word stands in the sample before its letters count as usual."""
RATIO = 10
SHORTEST = 4
"""Letters of a word that is judged by its neighbours."""

PROSE = 0.6
"""Share of a text's parts between blanks that are plain words, from which it is made of words.
Measured (tests/benchmarks/odd_words.py): 0.00 to 0.58 in the middle of logs, strings, links and
tables, 0.77 to 1.00 in that of seven running texts, 0.72 to 0.94 with 5% of their characters
wrong."""
LOOKED_AT = 1500
"""Characters of a text by which it is judged."""

_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[(\[\"'“‘«¿¡]*[^\W\d_]+(?:['’.\-/][^\W\d_]+)*[)\]\"'”’»,.;:!?…]*")
_DIGIT_INSIDE = re.compile(r"[a-zß-ÿ][0-9]+[a-zß-ÿ]|^[0-9][a-z]{3,}$")
_TURN = re.compile(r"(?<=[a-z])(?=[0-9])|(?<=[0-9])(?=[a-z])")
_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")


def odd_words_share(texts: Iterable[str]) -> float:
    """Share of the first 100,000 words that look like no word, in [0, 1]."""
    counts: Counter[str] = Counter()
    left = WORDS
    for text in texts:
        words = _WORD.findall(text)[:left]
        counts.update(words)
        left -= len(words)
        if not left:
            break
    lower: Counter[str] = Counter()
    for word, count in counts.items():
        if word.isalpha():
            lower[word.lower()] += count
    mixed = sum(n for word, n in counts.items() if n < USED and _is_mixed(word))
    return (mixed + _misspelt(lower)) / max(1, counts.total())


def is_of_words(text: str) -> bool:
    """Whether a text is mostly made of words: prose, not a log, a table, strings or code."""
    return plain_share(text) >= PROSE


def plain_share(text: str) -> float:
    """Share of the parts between blanks that are plain words, in [0, 1]; 1 where there is none."""
    parts = text[:LOOKED_AT].split()
    plain = sum(_PLAIN.fullmatch(part) is not None for part in parts)
    return plain / len(parts) if parts else 1.0


def _is_mixed(word: str) -> bool:
    if word.isalpha() or word.isdigit():
        return False
    return bool(_DIGIT_INSIDE.search(word)) or (len(word) >= 12 and len(_TURN.findall(word)) >= 3)


def _misspelt(counts: Counter[str]) -> int:
    """How many of the words are rare, of unusual letters, and one letter off a frequent word."""
    used = {word: count for word, count in counts.items() if count >= USED}
    usual = {three for word in used for three in _threes(word)}
    nearby: dict[str, int] = {}
    for word, count in used.items():
        for form in _without_one(word) if len(word) >= SHORTEST else ():
            nearby[form] = max(count, nearby.get(form, 0))
    total = 0
    for word, count in counts.items():
        if count < USED and len(word) >= SHORTEST and not usual.issuperset(_threes(word)):
            forms = _without_one(word)
            near = (nearby.get(word, 0), *(max(nearby.get(f, 0), used.get(f, 0)) for f in forms))
            total += count if max(near) >= RATIO * count else 0
    return total


def _threes(word: str) -> list[str]:
    """Every three letters in a row, the ends marked."""
    word = f"^{word}$"
    return [word[at : at + 3] for at in range(len(word) - 2)]


def _without_one(word: str) -> list[str]:
    """The word without each of its letters in turn; two words one letter apart share one."""
    return [word[:at] + word[at + 1 :] for at in range(len(word))]


def odd_characters_share(texts: Iterable[str]) -> float:
    """Share of characters that are replacement, control or private-use ones."""
    odd = total = 0
    for text in texts:
        odd += len(_ODD.findall(text))
        total += len(text)
    return odd / max(1, total)
