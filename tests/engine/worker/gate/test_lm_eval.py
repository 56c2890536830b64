"""An lm-eval task as gold set: real task files, on data made here, offline."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.gold.load import gold_items
from engine.preflight import check_lm_eval
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe
from engine.runs.event_log import EventLog
from engine.runs.run import create_run
from engine.worker.gate import lm_eval
from engine.worker.job.context import Context
from tests.tiny import write_jsonl

needs_lm_eval = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="the extra lm-eval is not installed"
)

HEAD = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
"""
CHOICE = """output_type: multiple_choice
doc_to_text: "Q: {{question}}\\nA:"
doc_to_choice: "{{options}}"
doc_to_target: "{{answer}}"
"""
GENERATE = """output_type: generate_until
doc_to_text: "Q: {{question}}"
doc_to_target: "{{options[answer]}}"
generation_kwargs: {until: ["\\n"]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""

ROLLING = """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tasks and their data."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [
        {"question": f"what is {n}?", "options": ["a stone", "a river", "rain"], "answer": n % 3}
        for n in range(7)
    ]
    data = write_jsonl(folder / "data.jsonl", list(rows))
    kinds = {
        "choosing": CHOICE,
        "saying": GENERATE,
        "rolling": ROLLING,
        "judged": GENERATE.replace("metric: exact_match", "metric: bleu"),
        "filtered": GENERATE
        + "filter_list: [{name: x, filter: [{function: regex, regex_pattern: '(.*)'}]}]\n",
    }
    for name, body in kinds.items():
        (folder / f"{name}.yaml").write_text(HEAD.format(name=name, data=data) + body)
    (folder / "absent.yaml").write_text(
        (HEAD + CHOICE).replace("{name}", "absent").replace("{data}", str(folder / "none.jsonl"))
    )
    (folder / "all.yaml").write_text("group: everything\ntask: [choosing, saying]\n")
    return folder


def gate(task: str, tasks: Path, metric: str = "choice") -> Gate:
    return Gate.model_validate(
        {"gold": f"lm-eval:{task}", "lm_eval_path": str(tasks), "metric": metric}
    )


@needs_lm_eval
def test_choices_become_examples_and_stay_with_the_run(tasks: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"model": {"id": "x"}, "corpus": {"path": "y"}, "gate": gate("choosing", tasks)}
    )
    run = create_run("task", "", tmp_path)
    context = Context(run, recipe, EventLog(run.events_path))
    lm_eval.materialise(context)
    path = Path(str(context.recipe.gate.gold))
    found = gold_items(path, context.recipe.gate)
    assert len(found) == 7
    assert found[1].prompt == "Q: what is 1?\nA:"
    assert found[1].choices == (" a stone", " a river", " rain")
    assert [e.completion for e in found[:3]] == [" a stone", " a river", " rain"]
    for file in tasks.iterdir():
        file.unlink()
    again = Context(run, recipe, EventLog(run.events_path))
    lm_eval.materialise(again)
    assert again.recipe.gate.gold == str(path)


@needs_lm_eval
def test_a_generated_exact_match_becomes_completions(tasks: Path) -> None:
    rows = list(lm_eval.task_rows(gate("saying", tasks, "exact_match")))
    assert rows[2] == {"prompt": "Q: what is 2?", "completion": " rain"}


@needs_lm_eval
@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("rolling", "output type is loglikelihood_rolling"),
        ("judged", "judged by bleu"),
        ("filtered", r"filters \(regex\)"),
        ("everything", "group of 2 tasks; name one: choosing, saying"),
        ("nothing_of_that_name", "no task 'nothing_of_that_name'"),
        ("absent", "'absent' cannot be loaded"),
    ],
)
def test_what_cannot_serve_is_refused_by_name(tasks: Path, task: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        list(lm_eval.task_rows(gate(task, tasks)))
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "lm_eval" else found(name)
    )
    with pytest.raises(InputError, match=r"pip install 'cpt-tui\[lm-eval\]'"):
        check_lm_eval(Gate(gold="lm-eval:arc_easy"))


def test_the_folder_of_tasks_is_checked_early(tmp_path: Path) -> None:
    if importlib.util.find_spec("lm_eval") is None:
        pytest.skip("the extra lm-eval is not installed")
    wrong: dict[str, Any] = {"gold": "lm-eval:x", "lm_eval_path": str(tmp_path / "none")}
    with pytest.raises(InputError, match="no such folder"):
        check_lm_eval(Gate.model_validate(wrong))
    assert json.dumps(wrong)
