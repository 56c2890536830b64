"""Both arms together: macro-F1 from end to end, and on the clean part of a gold set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.artifacts.gate import SeedScores
from engine.gate import items, looks
from engine.gate.recheck import find_difference
from engine.gold.draws import GateItems, SftRows
from engine.gold.example import Example
from engine.gold.load import gold_items
from engine.gold.metrics import f1_values
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe
from engine.runs.event_log import EventLog
from engine.runs.events import ArmSeed, GateLooked
from engine.runs.run import create_run
from engine.worker.gate.arm_files import ArmFiles
from engine.worker.gate.stage import Judging
from engine.worker.job.context import Context
from tests import tiny
from tests.faults.driving import alarms, events, recipe, walk

CHOICES = (" a", " b")
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def judging(folder: Path, gold: list[Example], metric: str) -> Judging:
    run = create_run("judged", "", folder)
    gate = {"metric": metric, "seeds": [0, 1], "why_fewer_seeds": "a test"}
    asked = Recipe.model_validate({"model": {"id": "x"}, "corpus": {"path": "y"}, "gate": gate})
    made: Any = Judging(Context(run, asked, EventLog(run.events_path)), None, {}, "")  # type: ignore[arg-type]
    made.__dict__["items"] = GateItems(SftRows([], 0), gold)
    return made  # type: ignore[no-any-return]


def test_the_clean_part_of_macro_f1_is_scored_anew(tmp_path: Path) -> None:
    """A part of its values is not the score of a part."""
    gold = [Example(f"p {n}", CHOICES[n % 3 == 0], CHOICES) for n in range(12)]
    answers = [[CHOICES[(n + seed) % 4 == 0] for n in range(12)] for seed in (0, 1)]
    one = judging(tmp_path, gold, "macro_f1")
    folder = one.context.run.path / "artifacts" / "arms"
    files = ArmFiles(folder, "base", "print"), ArmFiles(folder, "cpt", "print")
    for seed in (0, 1):
        files[0].write(str(seed), SeedScores(scores=[], answers=answers[seed]))
        files[1].write(str(seed), SeedScores(scores=[], answers=answers[1 - seed]))
    clean = one._clean_scores(files, 2, [0, 3])
    assert clean is not None
    keep = [n for n in range(12) if n not in (0, 3)]
    for seed in (0, 1):
        expected = f1_values([gold[n].label or gold[n].completion for n in keep],
                             [answers[seed][n] for n in keep])  # fmt: skip
        assert clean[0][seed].tolist() == pytest.approx(expected)
        assert clean[1][1 - seed].tolist() == pytest.approx(expected)
    others = ArmFiles(folder, "base", "another"), files[1]
    assert one._clean_scores(others, 2, [0, 3]) is None
    assert one._clean_scores(files, 2, []) is None
    assert judging(tmp_path / "b", gold, "choice")._clean_scores(files, 2, [0]) is None


def test_macro_f1_from_end_to_end(tmp_path: Path) -> None:
    """The base is a chat model here: the guard reads its answers too, and the verdict holds."""
    model, files = tiny.write_model(tmp_path / "m"), tiny.write_corpora(tmp_path / "c")
    (model / "chat_template.jinja").write_text(TEMPLATE)
    text = recipe(model, files, gate=True)
    text = text.replace("plausible_gain", 'metric = "macro_f1"\nplausible_gain')
    run = create_run("f1", text)
    assert walk(run).code in (0, 4, 5)
    made = run.read_artifact("gate")
    assert made["chat_low"] < made["chat_rise"] < made["chat_high"]
    assert made["chat_guard"] in ("green", "amber", "red")
    assert find_difference(run) == ""
    scan = run.read_artifacts("scan").scan
    assert scan is not None
    assert scan.scan.chat is not None
    assert scan.scan.chat.template
    gold = gold_items(files["gold"], Gate(metric="macro_f1"))
    for arm, key in (("base", "base_scores"), ("cpt", "cpt_scores")):
        for seed in (0, 1):
            kept = json.loads((run.path / "artifacts" / "arms" / f"{arm}-{seed}.json").read_text())
            found = [text.strip() for text in kept["answers"]]
            expected = 100 * np.mean(f1_values([e.completion.strip() for e in gold], found))
            assert made[key][seed] == pytest.approx(expected, abs=1e-9)


def test_an_arm_that_answers_all_alike_is_said(tmp_path: Path) -> None:
    """SFT whose rate is far too low teaches nothing: each item gets the base's favourite."""
    model, files = tiny.write_model(tmp_path / "m"), tiny.write_corpora(tmp_path / "c")
    for name in ("gold", "sft"):
        rows = [json.loads(line) for line in files[name].read_text().splitlines()]
        choices = [" the", " a", " river"]
        found = [
            {**row, "choices": choices, "completion": choices[n % 3]} for n, row in enumerate(rows)
        ]
        tiny.write_jsonl(files[name], list(found))
    text = recipe(model, files, gate=True).replace("lr = 1e-3\nbatch = 8", "lr = 1e-9\nbatch = 8")
    run = create_run("alike", text)
    walk(run)
    baseline = run.read_artifact("baseline")
    assert baseline is not None
    answers = [
        json.loads((run.path / "artifacts" / "arms" / f"base-{seed}.json").read_text())["answers"]
        for seed in (0, 1)
    ]
    alike = sum(len(set(row)) == 1 for row in answers)
    assert baseline["constant_seeds"] == alike == 2
    assert any("the base arm gave one and the same answer" in m for m in alarms(run))
    assert "One and the same answer was given to every item by the base arm under 2 of 2" in (
        run.report_path.read_text()
    )


def test_a_sequential_gate_trains_the_base_s_later_seeds_after_cpt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds before training; the gate goes on to a third in both arms, and reports all."""
    monkeypatch.setattr(looks, "FUTILE", -1.0)
    model, files = tiny.write_model(tmp_path / "m"), tiny.write_corpora(tmp_path / "c")
    text = recipe(model, files, gate=True)
    text = text.replace("seeds = [0, 1]", "seeds = [0, 1, 2]\nlooks = [2, 3]")
    run = create_run("looks", text)
    assert walk(run).code in (0, 4, 5)
    made = run.read_artifacts("baseline", "gate")
    assert made.baseline is not None
    assert made.gate is not None
    assert len(made.baseline.per_item) == 2
    assert made.gate.base is not None
    assert made.gate.base.seeds == [0, 1, 2]
    assert made.gate.base.scores[:2] == made.baseline.per_item
    assert [look.seeds for look in made.gate.looks] == [2, 3]
    assert [look.seeds for look in events(run, GateLooked)] == [2, 3]
    first = [(e.arm, e.seed) for e in events(run, ArmSeed)]
    assert first == [("base", 0), ("base", 1), ("cpt", 0), ("cpt", 1), ("base", 2), ("cpt", 2)]
    assert find_difference(run) == ""
    assert len(items.load(run).items[0].base.scores) == 3
