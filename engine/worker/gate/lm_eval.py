"""An lm-eval task as gold set: written out once as jsonl, and from then on a file like any other.

lm-eval is an optional extra and is imported here only. Prompts are zero-shot whatever the task
says, since the probe is fine-tuned. A task's own Python (``!function``) runs, as in lm-eval.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.files import digest, private_dir, write_atomic
from engine.gold.load import LM_EVAL
from engine.preflight import check_lm_eval
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe
from engine.runs.events import Facts
from engine.worker.job.context import Context

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

PLAIN_FILTERS = {"take_first", "remove_whitespace"}
"""Filters that leave an exact match what it is."""

Row = dict[str, Any]


def materialise(context: Context) -> None:
    """Put a file in place of ``gate.gold = "lm-eval:TASK"``; other recipes pass unchanged.

    The file stays with the run, so a resume needs neither lm-eval nor its data. Raises
    InputError where the task is not there, or is of a kind that no metric here can judge.
    """
    recipe = context.recipe
    if not (recipe.gate.gold or "").startswith(LM_EVAL):
        return
    key = digest([recipe.gate.gold, recipe.gate.lm_eval_path])[:12]
    path = private_dir(context.run.path / "gate") / f"lm-eval-{key}.jsonl"
    if not path.is_file():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in task_rows(recipe.gate)]
        write_atomic(path, "".join(lines))
        facts = {"gold set": f"{recipe.gate.gold}, {len(lines)} items, zero-shot"}
        context.emit(Facts(stage="scan", facts=facts))
    gate = recipe.gate.model_copy(update={"gold": str(path)})
    context.recipe = Recipe.model_copy(recipe, update={"gate": gate})


def task_rows(gate: Gate) -> Iterator[Row]:
    """The task's items as rows of a gold set."""
    check_lm_eval(gate)
    name = str(gate.gold).removeprefix(LM_EVAL)
    task = load_task(name, gate.lm_eval_path)
    kind = str(task.OUTPUT_TYPE)
    if getattr(task, "MULTIMODAL", False) or task.multiple_input or task.multiple_target:
        raise _refusal(name, "its items have several inputs or targets, or are no text")
    if kind == "generate_until":
        _check_generated(name, task)
    elif kind != "multiple_choice":
        raise _refusal(name, f"its output type is {kind}")
    for doc in task.eval_docs:
        yield _row(name, task, doc, kind == "multiple_choice")


def load_task(name: str, folder: str | None) -> Any:
    """One lm-eval task, its data loaded. Raises InputError, whatever lm-eval raised."""
    manager = _task_manager(name, folder)
    if name not in manager.task_index:
        raise InputError(
            f"lm-eval has no task {name!r}; list its names with: lm-eval ls tasks, or give the "
            "folder of your own in gate.lm_eval_path"
        )
    try:
        tasks = manager.load([name])["tasks"]
    except Exception as error:  # a data set that is not here, a template that fails, ...
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"The lm-eval task {name!r} cannot be loaded ({type(error).__name__}: {what}); fetch "
            "its data first, or correct the task"
        ) from None
    if len(tasks) != 1:
        some = ", ".join(list(tasks)[:5])
        raise InputError(f"lm-eval:{name} is a group of {len(tasks)} tasks; name one: {some}, ...")
    return next(iter(tasks.values()))


def _task_manager(name: str, folder: str | None) -> TaskManager:
    """The folder's own tasks where the name is one of them, else lm-eval's tasks with them.

    lm-eval reads the heads of its own 14,000 task files, which takes seconds.
    """
    from lm_eval.tasks import TaskManager

    if folder:
        own = TaskManager(include_path=folder, include_defaults=False)
        if name in own.all_subtasks:
            return own
    return TaskManager(include_path=folder)


def _refusal(name: str, why: str) -> InputError:
    return InputError(
        f"The lm-eval task {name!r} cannot serve as gold set: {why}; take a multiple_choice task, "
        "or a generate_until task judged by exact match"
    )


def _check_generated(name: str, task: Any) -> None:
    """InputError unless the task compares the whole continuation with its target."""
    metrics = {str(one["metric"]) for one in task.config.metric_list or []}
    if "exact_match" not in metrics or task.config.process_results is not None:
        raise _refusal(name, f"its answers are judged by {', '.join(sorted(metrics)) or 'code'}")
    steps = [step["function"] for one in task.config.filter_list or [] for step in one["filter"]]
    if set(steps) - PLAIN_FILTERS:
        raise _refusal(name, f"its answers go through filters ({', '.join(map(str, steps))})")


def _row(name: str, task: Any, doc: Any, choose: bool) -> Row:
    prefix = task.resolve_field(doc, task.config.gen_prefix)
    prompt = task.fewshot_context(doc, 0, gen_prefix=prefix)
    target, delimiter = task.doc_to_target(doc), task.config.target_delimiter
    if not choose:
        return {"prompt": prompt, "completion": f"{delimiter}{target}"}
    texts = [str(text) for text in task.doc_to_choice(doc)]
    if isinstance(target, str) and target in texts:
        target = texts.index(target)
    if not isinstance(target, int) or not 0 <= target < len(texts):
        raise _refusal(name, f"its target {str(target)[:40]!r} is none of the choices")
    choices = [f"{delimiter}{text}" for text in texts]
    return {"prompt": prompt, "completion": choices[target], "choices": choices}
