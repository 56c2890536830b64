"""Run directories: atomic writes, manifests, locks, requests, look-up."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.files import write_atomic, write_json
from engine.recipe.toml import recipe_folder
from engine.runs.launch import read_status
from engine.runs.run import Run, create_run, find_run, list_runs


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run("My Run!", "x = 1\n", tmp_path)


def test_runs_are_private_and_named_safely(run: Run) -> None:
    assert run.id.startswith("my-run-")
    assert run.path.stat().st_mode & 0o077 == 0


def test_an_editor_finds_the_schema_beside_the_recipe(run: Run) -> None:
    assert run.recipe_path.read_text() == "#:schema ./schema.json\nx = 1\n"
    assert (run.path / "schema.json").read_bytes() == (recipe_folder() / "schema.json").read_bytes()


def test_an_artifact_counts_only_with_its_manifest_and_hash(run: Run) -> None:
    assert run.read_artifact("scan") is None
    run.write_artifact("scan", {"a": 1}, "f1")
    assert run.read_artifact("scan", "f1") == {"a": 1}
    assert run.read_artifact("scan", "f2") is None
    run.artifact_path("scan").write_text('{"a": 2}')
    assert run.read_artifact("scan", "f1") is None


def test_a_stages_files_count_as_well(run: Run) -> None:
    rows = run.path / "rows.bin"
    rows.write_bytes(b"one")
    run.write_artifact("pack", {}, "f1", [rows])
    assert run.read_artifact("pack") == {}
    assert run.damaged("pack", "f1") == []
    rows.write_bytes(b"two")
    assert run.read_artifact("pack", "f1") is None
    assert run.damaged("pack", "f1") == ["rows.bin"]
    assert run.damaged("pack", "f2") == []
    rows.unlink()
    assert run.damaged("pack") == ["rows.bin"]


def test_training_has_begun_once_there_are_weights(run: Run) -> None:
    assert not run.training_begun
    (run.checkpoints / "step-00000004").mkdir()
    assert run.training_begun
    (run.checkpoints / "step-00000004").rmdir()
    run.write_artifact("train", {}, "f1")
    assert run.training_begun


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    with pytest.raises(OSError):
        write_atomic(tmp_path / "no" / "a", "x")
    assert path.read_text() == '{\n "x": 1\n}'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_one_worker_a_run_and_a_dead_ones_lock_is_free(run: Run) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys,time\nfrom pathlib import Path\nfrom engine.runs.run import Run\n"
            "with Run(Path(sys.argv[1])).lock():\n"
            "    print('held', flush=True)\n    time.sleep(60)",
            str(run.path),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="already worked on"), run.lock():
        pass
    holder.kill()
    holder.wait()
    with run.lock():
        pass


def test_requests_are_taken_once(run: Run) -> None:
    assert not run.take_request("stop")
    run.request("stop")
    assert run.take_request("stop")
    assert not run.take_request("stop")


def test_look_up(run: Run, tmp_path: Path) -> None:
    other = create_run("other", "", tmp_path)
    assert {r.id for r in list_runs(tmp_path)} == {run.id, other.id}
    assert find_run("my-run", tmp_path) == run
    assert find_run(str(run.path), tmp_path).id == run.id
    with pytest.raises(InputError, match="matches no run"):
        find_run("zzz", tmp_path)
    with pytest.raises(InputError, match="matches 2 runs"):
        find_run("", tmp_path) if find_run(None, tmp_path) is None else create_twin(tmp_path)


def create_twin(folder: Path) -> None:
    create_run("other", "", folder)
    find_run("other", folder)


def test_status_survives_torn_files_and_dead_pids(run: Run) -> None:
    assert read_status(run).words == "not started"
    run.status_path.write_text("{")
    assert read_status(run).state == "unknown"
    assert read_status(run).words == "not known; its status.json is damaged"
    write_json(run.status_path, {"pid": 2**22 - 3, "started": 1.0, "state": "running", "beat": 1.0})
    assert read_status(run).words.startswith("interrupted")


def test_artifacts_are_those_of_every_stage_there_is(tmp_path: Path) -> None:
    """Also of the stages that only some runs have: a report after an export needs them."""
    run = Run(tmp_path)
    made = {"pack": {"sequence_length": 64, "rows": 2}, "extend": {"tokens": 3}}
    for stage, values in {**made, "finish": {"start": 1}}.items():
        run.write_artifact(stage, values, "print")
    found = run.read_artifacts()
    assert found.pack is not None
    assert found.extend is not None
    assert (found.pack.rows, found.extend.tokens, found.gate) == (2, 3, None)
    assert found.unreadable == {"finish": "start: Input should be a valid string"}


@pytest.mark.parametrize("survived", range(7))
def test_a_kill_between_two_writes_leaves_the_old_artifact_or_the_new_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """Two artifacts in turn, the worker killed after each number of renames."""
    run.write_artifact("gate", {"outcome": "TIE"}, "old")
    renames, replace = 0, Path.replace

    def killed(source: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames > survived:
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", killed)
    for outcome in ("EARNED", "HURT"):
        with contextlib.suppress(KeyboardInterrupt):
            run.write_artifact("gate", {"outcome": outcome}, outcome)
    monkeypatch.undo()
    outcomes = ["TIE", "TIE", "EARNED", "EARNED", "EARNED", "HURT", "HURT"]
    assert run.read_artifact("gate") == {"outcome": outcomes[survived]}
    assert run.fingerprint("gate") == {"TIE": "old"}.get(outcomes[survived], outcomes[survived])
    run.write_artifact("gate", {"outcome": "TIE"}, "last")
    assert run.read_artifact("gate", "last") == {"outcome": "TIE"}
