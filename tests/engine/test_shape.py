"""Shape: raw text told from data made for fine-tuning, by columns and by marks in the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.corpus import Corpus, detect_shape
from engine.evidence import Shape
from engine.recipe import Source
from engine.shape import layout_of, text_of
from tests.material import MATERIAL, needs_material

LONG = "The valley was carved by ice and later filled with gravel and sand. " * 10
TURN = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]


def shape(path: Path, **more: Any) -> Shape:
    return detect_shape(Corpus(Source(path=str(path), **more)))


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("raw", {"text": LONG}),
    ("raw", {"id": "7", "source": "a", "title": "Ice", "text": LONG}),
    ("raw", {"passage": LONG, "url": "https://example.org/" + "x" * 900}),
    ("raw", {"text": LONG, "question": "Why?", "answer": "Ice."}),
    ("short_rows", {"sentence": "The service may end your account at any time."}),
    ("prompt_completion", {"prompt": "Why?", "completion": "Because."}),
    ("prompt_completion", {"Instruction": "Say it.", "Output": "It."}),
    ("prompt_completion", {"instruction": "Do.", "input": "", "output": "Done.", "text": LONG}),
    ("prompt_completion", {"question": "Why?", "answer": "Because."}),
    ("prompt_completion", {"question": "Why?", "context": LONG, "answers": {"text": ["Ice"]}}),
    ("prompt_completion", {"instruction": "Do.", "instances": [{"input": "", "output": "Done."}]}),
    ("prompt_completion", {"input": "a", "target": "b"}),
    ("chat", {"messages": TURN}),
    ("chat", {"conversations": [{"from": "human", "value": "Hi"}], "id": 1}),
    ("chat", {"turns": ["Hello", "Write it again."]}),
    ("chat", {"dialogue": TURN, "text": LONG}),
    ("chat", {"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>"}),
    ("chat", {"text": "### Instruction:\nSay it.\n\n### Response:\nIt."}),
    ("preference", {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}),
    ("preference", {"chosen": TURN, "rejected": TURN}),
    ("preference", {"conversations": TURN, "chosen": TURN[1], "rejected": TURN[1]}),
]


@pytest.mark.parametrize(("kind", "row"), KINDS)
def test_kinds_by_columns(tmp_path: Path, kind: str, row: dict[str, Any]) -> None:
    found = shape(write(tmp_path / "a.jsonl", [row] * 30))
    assert found.kind == kind, found
    assert found.confidence > 0.9
    assert 1 <= len(found.examples) <= 2
    assert all(0 < len(example) <= 120 for example in found.examples)


def test_why_names_the_columns(tmp_path: Path) -> None:
    assert (
        "instruction + output"
        in shape(write(tmp_path / "a.jsonl", [{"instruction": "Do.", "output": "Done."}] * 9)).why
    )
    assert '"body"' in shape(write(tmp_path / "b.jsonl", [{"body": LONG}] * 9)).why


def test_plain_files_are_raw(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_text(LONG)
    found = shape(tmp_path)
    assert (found.kind, "plain text" in found.why) == ("raw", True)


def test_mixed_is_judged_by_bytes(tmp_path: Path) -> None:
    write(tmp_path / "raw.jsonl", [{"text": LONG}] * 50)
    write(tmp_path / "chat.jsonl", [{"messages": TURN * 5}] * 60)
    found = shape(tmp_path)
    assert found.kind == "mixed"
    assert "running text" in found.why
    assert "conversations" in found.why


def test_a_small_readme_does_not_make_it_mixed(tmp_path: Path) -> None:
    write(tmp_path / "chat.jsonl", [{"messages": TURN * 5}] * 60)
    (tmp_path / "README.md").write_text("Where it came from.")
    assert shape(tmp_path).kind == "chat"


def test_two_kinds_of_tuning_data_are_not_mixed_with_text(tmp_path: Path) -> None:
    write(tmp_path / "chat.jsonl", [{"messages": TURN * 5}] * 40)
    write(tmp_path / "sft.jsonl", [{"prompt": LONG, "completion": "Yes."}] * 40)
    found = shape(tmp_path)
    assert found.kind == "prompt_completion"
    assert "all made for fine-tuning" in found.why


def test_a_named_column_is_the_users_word(tmp_path: Path) -> None:
    rows = [{"instruction": "Do.", "output": LONG}] * 20
    found = shape(write(tmp_path / "a.jsonl", rows), text_column="output")
    assert found.kind == "raw"
    assert "instruction + output" in found.why


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ")
    assert shape(tmp_path).confidence == 0
    assert shape(tmp_path / "nowhere").confidence == 0


def test_scripts_without_spaces_are_not_short(tmp_path: Path) -> None:
    assert (
        shape(write(tmp_path / "a.jsonl", [{"text": "川は山から流れる。" * 80}] * 9)).kind == "raw"
    )


KEYS = st.sampled_from(
    ["text", "prompt", "completion", "messages", "chosen", "rejected", "question", "answer", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=5))
def test_any_records_have_a_layout_or_none(records: list[dict[str, Any]]) -> None:
    layout = layout_of(records)
    for record in records:
        found = text_of(record, layout)
        assert found is None or isinstance(found, str)


@needs_material
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("awkward/sft_prompt_completion", "prompt_completion"),
        ("awkward/chat_sharegpt", "chat"),
        ("awkward/preference", "preference"),
        ("awkward/parquet_text", "short_rows"),
        ("tasks/medical_question_type", "prompt_completion"),
        ("tasks/medical_answers", "prompt_completion"),
        ("domains/medical", "raw"),
        ("domains/legal", "raw"),
        ("general/wikitext2", "raw"),
        ("general/novels", "raw"),
    ],
)
def test_real_material(folder: str, kind: str) -> None:
    assert MATERIAL is not None
    assert shape(MATERIAL / folder).kind == kind
