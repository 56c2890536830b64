"""The worlds with known truth: their texts teach what they say, and the counts are the Show's."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.demo import world
from tests.benchmarks import world_texts
from tests.benchmarks.world_table import table
from tests.benchmarks.world_truths import WORLDS
from tests.benchmarks.worlds import read

NAME = re.compile(r"[a-z]{2}-[a-z]{3}")
SEEDS = (0, 1)


def names(texts: Any) -> set[str]:
    return {name for text in islice(texts, 600) for name in NAME.findall(text.lower())}


def words(texts: Any) -> set[str]:
    return {word for text in islice(texts, 600) for word in re.findall(r"[a-z]+", text.lower())}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_base_never_reads_of_new_kinds_and_sft_never_names_a_gold_kind(seed: int) -> None:
    who = world_texts.cast(seed)
    casts = (who.known_sft, who.known, who.new_sft, who.new, who.unasked)
    parts = [{name for name, _ in kinds} for kinds in casts]
    assert sum(map(len, parts)) == len(set().union(*parts))
    read_by_base = names(world.base_documents(world_texts.LEXICON))
    read_by_base |= names(world_texts.generic(seed))
    assert not read_by_base & (parts[2] | parts[3] | parts[4])
    assert len(Counter(sense for _, sense in who.new)) == len(world.SENSES)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_corpus_teaches_what_its_world_says(seed: int) -> None:
    who = world_texts.cast(seed)
    new, unasked = ({name for name, _ in kinds} for kinds in (who.new, who.unasked))
    assert new <= names(world_texts.notes(seed))
    assert not unasked & names(world_texts.notes(seed))
    assert unasked <= names(world_texts.other_notes(seed))
    assert not new & names(world_texts.other_notes(seed))
    kinds = {name for name, _ in world.lexicon(world_texts.LEXICON).base} | new
    assert not kinds & names(world_texts.cargo(seed))
    for texts in (world_texts.notes, world_texts.other_notes, world_texts.cargo):
        assert not set(world.TRADES) & words(texts(seed))


def test_seeds_are_other_worlds_and_the_same_seed_is_the_same_world(tmp_path: Path) -> None:
    def files(name: str, seed: int) -> dict[str, bytes]:
        world_texts.write(tmp_path / name, seed, world_texts.notes(seed), 20, known=False)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    one, two = files("a", 0), files("c", 1)
    assert one == files("b", 0)
    assert all(one[name] != two[name] for name in one)


def rows(world_name: str, *outcomes: str, guard: str = "green") -> list[dict[str, Any]]:
    fields: dict[str, Any] = {
        "decision": "GO", "overridden": False, "estimate": 1.0, "base_scores": [25.0, 26.0],
        "cpt_scores": [26.0, 27.0], "domain_before": 5.0, "domain_after": 1.0, "cpu_s": 30.0,
        "wall_s": 60.0, "guard": guard, "generic_rise": 0.04,
    }  # fmt: skip
    return [
        {**fields, "world": world_name, "seed": seed, "outcome": outcome}
        for seed, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("helps", ["EARNED"] * 16 + ["TIE"] * 4, ["EARNED"] * 15 + ["TIE"] * 5),
        ("placebo", ["EARNED"] * 3 + ["TIE"] * 17, ["EARNED"] * 4 + ["TIE"] * 16),
        ("hurts", ["HURT"] * 16 + ["TIE"] * 4, ["HURT"] * 15 + ["TIE"] * 5),
        ("mix-back", ["HURT"] * 3 + ["TIE"] * 17, ["HURT"] * 4 + ["TIE"] * 16),
    ],
)
def test_the_counts_of_twenty(name: str, good: list[str], bad: list[str]) -> None:
    truth = WORLDS[name]
    assert truth.holds(rows(name, *good))
    assert not truth.holds(rows(name, *bad))
    assert "**no** (" in table(rows(name, *bad), [truth])


def test_ten_seeds_have_the_matching_counts_and_a_red_guard_is_harm() -> None:
    assert WORLDS["helps"].bound(10) == "EARNED >= 8"
    assert WORLDS["placebo"].bound(10) == "EARNED <= 1"
    assert WORLDS["hurts"].holds(rows("hurts", *["TIE"] * 10, guard="red"))
    still = [{**row, "generic_rise": 4.0} for row in rows("mix-back", *["TIE"] * 10)]
    assert WORLDS["mix-back"].holds(rows("mix-back", *["TIE"] * 10, guard="red"))
    assert not WORLDS["mix-back"].holds(still)


def test_a_run_that_gave_no_verdict_is_counted(tmp_path: Path) -> None:
    failed = {**rows("helps", "TIE")[0], "outcome": None, "guard": None, "decision": None}
    assert "(no verdict 1)" in table([failed], [WORLDS["helps"]])
    out = tmp_path / "torn.jsonl"
    out.write_text('{"world": "helps", "seed": 0}\n{"world": "hel', encoding="utf-8")
    assert [row["seed"] for row in read(out)] == [0]
