"""The compute precision is chosen once a run: a timing that turns changes nothing later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.runs.run import Run, create_run
from engine.worker.model import base as models
from engine.worker.model import precision
from engine.worker.model.precision import Precision, choose_precision
from tests import tiny
from tests.faults.driving import alarms, edit, recipe, steps, walk, walk_until, weights

Files = dict[str, Path]


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine whose clock the test sets: ``{"fast": name, "asked": [names timed]}``."""
    state: dict[str, Any] = {"fast": "fp32", "asked": []}

    def seconds(precision: Precision, *rest: Any, **more: Any) -> float:
        state["asked"].append(precision.name)
        return 0.1 if precision.name == state["fast"] else 1.0

    monkeypatch.setattr(precision, "measure_seconds", seconds)
    return state


def auto(model: Path, files: Files, gate: bool = False) -> str:
    return recipe(model, files, gate=gate).replace('dtype = "fp32"', 'dtype = "auto"')


def kept(run: Run) -> dict[str, str]:
    found: dict[str, str] = json.loads((run.path / "artifacts" / "precision.json").read_text())
    found.pop("sha256", None)  # its own hash
    return found


def test_a_resume_computes_as_the_start_did(
    tiny_model: Path, tiny_files: Files, timing: dict[str, Any]
) -> None:
    text = auto(tiny_model, tiny_files)
    whole, stopped = create_run("whole", text), create_run("stopped", text)
    walk(whole)
    assert walk_until(stopped, 4).code == 6
    timing["fast"] = "bf16"
    assert walk(stopped).code == 3
    assert kept(stopped)["name"] == stopped.read_artifact("train")["dtype"] == "fp32"
    assert [e.loss for e in steps(stopped)] == [e.loss for e in steps(whole)]
    assert weights(stopped) == weights(whole)


def test_one_timing_serves_all_stages_and_both_arms(
    tiny_model: Path, tiny_files: Files, timing: dict[str, Any]
) -> None:
    timing["fast"] = "bf16"
    run = create_run("gate", auto(tiny_model, tiny_files, gate=True))
    assert walk(run).code in (0, 4, 5)
    assert timing["asked"] == ["fp32", "bf16"]
    assert kept(run) == {
        "asked": "auto",
        "name": "bf16",
        "why": "measured 10.0x as fast as fp32 here",
        "device": models.device().type,
    }
    assert run.read_artifact("train")["dtype"] == "bf16"


def test_another_precision_is_no_way_to_go_on(
    tiny_model: Path, tiny_files: Files, timing: dict[str, Any]
) -> None:
    run = create_run("edited", auto(tiny_model, tiny_files))
    assert walk_until(run, 4).code == 6
    before = kept(run)
    edit(run, 'dtype = "auto"', 'dtype = "bf16"')
    end = walk(run)
    assert end.code == 1
    assert "dtype" in end.message
    assert kept(run) == before
    edit(run, 'dtype = "bf16"', 'dtype = "auto"')
    assert walk(run).code == 3


def test_on_another_device_the_precision_is_kept_and_said(
    tiny_model: Path, tiny_files: Files
) -> None:
    run = create_run("moved", auto(tiny_model, tiny_files))
    (run.path / "artifacts").mkdir()
    path = run.path / "artifacts" / "precision.json"
    made = {"asked": "auto", "name": "bf16", "why": "", "device": "tpu"}
    path.write_text(json.dumps(made))
    assert walk(run).code == 3
    assert run.read_artifact("train")["dtype"] == "bf16"
    assert any("chosen on tpu" in message for message in alarms(run))
    path.write_text(json.dumps({**made, "name": "fp16"}))
    end = walk(run)
    if not torch.cuda.is_available():
        assert end.code == 1
        assert "fp16" in end.message


@pytest.mark.parametrize("room", [0, 2, 8])
def test_a_timing_that_does_not_fit_is_made_smaller(tmp_path: Path, room: int) -> None:
    """Rows are halved until they fit; where not even one does, bf16 is the smaller of the two."""
    model, seen = models.load_folder(tiny.write_model(tmp_path / "m")), []

    def full(module: torch.nn.Module, args: Any, given: dict[str, Any]) -> None:
        seen.append(len(given["input_ids"]))
        if seen[-1] > room:
            raise torch.OutOfMemoryError("no room")

    model.register_forward_pre_hook(full, with_kwargs=True)
    chosen = choose_precision("auto", model, (8, 16))
    assert chosen.name in ("fp32", "bf16")
    assert sorted(set(seen), reverse=True) == [n for n in (8, 4, 2, 1) if n >= max(room, 1)]
    if room == 0:
        assert chosen.name == "bf16"
        assert "memory" in chosen.why
