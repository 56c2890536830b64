"""report.md: all of the evidence, foreign text inert, older runs whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.all_stages import Artifacts
from engine.formatting import format_p_value
from engine.recipe.sections import Recipe
from engine.recipe.toml import parse_toml, validate
from engine.report.evidence import render_evidence
from engine.report.markdown import inert
from engine.report.report import write_report
from engine.report.vocabulary import render_vocabulary
from engine.summary.findings import finding
from tests.cpt_tui import measured, worlds


def made(**how: bool) -> dict[str, Any]:
    return {
        "scan": measured.scan(**how),
        "probe": measured.probe(**how),
        "decide": worlds.decide(),
    }


def records(stages: dict[str, Any]) -> Artifacts:
    """Every one of them must be readable: a test's data are whole."""
    found = Artifacts.of(stages)
    assert found.unreadable == {}
    return found


def report(root: Path, text: str = worlds.RECIPE, **how: bool) -> str:
    run = worlds.World(root).run
    recipe = validate(parse_toml(text, "recipe.toml"), text, "recipe.toml")
    return write_report(run, recipe, records(made(**how))).read_text()


def test_the_evidence_is_all_there(tmp_path: Path) -> None:
    text = report(tmp_path)
    for part in (
        *("2,595,000", "| raw | 94.1% | 0.93 |", "near-duplicate documents | 803 |", "0.36"),
        *("b.txt:7 like a.txt:1", "5,102x Confidential", "German 93%", "4 empty", "cp1252 1"),
        *(
            "notes.bin: not text",
            "1.420 (95% 1.310 to 1.550)",
            "costs 1.140 (95% 1.110 to 1.170) times",
        ),
        *(
            "| words | 71.0% | 76.0% | 3.910 | 3.120 |",
            "1.56 (95% 1.51 to 1.61)",
            "Glioblastom (4.1)",
        ),
        *("Gl · iob · last · om", "would save 4.3%", "left temporal lobe"),
        *(
            "0.5% of 400 gold items",
            "3 more share only",
            "9 of 312 held-out",
            "| FLOPs | 2.60e+15 | 5.10e+15 |",
        ),
        *("Not answered: explain, facts, distil.", "| fluent_ratio | 1.1 |"),
    ):
        assert part in text, part


def test_a_moved_threshold_shows_both_values(tmp_path: Path) -> None:
    text = report(tmp_path, worlds.RECIPE + "\n[probe.thresholds]\nfluent_ratio = 1.3\n")
    assert "| fluent_ratio | **1.3** (default 1.1) |" in text


def test_an_older_run_has_a_report_too(tmp_path: Path) -> None:
    text = report(tmp_path, old=True)
    for part in ("1.420 (95% 1.310 to 1.550)", "raw", "3,100,000"):
        assert part in text
    assert "Languages" not in text
    assert "| FLOPs | 2.60e+15 | - |" in text


def test_every_table_holds_its_columns(tmp_path: Path) -> None:
    """Foreign text cannot add a cell, a row or a heading."""
    tables = [block for block in report(tmp_path, hostile=True).split("\n\n") if "|---" in block]
    assert len(tables) >= 8
    for block in tables:
        rows = [line for line in block.splitlines() if line]
        assert {row.replace("\\|", "").count("|") for row in rows} == {rows[1].count("|")}


def test_hostile_text_is_inert(tmp_path: Path) -> None:
    text = report(tmp_path, hostile=True)
    assert not set(text) & set("\x1b\x07\x9b\u202e\u200b")
    assert "[/nope]" not in text
    assert "\\[/nope\\]" in text


@given(st.text(max_size=60))
def test_plain_keeps_one_printable_line_without_live_markup(text: str) -> None:
    shown = inert(text)
    assert all(char.isprintable() for char in shown)
    bare = shown.replace("\\\\", "")
    for mark in "`*_<>[]|#~&!":
        assert bare.count(mark) == bare.count("\\" + mark)


def test_links_are_inert() -> None:
    assert inert("http://x www.x.org") == "http\\://x www\\.x.org"


@pytest.mark.parametrize("how", [{}, {"old": True}, {"hostile": True}])
def test_findings_are_single_lines(how: dict[str, bool]) -> None:
    for stage, found in made(**how).items():
        lines = finding(stage, found)
        assert lines
        assert all("\n" not in line for line in lines)


