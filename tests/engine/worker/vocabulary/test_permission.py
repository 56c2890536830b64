"""A finished run that measured the tokens as the bottleneck, and no other, allows new ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.artifacts.training import FirstRun
from engine.errors import InputError
from engine.files import private_dir, write_atomic
from engine.recipe.sections import Recipe
from engine.runs.run import Run
from engine.worker.vocabulary.permission import check_first_run
from tests.cpt_tui import measured, worlds

BASE = "ba5e"
TRAIN = {"steps": 40, "domain_before": 3.4, "domain_after": 2.9}
CORPUS = "f" * 64
"""The fingerprint of the world's corpus."""


def first(root: Path, ratio: float = 2.1, **stages: Any) -> Run:
    """A finished run; ``stages`` replace what it wrote, None leaves one out."""
    run = worlds.World(root).run
    write_atomic(run.recipe_path, f'{worlds.RECIPE}\n[provenance]\nmodel_sha256 = "{BASE}"\n')
    scan = measured.scan()
    scan["fertility"]["ratio"] = ratio
    weights = private_dir(run.path / "model") / "weights.bin"
    weights.write_bytes(b"w")
    written = {"scan": scan, "train": TRAIN, "report": {"path": "report.md"}, **stages}
    for stage, made in written.items():
        if made is not None:
            run.write_artifact(stage, made, "f", [weights] if stage == "train" else None)
    return run


def second(run: Run, corpus: str = "/data/letters") -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"id": "m"},
            "corpus": {"path": corpus},
            "vocab": {"extend": True, "first_run": str(run.path)},
        }
    )


def test_it_is_told_what_the_first_run_measured(tmp_path: Path) -> None:
    run = first(tmp_path)
    allowed = check_first_run(second(run), BASE, "another")
    assert allowed == FirstRun(
        run=run.id,
        fertility_ratio=2.1,
        limit=2.0,
        default_limit=2.0,
        domain_before=3.4,
        domain_after=2.9,
    )
    assert check_first_run(second(run, "/data/moved"), BASE, CORPUS) == allowed


def test_a_run_without_its_weights_has_still_measured(tmp_path: Path) -> None:
    run = first(tmp_path)
    shutil.rmtree(run.path / "model")
    assert check_first_run(second(run), BASE, "").fertility_ratio == 2.1


@pytest.mark.parametrize(
    ("how", "base", "corpus", "words"),
    [
        ({"train": None}, BASE, "/data/letters", "has not finished its training"),
        ({"report": None}, BASE, "/data/letters", "has not finished its training"),
        ({}, "0ther", "/data/letters", "trained another base"),
        ({}, BASE, "/data/novels", "read another corpus"),
        ({"scan": None}, BASE, "/data/novels", "read another corpus"),
        ({"ratio": 1.9}, BASE, "/data/letters", "measured 1.90 times .* below 2,"),
        ({"scan": None}, BASE, "/data/letters", "measured no fertility"),
        ({"scan": {"scan": 3}}, BASE, "/data/letters", "scan of run .* cannot be read"),
    ],
)
def test_every_other_run_is_refused_with_its_reason(
    tmp_path: Path, how: dict[str, Any], base: str, corpus: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check_first_run(second(first(tmp_path, **how), corpus), base, "another")
