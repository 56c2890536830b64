"""Out of memory at step k: the same step again with half the micro-batch, and no token twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.runs.run import Run, create_run
from engine.worker.step import parallel
from engine.worker.step.loss import token_losses
from tests.faults import driving

Files = dict[str, Path]
STEP, ROOM = 7, 4
"""The step at which memory ends, and the rows that still fit then."""


def write(tiny_model: Path, tiny_files: Files) -> Run:
    return create_run("oom", driving.recipe(tiny_model, tiny_files, "micro_batch = 8\n"))


def test_the_same_step_is_done_again_in_halves(
    tiny_model: Path, tiny_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory ends in the second micro-batch of a step: what the first one left must not count."""
    unbroken = write(tiny_model, tiny_files)
    driving.walk(unbroken)
    run, real = write(tiny_model, tiny_files), token_losses
    seen: list[int] = []

    def full(model: torch.nn.Module, rows: Any) -> torch.Tensor:
        training = model.training and torch.is_grad_enabled()
        if training and len(driving.steps(run)) >= STEP and len(rows) > ROOM:
            seen.append(len(rows))
            raise torch.OutOfMemoryError("no room")
        return real(model, rows)

    monkeypatch.setattr(parallel, "token_losses", full)
    driving.walk(run)
    assert seen == [8], "asked once: the smaller micro-batch stays"
    assert [m for m in driving.alarms(run) if "out of memory" in m] == [
        "out of memory: the same step again with a micro-batch of 4"
    ]
    one, two = driving.steps(unbroken), driving.steps(run)
    assert [s.step for s in two] == [s.step for s in one] == list(range(1, one[-1].step + 1))
    assert [s.tokens for s in two] == [s.tokens for s in one]
    assert [s.loss for s in two[:STEP]] == [s.loss for s in one[:STEP]]
    assert [s.loss for s in two] == pytest.approx([s.loss for s in one], abs=1e-5)


def test_one_row_that_does_not_fit_ends_the_run_and_keeps_what_there_is(
    tiny_model: Path, tiny_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real = write(tiny_model, tiny_files), token_losses

    def full(model: torch.nn.Module, rows: Any) -> torch.Tensor:
        if model.training and torch.is_grad_enabled() and len(driving.steps(run)) >= STEP:
            raise torch.OutOfMemoryError("no room")
        return real(model, rows)

    with monkeypatch.context() as patch:
        patch.setattr(parallel, "token_losses", full)
        end = driving.walk(run)
    assert end.outcome == "FAILED"
    assert "Out of memory with a single row of 64 tokens" in end.message
    assert list(run.checkpoints.glob("step-*"))
    driving.walk(run)
    assert driving.steps(run)[-1].step == driving.steps(run)[-1].total