def test_findings_tell_the_new_facts_in_a_line_each() -> None:
    told = "\n".join(line for stage, found in made().items() for line in finding(stage, found))
    for part in (
        "shape: raw 94%, short rows 6%",
        "near-duplicates: 12.7% of tokens, repeated passages: 17.0%; ",
        "; 2.6M effective tokens are left",
        "contamination: 2 of 400 gold items",
        "words +0.79",
        "price here: training 25 min 20 s",
        "not answered: explain, facts, distil",
    ):
        assert part in told


def test_evidence_before_the_scan_is_empty() -> None:
    assert render_evidence(Artifacts()) == ""


def faulty(stage: str, **damage: Any) -> Artifacts:
    """The world's artifacts; one of them is not what this version can read."""
    stages = {**made(), "gate": worlds.GATE}
    return Artifacts.of({**stages, stage: {**stages[stage], **damage}})


def written(root: Path, found: Artifacts) -> str:
    recipe = validate(parse_toml(worlds.RECIPE, "recipe.toml"), worlds.RECIPE, "recipe.toml")
    return write_report(worlds.World(root).run, recipe, found).read_text()


def test_a_faulty_artifact_is_named_and_left_out(tmp_path: Path) -> None:
    found = faulty("probe", pilot={"gain": "much"}, fluency={"ratio": 2})
    text = written(tmp_path, found)
    (line,) = [line for line in text.splitlines() if "Not readable" in line]
    assert "the stage probe" in line
    assert inert(found.unreadable["probe"]) in line
    assert "EARNED" in text
    assert "## Evidence" in text
    assert "fluency of the base" not in text


def test_a_verdict_that_cannot_be_read_is_no_verdict(tmp_path: Path) -> None:
    text = written(tmp_path, faulty("gate", seeds=["<b>"]))
    assert text.startswith("# clinic: NO VERDICT")
    assert "the stage gate" in text
    assert "its verdict cannot be read" in text
    assert "`cpt gate " in text
    assert "Nothing was trained" not in text


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0, "p < 0.001"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.0214, "p = 0.021")],
)
def test_p_values_are_never_zero(p: float, words: str) -> None:
    assert format_p_value(p) == words
    assert format_p_value(None) == format_p_value(float("nan")) == "p not known"


def trained(ratio: float, **answers: bool) -> tuple[Recipe, Artifacts]:
    recipe = Recipe.model_validate(
        {"model": {"id": "m"}, "corpus": {"path": "c"}, "interview": answers}
    )
    scan = measured.scan()
    scan["fertility"]["ratio"] = ratio
    return recipe, records({"scan": scan, "train": {"steps": 40}})


def test_a_second_run_is_offered_new_tokens_by_what_the_first_measured() -> None:
    offer = render_vocabulary("first-1", *trained(2.1))
    assert "costs 2.10 times" in offer
    assert 'extend = true\nfirst_run = "first-1"' in offer
    assert render_vocabulary("first-1", *trained(1.9)) == ""
    assert render_vocabulary("first-1", *trained(2.1, distil=True)) == ""
    recipe, found = trained(2.1)
    assert render_vocabulary("first-1", recipe, Artifacts(scan=found.scan)) == ""


def test_new_tokens_are_reported_with_their_price() -> None:
    bits = {**EXTENDED["bits_per_byte"], "end": {"domain": 1.5, "generic": 1.3}}
    train = {"steps": 40, "vocab": {"bits_per_byte": bits, "rows_steps": 4}}
    recipe, _ = trained(2.1)
    text = render_vocabulary("second-1", recipe, records({"extend": EXTENDED, "train": train}))
    for part in (
        *("341 new tokens, out of 444", "| domain | 1178.0 | 968.0 | -17.8% |"),
        *("| before new tokens | 2.5000 | 1.3500 |", "| trained | 1.5000 | 1.3000 |"),
        *("first 4 of 40 steps", "| glio | gl · io | 90 | 180 |", "run `first-1`"),
    ):
        assert part in text, part
    assert any("1178 -> 968" in line for line in finding("extend", EXTENDED))


EXTENDED: dict[str, Any] = {
    **{"tokens": 341, "candidates": 444, "least": 100, "training_tokens": 617_017},
    "on_the_way": 106,
    "first_run": {"run": "first-1", "fertility_ratio": 2.1, "limit": 2.0},
    "tokens_per_document": {"domain": [1178.0, 968.0], "generic": [2340.0, 2336.0]},
    "bits_per_byte": {
        "before": {"domain": 2.5, "generic": 1.35},
        "init": {"domain": 2.36, "generic": 1.36},
    },
    "largest": [{"token": "glio", "pieces": ["gl", "io"], "count": 90, "saved": 180}],
}
