"""The price: a timing that runs out of memory is made smaller and never ends the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.worker.measure.cost import LEAST_ROW, measure_speed
from engine.worker.model import base as models
from engine.worker.model.precision import Precision

FP32 = Precision("fp32", "test")


@pytest.mark.parametrize("room", [512, 100, LEAST_ROW, 0])
def test_a_row_that_does_not_fit_is_halved(tiny_model: Path, room: int) -> None:
    """``room`` is the tokens that a training step has memory for; reading always fits."""
    model, tried = models.load_folder(tiny_model), []

    def full(module: torch.nn.Module, args: Any, given: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            tried.append(given["input_ids"].numel())
            if tried[-1] > room:
                raise torch.OutOfMemoryError("no room")

    model.get_decoder().register_forward_pre_hook(full, with_kwargs=True)
    assert min(measure_speed(model, FP32, 256)) > 0
    expected = [n for n in (256, 128, 64) if n >= max(room, LEAST_ROW)]
    fits = [n for n in (256, 128, 64) if n <= room][:1]
    assert list(dict.fromkeys(tried)) == list(dict.fromkeys([*expected, *fits]))
