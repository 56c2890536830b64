"""Gold set and SFT files: reading, every way they can be broken, contamination."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.gold import (
    Example,
    duplicates,
    effective_items,
    gate_files,
    gold_items,
    load_examples,
    pick,
)
from engine.overlap import Overlapped
from engine.recipe import Gate

TASKS = Path("/work/shared/material/tasks")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def row(prompt: str = "p", completion: str = " yes", **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "completion": completion, **more}


def test_reads_all_fields(tmp_path: Path) -> None:
    rows = [row(label="y", choices=[" yes", " no"], group="d", tags=["t"]), row(document=7)]
    first, second = load_examples(write(tmp_path / "g.jsonl", rows))
    assert first == Example("p", " yes", (" yes", " no"), "y", "d", ("t",))
    assert (second.label, second.group, second.choices) == ("yes", "7", ())


def test_blank_lines_bom_and_separators_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    text = "\ufeff" + '{"prompt": "a\u2028b", "completion": "c"}' + "\r\n\n"
    path.write_bytes(text.encode())
    assert load_examples(path)[0].prompt == "a\u2028b"


def test_choices_from_completions(tmp_path: Path) -> None:
    path = write(tmp_path / "g.jsonl", [row(completion=c) for c in (" no", " yes", " no")])
    assert {example.choices for example in load_examples(path, True)} == {(" no", " yes")}
    many = write(tmp_path / "m.jsonl", [row(completion=f"{n}") for n in range(51)])
    with pytest.raises(InputError, match=r"51 distinct completions.*exact_match"):
        load_examples(many, True)
    with pytest.raises(InputError, match="1 distinct"):
        load_examples(write(tmp_path / "o.jsonl", [row()]), True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("{", "line 1 is not JSON"),
        ('{"prompt": "a", "completion": "b"}\nnope', "line 2 is not JSON"),
        ("[1]", "not a JSON object"),
        ("[\n {}\n]", "opens a JSON list"),
        ('{"prompt": "a"}', r"no 'completion' \(its keys: prompt\)"),
        ("{}", r"no 'completion' \(its keys: none\)"),
        ('{"prompt": 3, "completion": "b"}', "'prompt' must be text"),
        ('{"prompt": "a", "completion": " "}', "'completion' must be text, and not blank"),
        ('{"prompt": "\\ud800", "completion": "b"}', "lone surrogate"),
        ('{"prompt": "a", "completion": "b", "choices": "b"}', "list of strings"),
        ("version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_broken_files_name_file_and_way_out(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        load_examples(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_binary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_examples(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        load_examples(tmp_path)
    (tmp_path / "b").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        load_examples(tmp_path / "b")


@pytest.mark.parametrize(
    ("choices", "words"), [(["x", "z"], "not one of its choices"), (["y"], "two or more")]
)
def test_choices_must_fit(tmp_path: Path, choices: list[str], words: str) -> None:
    path = write(tmp_path / "g.jsonl", [row(completion="y", choices=choices)])
    with pytest.raises(InputError, match=f"item 1.*{words}"):
        load_examples(path, True)


def test_duplicates_are_counted_not_fatal(tmp_path: Path) -> None:
    examples = load_examples(write(tmp_path / "g.jsonl", [row(), row(), row("q")]))
    assert len(examples) == 3
    assert duplicates(examples) == 1


def test_pick_is_even() -> None:
    examples = [Example(str(n), "c") for n in range(10)]
    assert [example.prompt for example in pick(examples, 3)] == ["0", "3", "6"]
    assert pick(examples, None) == pick(examples, 99) == examples


def test_gate_files(tmp_path: Path) -> None:
    gold = [row(f"question {n}", " yes" if n < 15 else " no") for n in range(20)]
    paths = write(tmp_path / "g.jsonl", gold), write(tmp_path / "s.jsonl", [row("Question  3")])
    found = gate_files(*paths, Gate(), Overlapped(contaminated=[0, 7]))
    assert (found.gold_items, found.sft_examples, found.overlap_items) == (20, 1, 1)
    assert found.majority_rate == 0.75
    assert found.contaminated_share == pytest.approx(2 / 20)
    assert found.contaminated_items == [0, 7]
    assert found.mde > 20
    assert gate_files(*paths, Gate()).contaminated_share == 0
    assert gate_files(*paths, Gate(max_items=4)).gold_items == 4


def test_gold_items_are_those_of_the_gate(tmp_path: Path) -> None:
    path = write(tmp_path / "g.jsonl", [row(str(n), " yes" if n % 2 else " no") for n in range(9)])
    assert [one.prompt for one in gold_items(path, Gate(max_items=3))] == ["0", "3", "6"]


def test_groups_count_once() -> None:
    examples = [Example("p", "c", group=name) for name in ("a", "a", "", "")]
    assert effective_items(examples) == 3


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs /work/shared/material/tasks")
def test_real_material() -> None:
    folder = TASKS / "medical_question_type"
    found = gate_files(folder / "test.jsonl", folder / "train.jsonl", Gate())
    assert (found.gold_items, found.sft_examples) == (480, 1600)
    assert found.majority_rate == pytest.approx(1 / 8)
