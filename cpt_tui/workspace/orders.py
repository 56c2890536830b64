"""What comes after a verdict: checked and prepared before a worker runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.corpus.corpus import Corpus
from engine.demo.demo import is_demo
from engine.errors import InputError
from engine.files import home
from engine.preflight import check_recipe, check_texts
from engine.recipe.sections import Source
from engine.recipe.sources import is_local
from engine.recipe.toml import amend, load_recipe
from engine.release import push as hub_push
from engine.release.policy import SOURCES, check_source, check_target, check_verdict, is_whole
from engine.runs import launch
from engine.runs.run import JUDGE, Run


def order_verdict(run: Run) -> None:
    """Leave the order for a new verdict. InputError where one could not be made.

    The old verdict is not touched: the worker replaces it with a whole new one.
    """
    if not (run.path / "model").is_dir():
        raise InputError(f"Run {run.id} has no trained model yet; go on with: cpt resume {run.id}")
    _must_rest(run)
    _check_inputs(run)
    run.request(JUDGE)


def _check_inputs(run: Run) -> None:
    """InputError where what a later stage reads is gone, or changed since the verdict."""
    recipe, _ = load_recipe(run.recipe_path)
    if is_demo(recipe):
        return
    check_recipe(recipe, home(), run.training_begun)
    check_texts(run, recipe)


def prepare_finish(run: Run, asked: Mapping[str, object]) -> None:
    """Write stage two's intent into the run's recipe. InputError before there is a verdict."""
    _must_be_judged(run, "stage two begins at one")
    _check_inputs(run)
    if not asked.get("anyway"):
        check_verdict(run, "finish")
    kept = {name: value for name, value in asked.items() if value not in (None, "")}
    amend(run.recipe_path, {"finish": {"run": True, **kept}})


SHOWN = {"curve": "curve", "more-sft": "more_sft", "merges": "merges"}
"""What ``--show`` takes, and the recipe's key."""


def prepare_arms(run: Run, control: str, cpt_seeds: bool, show: Sequence[str] = ()) -> None:
    """Write more arms into the run's recipe. InputError before there is a verdict."""
    _must_be_judged(run, "more arms are compared with it")
    asked: dict[str, object] = {"cpt_seeds": True} if cpt_seeds else {}
    for name in show:
        if name not in SHOWN:
            raise InputError(f"--show {name}: give {', '.join(SHOWN)}")
        asked[SHOWN[name]] = True
    recipe, _ = load_recipe(run.recipe_path)
    if not (asked or control or recipe.arms.asked):
        raise InputError(
            "No arm was asked for; give --control TEXT (irrelevant text, Gururangan's control) or "
            "--cpt-seeds (a training run for each seed: a verdict on the recipe) or --show curve, "
            "more-sft or merges (what else the compute could have bought)"
        )
    if control:
        source = _control_source(control)
        Corpus(source).check()
        asked["control"] = {"path": source.path}
    _check_inputs(run)
    if asked:
        amend(run.recipe_path, {"arms": asked}, instead=("arms", "control") if control else ())


def _control_source(control: str) -> Source:
    elsewhere = not is_local(control)
    return Source(path=control if elsewhere else str(Path(control).expanduser().resolve()))


def order_export(run: Run, folder: Path, what: str, push: str, anyway: str) -> None:
    """Leave the order for the worker; what can be refused at once is refused here.

    Raises InputError, and NotEarned for a CPT checkpoint against its verdict.
    """
    made = run.read_artifacts("finish", "export")
    what = what or ("task" if made.finish else "cpt")
    if what not in SOURCES:
        raise InputError(f"--what {what}: give {' or '.join(SOURCES)}")
    _must_rest(run)
    check_source(run, what, anyway)
    if push:
        hub_push.check(push)
    target = folder.expanduser().resolve()
    before = made.export
    if before is None or before.path != str(target) or not is_whole(before):
        check_target(target, run, what)
    run.request("export", to=str(target), what=what, push=push, anyway=anyway)


def _must_be_judged(run: Run, why: str) -> None:
    made = run.read_artifacts("gate")
    if fault := made.describe_unreadable("gate"):
        raise InputError(f"Run {run.id}: {fault}; do: cpt resume {run.id}")
    if not made.gate:
        raise InputError(
            f"Run {run.id} has no verdict yet, and {why}; go on with: cpt resume {run.id}"
        )
    _must_rest(run)


def _must_rest(run: Run) -> None:
    if launch.read_status(run).alive:
        raise InputError(f"Run {run.id} is being worked on; watch it with: cpt watch {run.id}")
