"""The learning-rate pilot: who wins, and that it leaves no trace but its answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.training import RateTrial
from engine.files import read_sealed_json, write_sealed_json
from engine.recipe.toml import load_recipe
from engine.runs.events import EvalPoint, read_all
from engine.runs.run import Run, create_run
from engine.worker.train.lr_pilot import FILE, winner
from tests.faults.driving import recipe, walk

LIMIT = 0.05


def trial(lr: float, domain: float, rise: float, broken: bool = False) -> RateTrial:
    return RateTrial(lr=lr, domain=domain, generic=1.0 + rise, generic_rise=rise, broken=broken)


@pytest.mark.parametrize(
    ("trials", "lr"),
    [
        ([trial(1, 2.0, 0.0), trial(3, 1.9, 0.05), trial(9, 1.5, 0.06)], 3),
        ([trial(1, 2.0, 0.07), trial(3, 1.9, 0.06), trial(9, 1.5, 0.5)], 3),
        ([trial(1, 2.0, 0.0), trial(3, 2.0, 0.0), trial(9, 2.1, -0.1)], 1),
        ([trial(1, 2.0, 0.1), trial(3, 1.0, 0.0, True), trial(9, 1.0, 0.0, True)], 1),
        ([trial(3, 2.0, 0.0, True), trial(1, 2.0, 0.0, True), trial(9, 2.0, 0.0, True)], 1),
    ],
)
def test_the_best_rate_that_forgets_little_wins(trials: list[RateTrial], lr: float) -> None:
    assert winner(trials, LIMIT).lr == lr


losses = st.floats(-1, 10)


@given(st.lists(st.tuples(losses, losses, st.booleans()), min_size=3, max_size=3))
def test_no_other_rate_is_better(values: list[tuple[float, float, bool]]) -> None:
    """No whole trial beats the winner on the domain while it forgets little enough."""
    trials = [trial(3.0**n, *value) for n, value in enumerate(values)]
    best = winner(trials, LIMIT)
    whole = [t for t in trials if not t.broken]
    assert best.broken == (not whole)
    safe = [t for t in whole if t.generic_rise <= LIMIT]
    assert all(best in safe and best.domain <= t.domain for t in safe)
    assert all(safe or best.generic_rise <= t.generic_rise for t in whole)


def points(run: Run) -> list[EvalPoint]:
    """Held-out points of the pilot, over all of the run's life."""
    found = [e for e in read_all(run.events_path) if isinstance(e, EvalPoint)]
    return [e for e in found if e.series.startswith("pilot")]


def piloted(model: Path, files: dict[str, Path]) -> Run:
    run = create_run("piloted", recipe(model, files, "lr_pilot = true"))
    assert walk(run).code == 3
    return run


def test_a_pilot_runs_once_and_leaves_the_base_as_it_was(
    tiny_model: Path, tiny_files: dict[str, Path]
) -> None:
    """A resume takes the kept answer; made again in whole or in part, it is the same one.

    Training from step 0 after a pilot and after a kept one gives the same bits, so a pilot
    leaves nothing behind in the weights.
    """
    run = piloted(tiny_model, tiny_files)
    first = run.read_artifact("train")
    assert first is not None
    assert [t["lr"] for t in first["lr_pilot"]] == [3.33e-4, 1e-3, 3e-3]
    assert first["lr"] == winner([RateTrial.model_validate(t) for t in first["lr_pilot"]], LIMIT).lr
    assert [p.domain for p in points(run)] == [t["domain"] for t in first["lr_pilot"]]
    provenance = load_recipe(run.recipe_path)[0].provenance
    assert provenance["learning_rate"].startswith(f"{first['lr']:g} (pilot of three")
    assert "** (taken) |" in run.report_path.read_text()

    kept = run.path / "artifacts" / FILE
    made = read_sealed_json(kept)
    assert made is not None
    for left, expected in ((3, 3), (1, 5), (0, 8)):
        write_sealed_json(kept, {**made, "trials": made["trials"][:left]})
        (run.path / "artifacts" / "train.manifest.json").unlink()
        shutil.rmtree(run.checkpoints)
        assert walk(run).code == 3
        assert len(points(run)) == expected
        assert read_sealed_json(kept) == made
        again = run.read_artifact("train")
        assert again is not None
        assert again["model_sha256"] == first["model_sha256"]
        assert again["lr_pilot"] == first["lr_pilot"]


def test_a_checkpoint_of_another_rate_is_refused(
    tiny_model: Path, tiny_files: dict[str, Path]
) -> None:
    """The rate the pilot chose is part of what a checkpoint was made with."""
    run = piloted(tiny_model, tiny_files)
    kept = run.path / "artifacts" / FILE
    made = read_sealed_json(kept)
    assert made is not None
    for one in made["trials"]:
        one["lr"] *= 2
    write_sealed_json(kept, made)
    (run.path / "artifacts" / "train.manifest.json").unlink()
    end = walk(run)
    assert end.code == 1
    assert "made with another learning rate" in end.message
