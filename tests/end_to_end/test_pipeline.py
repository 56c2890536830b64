"""The whole path on a tiny real model: every stage, replay, skip, and a verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.recipe.toml import load_recipe
from engine.runs.events import StageDone, TrainStep, read_all
from engine.runs.run import Run, create_run, list_runs
from tests import tiny
from tests.conftest import Command
from tests.faults.driving import walk


def write_recipe(folder: Path, model: Path, files: dict[str, Path], **options: object) -> Path:
    path = folder / "tiny.toml"
    path.write_text(tiny.recipe_text(model, files, **options))  # type: ignore[arg-type]
    return path


def losses(run: Run) -> list[float | None]:
    return [
        e.loss
        for e in read_all(run.events_path)
        if isinstance(e, TrainStep) and e.series == "train"
    ]


def test_check_decides_and_writes_a_recipe(
    cpt: Command, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.toml"
    done = cpt(
        "check",
        str(tiny_files["domain"]),
        "--model",
        str(tiny_model),
        "--generic",
        str(tiny_files["generic"]),
        "--hurts",
        "unreadable",
        "--out",
        str(out),
        "--json",
    )
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert result["outcome"] == "NO-GO"
    assert "noise" in result["message"].lower() or "token" in result["message"]
    assert load_recipe(out)[0].verdict["decision"]["outcome"] == "NO-GO"


def test_all_stages_replay_and_skip(
    cpt: Command, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    """A run with a gate ends in a verdict; its twin is equal; resuming it runs nothing again."""
    recipe = write_recipe(tmp_path, tiny_model, tiny_files, gate=True)
    first = cpt("run", str(recipe), "--plain")
    assert first.returncode in (0, 4, 5), first.stdout + first.stderr
    second = cpt("run", str(recipe), "--json")
    assert second.returncode == first.returncode
    pack = json.loads(second.stdout)["stages"]["pack"]
    assert abs(pack["achieved_mix"] - 0.10) * pack["tokens"] <= pack["sequence_length"]
    assert pack["seams"]
    a, b = sorted(list_runs(), key=lambda r: r.events_path.stat().st_ctime)
    assert losses(a) == losses(b)
    assert losses(a)
    for stage, keys in (
        ("pack", ["sha256", "ledger"]),
        ("train", ["model_sha256"]),
        ("gate", ["outcome", "per_item"]),
    ):
        made = [run.read_artifact(stage) for run in (a, b)]
        assert all(made[0][k] == made[1][k] for k in keys), stage
    report = a.report_path.read_text()
    assert "Overridden" in report
    assert "never the verdict" in report

    assert walk(a).code == first.returncode
    done = [e for e in read_all(a.events_path) if isinstance(e, StageDone)]
    again = {e.stage: e.skipped for e in done[len(done) // 2 :]}
    assert {s for s, skipped in again.items() if not skipped} == {"report"}

    once = cpt("watch", a.id, "--once")
    assert "gate" in once.stdout
    assert json.loads(cpt("watch", a.id, "--once", "--json").stdout)["outcome"]
    assert a.id in cpt("runs").stdout
    assert "## Was it worth it?" in cpt("report", a.id).stdout


def test_a_no_go_is_not_trained_past(
    cpt: Command, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    text = tiny.recipe_text(tiny_model, tiny_files, gate=True)
    recipe = tmp_path / "r.toml"
    recipe.write_text(text.replace('override = "a test of the machinery"\n', ""))
    run = create_run("refused", recipe.read_text())
    assert walk(run).code == 3
    assert not losses(run)
    forced = cpt("run", str(recipe), "--override", "because I say so", "--detach")
    assert forced.returncode == 0
    kept = {load_recipe(r.recipe_path)[0].recipe.override for r in list_runs()}
    assert kept == {"", "because I say so"}
    cpt("stop")


@pytest.mark.parametrize("tied", [True, False])
def test_lora_trains_and_merges(tiny_files: dict[str, Path], tmp_path: Path, tied: bool) -> None:
    model = tiny.write_model(tmp_path / "m", tied=tied)
    text = tiny.recipe_text(model, tiny_files)
    text = text.replace('method = "full"\n', "").replace("train_embeddings = true\n", "")
    run = create_run("lora", text)
    assert walk(run).code == 3  # trained, but without a gate: NOT YET
    train = run.read_artifact("train")
    assert train is not None
    assert train["method"] == "lora"
    assert train["domain_after"] < train["domain_before"]
    assert (run.path / "model" / "model.safetensors").is_file()
    assert not list((run.path / "model").glob("adapter*"))
