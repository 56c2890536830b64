"""From a judged run to a folder to ship: stage two, export, push, and what each refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cpt_tui.workspace import orders
from engine.errors import InputError
from engine.recipe.toml import load_recipe
from engine.release.policy import NotEarned
from engine.runs import launch
from engine.runs.events import Event, Facts, read_all
from engine.runs.run import Run, create_run
from engine.stages import STAGES
from engine.worker.model import base as models
from engine.worker.model.base import weights_sha256
from engine.worker.model.precision import Precision
from tests import tiny
from tests.conftest import Command
from tests.faults import driving
from tests.hubuploads import take_uploads

FINISH = (*STAGES, "finish")
WHY = "to see what it does"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run through its gate (LoRA in training and in the probe, untied heads): a TIE."""
    folder = tmp_path_factory.mktemp("judged")
    model = tiny.write_model(folder / "m", tied=False)
    files = tiny.write_corpora(folder / "c")
    text = driving.recipe(model, files, gate=True)
    text = text.replace('method = "full"\nwhy_full = "tiny"\ntrain_embeddings = true\n', "")
    text = text.replace("[gate.probe]\n", '[gate.probe]\nmethod = "lora"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = create_run("judged", text)
        assert driving.walk(run).outcome == "TIE"
    return run


@pytest.fixture
def run(judged: Run, tmp_path: Path) -> Run:
    """A copy of the judged run: each test goes on from the verdict."""
    folder = tmp_path / "home" / "runs" / judged.id
    shutil.copytree(judged.path, folder)
    return Run(folder)


def finished(run: Run, **asked: Any) -> dict[str, Any]:
    """Stage two's artifact."""
    orders.prepare_finish(run, asked)
    assert driving.walk(run, FINISH).code == 0
    made = run.read_artifact("finish")
    assert made is not None
    return dict(made)


def rows(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in made["rows"]}


def test_a_tie_is_finished_from_the_base_and_shipped(
    run: Run, cpt: Command, tmp_path: Path
) -> None:
    """The command line, whole: finish, export, and its refusals with their codes."""
    done = cpt("finish", run.id, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["outcome"] == "TIE"
    made = said["stages"]["finish"]
    assert made["start"] == "base"
    assert "so the base model is what to ship" in made["why"]
    assert list(rows(made)) == ["base", "CPT", "base+SFT", "CPT+SFT"]

    train = run.read_artifact("train")
    assert train is not None
    table = rows(made)
    for name, end in (("base", "before"), ("CPT", "after")):
        for side in ("domain", "generic"):
            assert table[name][side] == train[f"{side}_{end}"]
    assert made["model_sha256"] == weights_sha256(run.path / "task")
    assert table["CPT+SFT"]["domain"] < table["base+SFT"]["domain"]

    out = tmp_path / "out"
    shipped = cpt("export", run.id, str(out), "--json")
    assert shipped.returncode == 0, shipped.stderr
    made = json.loads(shipped.stdout)["stages"]["export"]
    assert made["what"] == "task"
    assert made["proof"]["largest"] <= made["proof"]["tolerance"]
    assert made["gguf"].startswith(f"python convert_hf_to_gguf.py {out} --outfile {out}/")
    names = {path.name for path in out.iterdir()}
    assert {"README.md", "cpt-export.json", "generation_config.json", "config.json"} <= names
    assert {"model.safetensors", "tokenizer.json"} <= names
    assert not list(tmp_path.glob(".out*"))
    card = (out / "README.md").read_text()
    for part in ("# out", "**TIE", "so the base model is what to ship", "base+SFT", "## Limits"):
        assert part in card, part
    assert str(tmp_path) not in card
    report = run.report_path.read_text()
    assert "## Stage two" in report
    assert "Loaded in a fresh process by plain transformers" in report

    orders.order_export(run, out, "", "", "")
    assert driving.walk(run, ("export",)).code == 0  # kept: it is whole
    (out / "README.md").write_text("changed")
    again = cpt("export", run.id, str(out))
    assert again.returncode == 1
    assert "not empty" in again.stderr
    refused = cpt("export", run.id, str(tmp_path / "c"), "--what", "cpt")
    assert refused.returncode == 4
    assert "the base model is what to ship" in refused.stderr
    assert not (tmp_path / "c").exists()
    assert json.loads(cpt("report", run.id, "--json").stdout)["outcome"] == "TIE"


def test_told_to_it_starts_from_cpt_and_the_card_says_so(run: Run, tmp_path: Path) -> None:
    """Without generic text the gate's own scores are reused, and they are what scoring gives."""
    made = finished(run, anyway=WHY, mix_back=0.0, why_no_mix_back="a test")
    assert made["start"] == "CPT"
    assert WHY in made["why"]
    assert made["achieved_mix"] == 0
    table, gate = rows(made), run.read_artifact("gate")
    assert gate is not None
    assert table["CPT+SFT"]["reused"] == ["gold"]
    assert table["CPT+SFT"]["gold"] == pytest.approx(gate["cpt_scores"][0], abs=1e-3)
    assert scored(run, run.path / "task") == gate["per_item"][0]

    orders.order_export(run, tmp_path / "out", "cpt", "", WHY)
    assert driving.walk(run, ("export",)).outcome == "TIE"
    card = (tmp_path / "out" / "README.md").read_text()
    assert f'**Exported anyway**, against the verdict: "{WHY}"' in card
    assert json.loads((tmp_path / "out" / "cpt-export.json").read_text())["anyway"] == WHY


def scored(run: Run, folder: Path) -> list[float]:
    """The gold set scored on a saved model, without anything the run kept."""
    from engine.gold.load import gold_items
    from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
    from engine.worker.scoring.gold import gold_scores

    recipe, _ = load_recipe(run.recipe_path)
    base = models.resolve(recipe.model)
    model = models.load_folder(folder)
    enable_fast_paths(model, Paths(packed=Check(True), chunked=Check(True), tree=Check(True)))
    gold = gold_items(run.path / "gate" / "gold.jsonl", recipe.gate)
    return gold_scores(model, base, gold, recipe.gate, Precision("fp32", "test"))


def test_mix_back_is_what_was_asked_and_changes_the_model(run: Run) -> None:
    plain = finished(run, anyway=WHY, mix_back=0.0, why_no_mix_back="a test")
    mixed = finished(run, anyway=WHY, mix_back=0.3, why_no_mix_back="")
    assert mixed["achieved_mix"] == pytest.approx(0.3, abs=0.05)
    assert mixed["model_sha256"] != plain["model_sha256"]
    assert mixed["gate_gold"] == plain["gate_gold"]
    assert rows(mixed)["base"] == rows(plain)["base"]


def test_a_killed_stage_two_goes_on_to_the_same_model(run: Run, tmp_path: Path) -> None:
    twin = Run(tmp_path / "home" / "runs" / "twin")
    shutil.copytree(run.path, twin.path)
    whole = finished(run)

    orders.prepare_finish(twin, {})
    pid = launch.start(twin, FINISH)
    driving.wait_for(lambda: said(twin, "base+SFT"))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # its threads may hold the lock for a moment after it is called dead
    assert twin.read_artifact("finish") is None
    trained: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Facts) and event.stage == "finish":
            trained.extend(event.facts)

    assert driving.walk(twin, watch=watch).code == 4  # a resume: the recipe wants stage two
    assert twin.read_artifact("finish") == whole
    assert "base+SFT" not in trained
    assert "CPT+SFT" in trained


def said(run: Run, name: str) -> bool:
    facts = [e for e in read_all(run.events_path) if isinstance(e, Facts) and e.stage == "finish"]
    return any(name in fact.facts for fact in facts)


def test_finish_is_not_run_again_and_asks_for_a_verdict(run: Run) -> None:
    first = finished(run)
    before = (run.path / "task" / "model.safetensors").stat().st_mtime_ns
    assert finished(run) == first
    assert (run.path / "task" / "model.safetensors").stat().st_mtime_ns == before
    (run.path / "artifacts" / "gate.manifest.json").unlink()
    with pytest.raises(InputError, match="no verdict yet"):
        orders.prepare_finish(run, {})


def test_a_changed_model_is_not_exported(run: Run, tmp_path: Path) -> None:
    path = run.path / "model" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="changed since it was saved"):
        orders.order_export(run, tmp_path / "out", "cpt", "", WHY)


