"""Shape: raw text told from data made for fine-tuning, by columns and by marks in the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.artifacts.scan import Shape
from engine.corpus.corpus import Corpus
from engine.corpus.fields import layout_of, text_of
from engine.corpus.shape import detect_shape
from engine.corpus.source_code import is_code
from engine.recipe.sections import Source
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
    ("preference", {"messages": TURN, "label": True}),
    ("preference", {"prompt": "Why?", "completion": "Because.", "label": False}),
    ("preference", {"question": "Why?", "response_j": "Because.", "response_k": "No."}),
    ("prompt_completion", {"question": "Which?", "choices": ["a", "b"], "answer": 1}),
    ("prompt_completion", {"prompt": "Clause: x. It is", "completion": " fair", "label": "fair"}),
    ("prompt_completion", {"document": LONG, "summary": "Ice made it."}),
    ("classification", {"text": LONG, "label": 3}),
    ("classification", {"sentence": "The service may end at any time.", "label": "unfair"}),
    ("classification", {"text": "I liked it a lot.", "stars": 5}),
    ("classification", {"premise": LONG, "hypothesis": "Ice.", "gold_label": "entailment"}),
    ("raw", {"text": LONG * 2, "category": "geology"}),
    ("raw", {"text": LONG * 2, "rating": 4, "author": "A. Person"}),
    ("chat", {"text": "USER: Why is it so?\nASSISTANT: Because it is."}),
    ("code", {"content": "int main(void) {\n  int x = 1;\n  return x;\n}\n" * 9}),
]


@pytest.mark.parametrize(("kind", "row"), KINDS)
def test_kinds_by_columns(tmp_path: Path, kind: str, row: dict[str, Any]) -> None:
    found = shape(write(tmp_path / "a.jsonl", [row] * 30))
    assert found.kind == kind, found
    assert found.confidence > (0.85 if kind == "classification" else 0.9)
    assert 1 <= len(found.examples) <= 2
    assert all(0 < len(example) <= 120 for example in found.examples)


def test_many_labels_are_no_classes(tmp_path: Path) -> None:
    rows = [{"text": LONG, "label": f"page {n}"} for n in range(60)]
    assert shape(write(tmp_path / "a.jsonl", rows)).kind == "raw"


def test_labels_are_named(tmp_path: Path) -> None:
    rows = [{"text": LONG, "label": n % 4} for n in range(60)]
    assert '"label" beside "text"' in shape(write(tmp_path / "a.jsonl", rows)).why


MAIN = """import os

def main(path):
    for name in os.listdir(path):
        print(name)
    return len(path)

if __name__ == "__main__":
    main(".")
"""
MANUAL = """# How to list a folder

You can list the names in a folder with a few lines of Python, as this example shows:

```python
for name in os.listdir("."):
    print(name)
```

The function takes a path and gives back the names in no particular order, so sort them
before you rely on it. On large folders a generator is the better choice.
"""


def test_code_is_told_from_manuals_with_code() -> None:
    assert is_code(MAIN)
    assert is_code("function f(a){return a?1:2};" * 200)
    assert not is_code(MANUAL)
    assert not is_code(LONG)
    assert not is_code("")


def test_plain_text_of_code_is_code(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(MAIN.replace("name", f"name{number}"))
    found = shape(tmp_path)
    assert found.kind == "code"
    assert found.confidence > 0.9


def test_files_of_code_are_code_whatever_they_say(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.py").write_text(f'"""{LONG}"""\nX = {number}\n')
    found = shape(tmp_path)
    assert found.kind == "code"
    assert found.confidence > 0.9
    for number in range(30):
        (tmp_path / f"{number}.md").write_text(f"Page {number}. {LONG}")
    parts = {part.kind: part.share for part in shape(tmp_path).parts}
    assert parts["code"] == pytest.approx(0.5, abs=0.05)


def test_every_part_has_its_share_and_samples(tmp_path: Path) -> None:
    write(tmp_path / "raw.jsonl", [{"text": LONG}] * 100)
    write(tmp_path / "chat.jsonl", [{"messages": TURN * 4}] * 100)
    write(tmp_path / "kto.jsonl", [{"messages": TURN * 2, "label": True}] * 100)
    found = shape(tmp_path)
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    shares = {part.kind: part.share for part in found.parts}
    assert found.kind == "mixed"
    for kind, name in (("raw", "raw"), ("chat", "chat"), ("preference", "kto")):
        assert shares[kind] == pytest.approx(sizes[name] / sum(sizes.values()), abs=0.02)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert all(len(part.samples) == 2 and part.confidence > 0.9 for part in found.parts)


def test_confidence_grows_with_the_sample_and_with_agreement(tmp_path: Path) -> None:
    def sure(raw: int, chat: int) -> float:
        rows = [{"text": LONG}] * raw + [{"text": f"### Input:\n\n### Response:\n{LONG}"}] * chat
        return shape(write(tmp_path / "a.jsonl", rows)).confidence

    assert sure(1, 0) < sure(3, 0) < sure(10, 0) < sure(100, 0)
    assert sure(95, 5) < sure(100, 0)
    assert sure(92, 8) < 0.85


def test_records_in_plain_text_are_seen(tmp_path: Path) -> None:
    rows = "\n".join(json.dumps({"prompt": "Why?", "completion": "Because."}) for _ in range(9))
    (tmp_path / "a.txt").write_text(rows)
    found = shape(tmp_path / "a.txt")
    assert found.kind == "prompt_completion"
    assert "lines of JSON" in found.why


def test_a_manual_with_role_marks_in_one_place_is_text(tmp_path: Path) -> None:
    text = LONG * 20 + "\n### Instruction:\nSay it.\n\n### Response:\nIt.\n" + LONG * 20
    (tmp_path / "a.md").write_text(text)
    assert shape(tmp_path / "a.md").kind == "raw"


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
    marks = [{"body": "### Instruction:\nSay it.\n\n### Response:\n" + LONG}] * 20
    named = shape(write(tmp_path / "b.jsonl", marks), text_column="body")
    assert named.kind == "raw"
    assert "role marks" in named.why


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
