"""What a stage found: lines for every artifact, and one marked line for one that is none."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from engine.artifacts.all_stages import RECORDS, Artifacts
from engine.summary.findings import describe_stage, finding
from tests.cpt_tui import gated, measured, worlds
from tests.cpt_tui.panels.test_gate import ARMS
from tests.engine.report.test_report import EXTENDED

PROOF = {"largest": 2e-6, "tolerance": 1e-4}
ROW = {"name": "task", "gold": 71.5, "domain": 2.9, "generic": 2.8}
WHOLE: dict[str, dict[str, Any]] = {
    "scan": measured.scan(),
    "probe": measured.probe(),
    "decide": worlds.decide(),
    "baseline": {"scores": [61.25, 60.5], "items": 400, "mde": 3.9, "constant_seeds": 1},
    "extend": EXTENDED,
    "pack": worlds.pack(),
    "train": {"steps": 9, "domain_before": 3.4, "domain_after": 2.9, "guard": "amber"},
    "gate": {**gated.GATE, **gated.JUDGED, "logprob": {"value": 0.3, "low": 0.1, "high": 0.5}},
    "report": {"path": "/runs/report.md"},
    "arms": ARMS.to_json(),
    "finish": {"start": "CPT", "why": "the gate said EARNED", "rows": [ROW]},
    "export": {"what": "cpt", "proof": PROOF, "path": "/models/out"},
}
WRONG = (3, "text", [1], [[]], True)
"""No artifact at all."""
ODD = (math.nan, math.inf, -math.inf, 10**400, -(10**31), "9" * 5000, "many", [1], {"a": 1})
"""No number that a stage can have written."""
STAGES = pytest.mark.parametrize("stage", sorted(RECORDS))


def marked(stage: str, evidence: object) -> str:
    """The one line that names the fault."""
    (line,) = finding(stage, evidence)  # type: ignore[arg-type]
    head = f"{stage}: its evidence cannot be read ("
    assert line.startswith(head), line
    assert "\n" not in line
    assert len(line) < 400
    return line.removeprefix(head)


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers of a record's plain values stand."""
    parts = value.items() if isinstance(value, dict) else ()
    for name, part in enumerate(value) if isinstance(value, list) else parts:
        yield from numbers(part, (*path, name))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path


def put(stage: str, path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A stage's evidence with another value at a place."""
    evidence: Any = copy.deepcopy(WHOLE[stage])
    part = evidence
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return dict(evidence)


@STAGES
def test_every_stage_tells_what_it_found(stage: str) -> None:
    lines = finding(stage, WHOLE[stage])
    assert lines
    assert all("\n" not in line for line in lines)
    assert "cannot be read" not in " ".join(lines)
    assert lines == describe_stage(stage, Artifacts.of(WHOLE))


@STAGES
def test_what_is_no_artifact_is_named(stage: str) -> None:
    for value in WRONG:
        assert marked(stage, value).startswith("value: Input should be")
    assert finding(stage, {}) == []


@STAGES
def test_a_number_that_no_stage_writes_is_named_with_its_place(stage: str) -> None:
    """As it comes out of a log: NaN and numbers of 400 digits are JSON to Python."""
    known = Artifacts.of(WHOLE).to_json()[stage]
    assert isinstance(known, dict)
    for path in numbers(WHOLE[stage]):
        if path[0] not in known:
            continue
        for odd in ODD:
            evidence = put(stage, path, odd)
            if not isinstance(odd, str):
                evidence = json.loads(json.dumps(evidence))
            assert str(path[0]).split()[0] in marked(stage, evidence), path


@STAGES
def test_nesting_is_refused_where_it_is_read_and_left_out_where_it_is_not(stage: str) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert finding(stage, {**WHOLE[stage], "new in a later version": deep}) == finding(
        stage, WHOLE[stage]
    )
    for name in WHOLE[stage]:
        if name in RECORDS[stage].model_fields:
            assert name in marked(stage, {**WHOLE[stage], name: deep})


def test_the_name_of_a_strangers_key_stays_on_one_line_and_short() -> None:
    """The place of a fault may be a stranger's own words; the caller cleans them."""
    evidence = put("scan", ("scan", "domain", "skipped"), {f"a\nb{measured.EVIL * 99}": "x"})
    assert "scan.domain.skipped.a b" in marked("scan", evidence)
    evidence = put("scan", ("scan", "domain", "skipped"), {f"a\nb{measured.EVIL * 99}": 10**99})
    assert "scan.domain.skipped.a b" in marked("scan", evidence)


def test_a_scan_says_how_the_text_was_read() -> None:
    """The column, what lies beside the corpus, borders, what no token writes, and the edits."""
    found = copy.deepcopy(WHOLE["scan"])
    found["scan"]["domain"] |= {
        "text_column": "body",
        "skipped": {"beside the corpus": 9},
        "companions": [f"README{n}.md" for n in range(9)],
        "separators": {"</s>": 60},
        "special_strings": [{"text": "<|im_end|>", "documents": 7}],
        "unknown_tokens": found["scan"]["domain"]["tokens"] // 20,
        "edits": {"lines": 12, "line_bytes": 900, "emails": 3, "addresses": 1},
    }
    said = "\n".join(finding("scan", found))
    for words in (
        "text column: body",
        "README0.md, README1.md",
        "and 3 more; keep_companions = true",
        "borders between documents, not trained on: </s> 60x",
        "<unk>: 5.00% of the tokens",
        "kept as plain text: <|im_end|> in 7",
        "12 shared lines dropped (900 B), 4 contacts masked",
    ):
        assert words in said


def test_a_stage_without_an_artifact_has_no_lines() -> None:
    assert finding("base", {"tokens": 3}) == []
    assert describe_stage("scan", Artifacts()) == []
