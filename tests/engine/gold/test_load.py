"""Gold set and SFT files: reading, every way they can be broken, contamination."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from engine.artifacts.gate import GateFiles
from engine.errors import InputError
from engine.gold.copies import group_copies
from engine.gold.example import Example
from engine.gold.load import gold_items, load_examples, pick
from engine.gold.summary import effective_items, gate_files
from engine.quality.contamination import Overlapped
from engine.recipe.gate import Gate
from engine.stats.crossed_test import paired_test
from tests.gate_world import FIXED

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
        ("{", "g.jsonl:1 is not JSON.*read whole"),
        ('{"prompt": "a", "completion": "b"}\nnope', "g.jsonl:2 is not JSON"),
        ("[1]", "not a JSON object"),
        ("[\n {}\n]", "g.jsonl:1 is not JSON"),
        ('{"prompt": "a"}', r"no 'completion' \(its keys: prompt\)"),
        ("{}", r"no 'completion' \(its keys: none\)"),
        ('{"prompt": 3, "completion": "b"}', "'prompt' must be text"),
        ('{"prompt": "a", "completion": " "}', "'completion' must be text, and not blank"),
        ('{"prompt": "\\ud800", "completion": "b"}', "lone surrogate"),
        ('{"prompt": "a", "completion": "b", "choices": "b"}', "list of strings"),
        ("version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_broken_files_name_file_and_way_out(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        load_examples(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["g.jsonl", "g.json", "g.csv", "g.tsv", "g.parquet", "g.csv.gz"])
def test_every_format_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    rows = [
        row(
            'a "quoted", line\nand another', " yes", choices=[" yes", " no"], group="d", tags=["t"]
        ),
        row("b", " no", choices=[" yes", " no"], label="negative", group="", tags=[]),
    ]
    path = tmp_path / name
    written(path, rows)
    expected = [
        Example(rows[0]["prompt"], " yes", (" yes", " no"), "yes", "d", ("t",)),
        Example("b", " no", (" yes", " no"), "negative"),
    ]
    assert load_examples(path, True) == expected


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows in the format that the name asks for; lists of a table as JSON."""
    kind = path.suffixes[0]
    if kind == ".jsonl":
        write(path, rows)
    elif kind == ".json":
        path.write_text(json.dumps({"data": rows}, indent=1))
    elif kind == ".parquet":
        table = pyarrow.Table.from_pylist([{**one, "label": one.get("label")} for one in rows])
        pyarrow.parquet.write_table(table, path)
    else:
        out = io.StringIO()
        keys = ["prompt", "completion", "choices", "label", "group", "tags"]
        table = csv.DictWriter(out, keys, delimiter="\t" if kind == ".tsv" else ",")
        table.writeheader()
        lists = [
            {k: json.dumps(v) if isinstance(v, list) else v for k, v in one.items()} for one in rows
        ]
        table.writerows(lists)
        data = out.getvalue().encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt,completion\na,b,c\n", "g.csv:2 has more cells"),
        ("prompt,completion\na,\n", "line 2: 'completion' must be text"),
        ("prompt,completion,choices\na,b,b|c\n", "must be a list in JSON"),
        ("question,answer\na,b\n", "has no 'completion' .*gold_columns"),
    ],
)
def test_broken_tables_name_line_and_way_out(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "g.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_examples(path)


def test_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("question,answer,completion,page\na, yes,not this,7\nb, no,nor this,7\n")
    columns = {"prompt": "question", "completion": "answer", "group": "page"}
    gate = Gate.model_validate({"gold_columns": columns})
    assert [(e.prompt, e.completion, e.group) for e in gold_items(path, gate)] == [
        ("a", " yes", "7"),
        ("b", " no", "7"),
    ]
    with pytest.raises(InputError, match=r"no column 'query' .*its columns: question, answer"):
        load_examples(path, columns={"prompt": "query"})


def test_messages_need_the_chat_template(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"from": "human", "value": "river?"},
        {"from": "gpt", "value": "stone"},
        {"role": "user", "content": "thanks"},
    ]
    path = write(tmp_path / "g.jsonl", [{"messages": turns}])
    (found,) = load_examples(path, chat=True)
    roles = [role for role, _ in found.turns]
    assert roles == ["system", "user", "assistant", "user"]
    assert (found.completion, found.prompt) == ("stone", "be brief\nhello\nhi\nriver?")
    with pytest.raises(InputError, match=r'gate\.template = "chat"'):
        load_examples(path)
    for bad in ([{"role": "user"}], [], "text", [{"role": "assistant", "content": "a"}]):
        with pytest.raises(InputError, match="line 1"):
            load_examples(write(tmp_path / "b.jsonl", [{"messages": bad}]), chat=True)


# --- what is odd about the files -------------------------------------------------------


def files(folder: Path, gold: list[Any], sft: list[Any], **gate: Any) -> GateFiles:
    paths = write(folder / "g.jsonl", gold), write(folder / "s.jsonl", sft)
    return gate_files(*paths, Gate.model_validate(gate))


