"""Fetched text in a whole run: its lock, a replay without the server, another text refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from engine.corpus.remote import fetched
from engine.recipe.toml import dump, load_recipe, provenance
from engine.runs.run import Run, create_run
from engine.stages import CHECK_STAGES
from tests.faults.driving import alarms, recipe, walk

AT = "memory://shelf/domain.jsonl"


@pytest.fixture
def shelf(tiny_files: dict[str, Path]) -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.pipe("/shelf/domain.jsonl", tiny_files["domain"].read_bytes())
    yield system
    system.rm("/shelf", recursive=True)


def replay_of(run: Run) -> Run:
    """A new run of a finished run's recipe, in what might be another process."""
    fetched._OPENED.clear()
    loaded, text = load_recipe(run.recipe_path)
    return create_run("again", dump(loaded, text))


def test_a_run_locks_what_it_fetched_and_a_replay_keeps_to_it(
    tiny_model: Path, tiny_files: dict[str, Path], shelf: fsspec.AbstractFileSystem
) -> None:
    text = recipe(tiny_model, tiny_files).replace(str(tiny_files["domain"]), AT)
    text = text.replace("[generic]", "[[generic]]")
    text = text.replace("[interview]", '[[generic]]\npath = "embedded"\n[interview]')
    run = create_run("fetch", text)
    first = walk(run, CHECK_STAGES)
    lock = provenance(run.recipe_path)["fetched"]
    assert isinstance(lock, dict)
    assert list(lock) == [AT]
    assert len(lock[AT]["sha256"]) == 64
    assert str(fetched.fetched_folder()) not in run.recipe_path.read_text()

    shelf.pipe("/shelf/domain.jsonl", b'{"text": "something else"}\n' * 50)
    again = replay_of(run)
    assert walk(again, CHECK_STAGES).outcome == first.outcome
    one, two = (r.read_artifacts("scan").scan for r in (run, again))
    assert one is not None
    assert two is not None
    assert one.domain.fingerprint == two.domain.fingerprint
    assert alarms(again) == alarms(run)

    shutil.rmtree(fetched.fetched_folder())
    refused = walk(replay_of(run), CHECK_STAGES)
    assert refused.code == 1
    assert "is not the text that this recipe was run on" in refused.message
