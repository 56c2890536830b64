"""Rows that train and rows that judge: apart, by label, the same from any order of the file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.artifacts.gate import GateFiles
from engine.gold.draws import gate_items, registered_gold
from engine.gold.example import GOLD_TAG, SPARE_TAG
from engine.gold.summary import gate_files
from engine.recipe.gate import Gate
from tests.tiny import write_jsonl

LABELS = (" yes", " no", " maybe")


def files(folder: Path, rows: int = 400, **extra: object) -> tuple[Path, Path]:
    gold = [{"prompt": f"gold {n}", "completion": LABELS[n % 3]} for n in range(30)]
    sft = [{"prompt": f"row {n}", "completion": LABELS[n % 10 // 5], **extra} for n in range(rows)]
    return (
        write_jsonl(folder / "gold.jsonl", list(gold)),
        write_jsonl(folder / "sft.jsonl", list(sft)),
    )


def gate(**probe: object) -> Gate:
    return Gate.model_validate({"probe": probe})


def test_rows_beyond_two_seeds_worth_are_gold_items(tmp_path: Path) -> None:
    found = gate_items(*files(tmp_path), gate(max_examples=100))
    pool, spare = found.sft.pool, found.gold[30:]
    assert (len(pool), len(spare)) == (200, 200)
    assert not {e.prompt for e in pool} & {e.prompt for e in found.gold}
    assert Counter(e.completion for e in pool) == {" yes": 100, " no": 100}
    assert {e.choices for e in spare} == {found.gold[0].choices}
    assert {e.tags for e in found.gold} == {(GOLD_TAG,), (SPARE_TAG,)}
    assert registered_gold(tmp_path, gate(max_examples=100)) == found.gold


def test_each_seed_draws_its_own_rows_label_by_label(tmp_path: Path) -> None:
    sft = gate_items(*files(tmp_path), gate(max_examples=100)).sft
    one, two = sft.draw(0), sft.draw(1)
    assert len(one) == len(two) == 100
    assert Counter(e.completion for e in one) == {" yes": 50, " no": 50}
    assert one != two
    assert sft.draw(0) == one


def test_a_row_that_reads_like_a_gold_item_or_a_taught_one_is_neither_spare(tmp_path: Path) -> None:
    gold, sft = files(tmp_path)
    text = sft.read_text()
    sft.write_text(text + text.replace("row", "ROW") + gold.read_text())
    found = gate_items(gold, sft, gate(max_examples=100))
    taught = {e.prompt.lower() for e in found.sft.pool}
    spare = [e.prompt.lower() for e in found.gold if SPARE_TAG in e.tags]
    assert len(spare) == len(set(spare)) > 150
    assert not set(spare) & taught
    assert not any(prompt.startswith("gold") for prompt in spare)


def test_a_source_is_never_on_both_sides(tmp_path: Path) -> None:
    gold, _ = files(tmp_path)
    rows = [
        {"prompt": f"row {n}", "completion": LABELS[n % 2], "group": f"page {n // 4}"}
        for n in range(400)
    ]
    found = gate_items(gold, write_jsonl(tmp_path / "s.jsonl", list(rows)), gate(max_examples=100))
    taught = {e.group for e in found.sft.pool}
    spare = {e.group for e in found.gold if SPARE_TAG in e.tags}
    assert spare
    assert not spare & taught


@pytest.mark.parametrize(
    "asked",
    [
        {"probe": {"max_examples": 100, "spare": False}},
        {"probe": {"max_examples": 100}, "max_items": 30},
        {"probe": {"max_examples": 200}},
        {"probe": {}},
    ],
)
def test_no_spare_rows_where_none_are_wanted_or_left(
    tmp_path: Path, asked: dict[str, object]
) -> None:
    found = gate_items(*files(tmp_path), Gate.model_validate(asked))
    assert len(found.gold) == 30
    assert not any(item.tags for item in found.gold)


def test_a_gate_of_the_old_rules_keeps_its_evenly_picked_rows(tmp_path: Path) -> None:
    old = Gate.model_validate({"rules": 1, "probe": {"max_examples": 100}})
    found = gate_items(*files(tmp_path), old)
    assert [e.prompt for e in found.sft.draw(5)] == [f"row {n}" for n in range(0, 400, 4)]
    assert len(found.gold) == 30


def test_rows_of_labels_that_no_gold_item_knows_are_not_spare(tmp_path: Path) -> None:
    gold, sft = files(tmp_path)
    sft.write_text(sft.read_text().replace(" no", " never"))
    found = gate_items(gold, sft, gate(max_examples=100))
    assert {e.completion for e in found.gold if SPARE_TAG in e.tags} == {" yes"}


def test_the_split_that_is_proposed_lets_the_gold_set_show_the_plausible_gain(
    tmp_path: Path,
) -> None:
    def found(rows: int, **more: object) -> GateFiles:
        paths = files(tmp_path, rows)
        return gate_files(*paths, Gate.model_validate({"plausible_gain": 8, **more}))

    plain = found(1000)
    assert plain.mde > 8
    assert plain.enough_spare_at
    split = found(1000, probe={"max_examples": plain.enough_spare_at})
    assert split.mde <= 8
    assert split.enough_spare_at is None
    assert found(150).enough_spare_at is None
    assert found(1000, probe={"spare": False}).enough_spare_at is None