def test_letters_as_answers_earn_a_warning(tmp_path: Path) -> None:
    def said(answers: list[str]) -> bool:
        gold = [row(f"q {n}", answer) for n, answer in enumerate(answers * 3)]
        return any("2406.08446" in line for line in files(tmp_path, gold, [row("s")]).remarks)

    assert said([" A", " (B)", " C.", " D"])
    assert not said([" yes", " no", " A", " maybe"])


def test_copies_are_one_group(tmp_path: Path) -> None:
    rows = [row("q"), row("Q "), row("r", group="d1"), row("r", group="d2"), row("s", group="d2")]
    path = write(tmp_path / "g.jsonl", [*rows, row("q", " no"), row("t")])
    groups = [item.group for item in gold_items(path, Gate(metric="exact_match"))]
    assert groups == ["copies of item 1"] * 2 + ["d1"] * 3 + ["", ""]
    assert effective_items(gold_items(path, Gate(metric="exact_match"))) == 4


def test_copies_do_not_narrow_the_interval() -> None:
    """Ten copies of every item say no more than the items themselves."""
    rng = np.random.default_rng(0)
    base = np.tile(rng.random(30) < 0.5, (5, 1)).astype(float)
    cpt = np.tile(rng.random(30) < 0.6, (5, 1)).astype(float)
    cpt[np.arange(5), np.arange(5)] = 1 - cpt[np.arange(5), np.arange(5)]
    gold = group_copies([Example(f"q {n % 30}", " yes") for n in range(300)])
    groups = [item.group for item in gold]
    alone = paired_test(base, cpt, 0.05)
    copied = paired_test(np.tile(base, 10), np.tile(cpt, 10), 0.05, groups)
    blind = paired_test(np.tile(base, 10), np.tile(cpt, 10), 0.05)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low)
    assert blind.high - blind.low < 0.5 * (alone.high - alone.low)


def test_remarks_are_a_sentence_each(tmp_path: Path) -> None:
    gold = [row(f"q {n}", " yes") for n in range(8)] + [row("q 0"), row("Q  1", " no")]
    found = files(tmp_path, gold, [row("s"), row("s"), row("s", " no")])
    assert found.remarks == [
        "1 items of the gold set repeat another and count as one with it",
        "1 items of the SFT data repeat another",
        "1 prompt has more than one right answer in the gold set",
        "1 prompt has more than one right answer in the SFT data",
        "90% of the gold items have the answer 'yes': a constant guess scores that much; "
        'gate.metric = "macro_f1" sees the others too',
    ]
    sound = [row(f"q {n}", " yes" if n % 2 else " no") for n in range(10)]
    assert files(tmp_path, sound, [row("s")]).remarks == []


def test_a_gate_that_can_show_nothing_is_refused(tmp_path: Path) -> None:
    gold = [row("One", " yes"), row("two", " no")]
    with pytest.raises(InputError, match="All 2 gold prompts also stand in the SFT data"):
        files(tmp_path, gold, [row("one"), row("Two ")])
    with pytest.raises(InputError, match="same answer ' yes'"):
        files(tmp_path, [row("a"), row("b")], [row("s")], metric="exact_match")


def test_a_metric_that_cannot_judge_the_file_is_said_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "g.jsonl", [row(), row("q", " no")])
    with pytest.raises(InputError, match="no number in its completion"):
        gold_items(path, Gate(metric="numeric"))


def test_missing_folder_and_binary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_examples(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        load_examples(tmp_path)
    (tmp_path / "b").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="is not all utf-16"):
        load_examples(tmp_path / "b")


@pytest.mark.parametrize(
    ("choices", "words"), [(["x", "z"], "not one of its choices"), (["y"], "two or more")]
)
def test_choices_must_fit(tmp_path: Path, choices: list[str], words: str) -> None:
    path = write(tmp_path / "g.jsonl", [row(completion="y", choices=choices)])
    with pytest.raises(InputError, match=f"item 1.*{words}"):
        load_examples(path, True)


def test_duplicates_are_not_fatal(tmp_path: Path) -> None:
    examples = load_examples(write(tmp_path / "g.jsonl", [row(), row(), row("q")]))
    assert len(examples) == 3


def test_pick_is_even() -> None:
    examples = [Example(str(n), "c") for n in range(10)]
    assert [example.prompt for example in pick(examples, 3)] == ["0", "3", "6"]
    assert pick(examples, None) == pick(examples, 99) == examples


def test_gate_files(tmp_path: Path) -> None:
    gold = [row(f"question {n}", " yes" if n < 15 else " no") for n in range(20)]
    paths = write(tmp_path / "g.jsonl", gold), write(tmp_path / "s.jsonl", [row("Question  3")])
    found = gate_files(*paths, FIXED, Overlapped(contaminated=[0, 7]))
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
    found = gate_files(folder / "test.jsonl", folder / "train.jsonl", FIXED)
    assert (found.gold_items, found.sft_examples) == (480, 1600)
    assert found.majority_rate == pytest.approx(1 / 8)
