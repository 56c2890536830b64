"""New tokens: the saving is what the stream loses, overlaps counted once, prefixes consistent."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.worker.vocabulary import merges

TEXTS = [chr(97 + n) for n in range(6)]
WORDS = st.dictionaries(
    st.lists(st.integers(0, 5), min_size=1, max_size=8).map(tuple),
    st.integers(1, 40),
    min_size=1,
    max_size=25,
)


def tokens(words: dict[merges.Word, int], found: list[merges.Merge]) -> int:
    """Length of the stream under plain BPE, the lowest rank first, the leftmost pair first."""
    ranks = {(m.left, m.right): m.id for m in found}
    total = 0
    for word, count in words.items():
        left = list(word)
        while pairs := [(ranks[p], at) for at, p in enumerate(pairwise(left)) if p in ranks]:
            new, at = min(pairs)
            left[at : at + 2] = [new]
        total += count * len(left)
    return total


@given(WORDS, st.integers(1, 12), st.integers(1, 20))
def test_each_merge_saves_what_it_says(
    words: dict[merges.Word, int], size: int, least: int
) -> None:
    found = merges.merges(words, TEXTS, size, least, set(TEXTS))
    lengths = [tokens(words, found[:n]) for n in range(len(found) + 1)]
    assert [a - b for a, b in pairwise(lengths)] == [m.saved for m in found]
    assert all(m.saved >= least for m in found)
    assert len(found) <= size
    assert merges.merges(words, TEXTS, size // 2, least, set(TEXTS)) == found[: size // 2]


@given(WORDS)
def test_new_tokens_stand_for_the_old_pieces(words: dict[merges.Word, int]) -> None:
    found = merges.merges(words, TEXTS, 10, 2, set(TEXTS))
    stands_for = merges.pieces(found)
    assert [m.id for m in found] == list(range(len(TEXTS), len(TEXTS) + len(found)))
    for merge in found:
        assert "".join(TEXTS[p] for p in stands_for[merge.id]) == merge.text
    counted = merges.occurrences(words, found)
    old = sum(count * len(word) for word, count in words.items())
    saved = sum(n * (len(stands_for[token]) - 1) for token, n in counted.items())
    assert old - saved == tokens(words, found)


def test_greedy_takes_the_largest_saving_and_counts_overlaps_once() -> None:
    words: dict[merges.Word, int] = {
        (0, 1, 2): 10,
        (1, 2): 5,
        (0, 1): 1,
    }  # "bc" 15 times, "ab" 11 times, 10 of them shared
    first, second = merges.merges(words, TEXTS, 9, 2, set(TEXTS))
    assert (first.text, first.saved) == ("bc", 15)
    assert (second.text, second.saved) == ("abc", 10)
    assert merges.occurrences(words, [first, second]) == {first.id: 5, second.id: 10}


def test_a_text_that_is_a_token_already_is_left_alone() -> None:
    words: dict[merges.Word, int] = {(0, 1): 50, (2, 3): 9}
    assert merges.merges(words, TEXTS, 9, 2, {*TEXTS, "ab"})[0].text == "cd"


def test_repeated_pieces_are_joined_in_twos() -> None:
    words: dict[merges.Word, int] = {(0, 0, 0): 7}
    (only,) = merges.merges(words, TEXTS, 1, 1, set(TEXTS))
    assert (only.text, only.saved) == ("aa", 7)


def test_the_default_size_reaches_most_of_the_saving() -> None:
    words: dict[merges.Word, int] = dict(Counter({(0, 1): 900, (2, 3): 60, (4, 5): 40}))
    found = merges.merges(words, TEXTS, 9, 1, set(TEXTS))
    assert [m.saved for m in found] == [900, 60, 40]
    assert merges.enough(found) == 1
    assert merges.enough(found, 0.95) == 2
    assert merges.enough([]) == 0
