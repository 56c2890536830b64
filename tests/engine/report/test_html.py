"""report.html: one file that needs nothing, in which text of strangers stays text."""

from __future__ import annotations

import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.files import private_dir
from engine.gate.judge import judge
from engine.recipe.toml import parse_toml, validate
from engine.report.html import render_html
from engine.report.markdown import code, inert
from engine.report.report import html_path, write_report
from engine.runs.run import Run
from engine.thresholds import effective
from tests.cpt_tui import worlds
from tests.engine.report.test_report import made, records

GATE: dict[str, Any] = worlds.GATE
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "strong"),
    *("div", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "blockquote", "hr"),
    *("figure", "svg", "text", "line", "circle", "rect", "polyline", "em"),
}
EVIL = (
    "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://a.b/c.png) `</code>` | # &lt;"
)


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def safe(text: str) -> Tags:
    found = Tags(text)
    assert found.tags <= ALLOWED, found.tags - ALLOWED
    for name, value in found.attributes:
        assert name not in ("href", "src", "srcset", "action", "data"), (name, value)
        assert not name.startswith("on"), name
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    return found


@given(st.text(max_size=200))
def test_foreign_text_stays_text(text: str) -> None:
    safe(
        render_html(
            f"# {inert(text)}\n\n{inert(text)}\n\n| a | b |\n|---|---|\n| {code(text)} | c |\n", {}
        )
    )


@given(st.text(max_size=200))
def test_even_raw_markdown_has_no_live_part(text: str) -> None:
    safe(render_html(text, {}))


def test_pictures_are_inline_and_no_other_is_loaded() -> None:
    text = render_html(
        "![a](charts/a.svg)\n\n![b](http://x/y.png)\n", {"charts/a.svg": "<svg></svg>"}
    )
    assert "<figure><svg></svg></figure>" in text
    assert "y.png" not in text
    safe(text)


def judged(folder: Path, **gate: Any) -> tuple[Run, dict[str, Any], str]:
    """A finished world's report: its run, its artifacts, the recipe's text."""
    world = worlds.finished(folder)
    stages: dict[str, Any] = {**made(), "pack": {**worlds.pack(), "asked_mix": 0.1}}
    stages["train"] = {
        **{"steps": 1000, "tokens": 3_277_000, "domain_before": 3.41, "domain_after": 2.915},
        **{"generic_before": 2.871, "generic_after": 2.895, "guard": "amber", "method": "lora"},
        **{"generic_rise": 0.024, "lr": 1e-4, "dtype": "fp32", "model_sha256": "0" * 64},
    }
    stages["baseline"] = {"registration": "ab" * 32, "mde": 3.9, "scores": GATE["base_scores"]}
    stages["gate"] = {**GATE, **gate}
    return world.run, stages, worlds.RECIPE


def with_purpose(words: str) -> str:
    """The world's recipe with these words of a stranger in it."""
    return re.sub(r"purpose = .*", lambda _: f"purpose = '''{words}'''", worlds.RECIPE)


def written(folder: Path, text: str = worlds.RECIPE, **gate: Any) -> tuple[str, str]:
    """(Markdown, HTML) of a judged run."""
    run, stages, _ = judged(folder, **gate)
    recipe = validate(parse_toml(text, "recipe.toml"), text, "recipe.toml")
    markdown = write_report(run, recipe, records(stages)).read_text()
    return markdown, html_path(run).read_text()


def test_a_judged_run_has_its_page_and_its_charts(tmp_path: Path) -> None:
    markdown, html = written(tmp_path, tries=3, p_adjusted=0.006)
    found = safe(html)
    for part in (
        *("EARNED", "Training on your text was worth it: the task went up by 4.3 points."),
        *("3 tries have been counted", "corrected for them, p = 0.006", "Ship the trained model."),
        *("What it cost", "Appendix", "Held-out loss while training", "amber to 0.05"),
    ):
        assert part in found.words, part
    assert html.count("<svg") == 4
    assert markdown.index("## What to do next") < markdown.index("# Appendix")
    charts = sorted(p.name for p in tmp_path.rglob("charts/*.svg"))
    assert charts == ["forgetting.svg", "interval.svg", "losses.svg", "seeds.svg"]
    for name in charts:
        assert f"](charts/{name})" in markdown