def test_an_export_that_fails_leaves_nothing(run: Run, tmp_path: Path) -> None:
    """The live model's logits are another's: refused, and neither folder is there."""
    from safetensors.torch import load_file, save_file

    live = run.path / "artifacts" / "live-cpt.safetensors"
    kept = load_file(live)
    save_file({**kept, "logits": kept["logits"] + 1}, live)
    orders.order_export(run, tmp_path / "deep" / "out", "cpt", "", WHY)
    ended = driving.walk(run, ("export",))
    assert ended.code == 1
    assert "differs from the live one by 1" in ended.message
    assert not list((tmp_path / "deep").iterdir())
    live.unlink()  # as in a run of an older version
    assert driving.walk(run, ("export",)).code == 0
    made = run.read_artifact("export")
    assert made is not None
    assert "kept no logits" in made["proof"]["against"]


@pytest.mark.parametrize(
    ("folder", "words"),
    [("home/runs/{run}/out", "inside the run"), ("file", "not empty"), ("full", "not empty")],
)
def test_a_target_that_cannot_be_is_refused(
    run: Run, tmp_path: Path, folder: str, words: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(InputError, match=words):
        orders.order_export(run, tmp_path / folder.format(run=run.id), "cpt", "", WHY)
    with pytest.raises(InputError, match="give cpt or task"):
        orders.order_export(run, tmp_path / "new", "both", "", WHY)
    with pytest.raises(InputError, match="cpt finish"):
        orders.order_export(run, tmp_path / "new", "task", "", WHY)
    with pytest.raises(NotEarned) as caught:
        orders.order_export(run, tmp_path / "new", "cpt", "", "")
    assert caught.value.code == 4


@pytest.mark.skipif(
    not (os.access("/proc", os.W_OK) and shutil.disk_usage("/proc").free == 0),
    reason="no file system without free space that this user may write to",
)
def test_a_full_disk_refuses_an_export_before_a_worker_starts(run: Run) -> None:
    with pytest.raises(InputError, match=r"/proc: 0\.0 GB free.*another disk$"):
        orders.order_export(run, Path("/proc/cpt-out"), "cpt", "", WHY)
    assert not run.requested("export")


def export_in_a_process(run: Run, **environment: str) -> subprocess.CompletedProcess[str]:
    """The worker by itself: where the hub is, is read when its library is imported."""
    command = [sys.executable, "-m", "engine.worker", str(run.path), "--stages", "export"]
    env = {**os.environ, "HF_HUB_DISABLE_XET": "1", **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_push_sends_the_folder_and_never_the_token(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "hf_" + "a1B2" * 8
    with pytest.raises(InputError, match="HF_TOKEN"):
        orders.order_export(run, tmp_path / "out", "cpt", "owner/name", WHY)
    monkeypatch.setenv("HF_TOKEN", token)
    for bad in ("name", "a/b/c", "owner/na me"):
        with pytest.raises(InputError, match="OWNER/NAME"):
            orders.order_export(run, tmp_path / "out", "cpt", bad, WHY)
    details = {"to": str(tmp_path / "out"), "what": "cpt", "push": "owner/name", "anyway": WHY}
    run.request("export", **details)
    with take_uploads() as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
        done = export_in_a_process(run, **online)
        assert done.returncode == 0, done.stdout + done.stderr
        assert hub.created[0]["visibility"] == "private"
        sent = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert hub.files == sent
        assert set(hub.cards) == {sent["README.md"].decode()}
        assert hub.tokens == {f"Bearer {token}"}
        hub.refuse = 403
        refused = export_in_a_process(run, **online)
        assert refused.returncode == 1
    made = run.read_artifact("export")
    assert made is not None
    assert made["pushed"].endswith("/owner/name")
    log = run.events_path.read_text()
    assert "was exported, but not pushed to owner/name" in log
    for folder in (run.path, tmp_path / "out"):
        for path in folder.rglob("*"):
            assert not path.is_file() or token.encode() not in path.read_bytes(), path


def test_a_forged_verdict_is_shipped_only_with_a_reason_that_the_card_keeps(
    run: Run, tmp_path: Path
) -> None:
    """Another hand edits ``gate.json`` and writes a new manifest."""
    values = dict(run.read_artifact("gate") or {})
    forged = {**values, "outcome": "EARNED", "label": "", "estimate": 9.0}
    run.write_artifact("gate", forged, run.fingerprint("gate"))
    with pytest.raises(InputError, match="outcome EARNED instead of TIE"):
        orders.order_export(run, tmp_path / "out", "cpt", "", "")
    with pytest.raises(InputError, match="cpt gate"):
        orders.prepare_finish(run, {})
    orders.order_export(run, tmp_path / "out", "cpt", "", WHY)
    assert driving.walk(run, ("export",)).code == 0
    assert "outcome EARNED instead of TIE" in (tmp_path / "out" / "README.md").read_text()