@pytest.mark.parametrize(
    ("gate", "words", "next_"),
    [
        (
            {"outcome": "TIE", "label": "underpowered", "guard": "green"},
            "too small to tell",
            "answer",
        ),
        ({"outcome": "TIE", "label": "equivalent"}, "equal for every purpose", "Leave this corpus"),
        ({"outcome": "TIE", "label": "trivial"}, "smaller than the 2 points", "Leave this corpus"),
        ({"outcome": "HURT", "high": -1.0, "low": -5.0}, "made the task worse", "forget less"),
        ({"outcome": "HURT", "guard": "red"}, "forgotten too much", "more mix-back"),
        ({"label": "at a cost", "guard": "red"}, "forgotten some general", "more mix-back"),
        (
            {"outcome": "TIE", "label": "underpowered", "items_wanted": 1200, "seeds_wanted": 9},
            "too small",
            "1,200 gold items or 9 seeds",
        ),
    ],
)
def test_every_verdict_is_said_plainly(
    tmp_path: Path, gate: dict[str, Any], words: str, next_: str
) -> None:
    markdown, _ = written(tmp_path, **gate)
    first = markdown[: markdown.index("# Appendix")]
    assert words in first
    assert next_ in first
    if gate.get("outcome", "EARNED") != "EARNED":
        assert "Ship the base model" in first
        assert "cpt export" not in first  # before stage two there is nothing to ship


def test_tags_are_told_with_their_correction(tmp_path: Path) -> None:
    names = ("tag", "items", "estimate", "low", "high", "p_value", "p_adjusted")
    told = [("dose|s", 40, 3.0, -1.0, 7.0, 0.2, 0.4), ("names", 60, 5.0, 1.0, 9.0, 0.005, 0.01)]
    rows = [dict(zip(names, row, strict=True)) for row in told]
    markdown, _ = written(tmp_path, by_tag=rows)
    assert "| dose\\|s | 40 | +3.0 | -1.0 to +7.0 | p = 0.400 |" in markdown
    assert "Holm-corrected" in markdown


def test_hostile_names_are_inert_in_the_render_html(tmp_path: Path) -> None:
    text = with_purpose(EVIL)
    _, html = written(tmp_path, text, sentence=EVIL)
    found = safe(html)
    assert "<script>alert(1)</script>" in found.words


def arms(seeds: int, items: int) -> tuple[list[list[float]], list[list[float]]]:
    rng = random.Random(5)
    base = [[float(rng.random() < 0.6) for _ in range(items)] for _ in range(seeds)]
    cpt = [[float(rng.random() < 0.7) for _ in range(items)] for _ in range(seeds)]
    return base, cpt


def weighed(folder: Path, groups: bool = False, **moved: float) -> str:
    """The appendix of a run judged on real tables of item scores."""
    run, stages, text = judged(folder)
    recipe = validate(parse_toml(text, "recipe.toml"), text, "recipe.toml")
    base, cpt = arms(5, 60)
    names = [f"g{at // 3}" for at in range(60)] if groups else None
    rows = [{"prompt": f"p{at}", "completion": " a", "choices": [" a", " b"]} for at in range(60)]
    for row, name in zip(rows, names or [], strict=False):
        row["group"] = name
    copy = private_dir(run.path / "gate") / "gold.jsonl"
    copy.write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdict = judge(base, cpt, recipe.gate, 0.024, effective({}), names)
    stages["baseline"]["per_item"] = base
    stages["gate"] = {**verdict.model_dump(), "per_item": cpt, **moved}
    return write_report(run, recipe, records(stages)).read_text()


@pytest.mark.parametrize("groups", [False, True])
def test_the_printed_arithmetic_gives_the_verdicts_interval(tmp_path: Path, groups: bool) -> None:
    """A statistician with a pocket calculator: every printed step follows from the one before."""
    text = weighed(tmp_path, groups)
    n, s = (20 if groups else 60), 5
    assert f"n = {n} items" in text

    def found(pattern: str) -> list[float]:
        match = re.search(pattern, text)
        assert match, pattern
        return [float(value) for value in match.groups()]

    number = r"(-?[0-9.]+)"
    mi, ms, me = found(
        rf"MS_I of the differences = {number}; MS_S = .* = {number}; MS_E = .* = {number}\n"
    )
    se2, se = found(rf"/ {n * s} = {number}; SE = {number}")
    assert se2 == pytest.approx(max(mi + ms - me, mi, ms) / (n * s), rel=1e-4)
    assert se == pytest.approx(se2**0.5, abs=1e-4)
    (mean,) = found(rf"mean D = {number} points")
    t, low, high = found(rf"\) = {number}; interval = .* = \[{number}, {number}\]")
    assert low == pytest.approx(mean - t * se, abs=2e-3)
    assert high == pytest.approx(mean + t * se, abs=2e-3)
    (mde,) = found(rf"MDE = .* = {number}\n")
    assert f"spread that was seen {mde:.1f} points" in text


def test_another_test_than_the_printed_one_is_not_explained_by_it(tmp_path: Path) -> None:
    text = weighed(tmp_path, low=0.5)
    assert "The interval is not that of the items kept here" in text
    assert "MS_I" not in text
