"""Checkpoints: what they need on disk is asked for before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.files import SPARE_BYTES
from engine.recipe.adapters import Lora
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.train.checkpoint import Checkpoints


def test_the_trained_model_is_part_of_the_predicted_space(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRA's checkpoints are small; the model that is saved in the end is the whole one."""
    whole = models.load_folder(tiny_model)
    size = sum(p.numel() * 4 for p in whole.parameters())
    model = methods.METHODS["lora"].ready(
        whole, methods.MethodSettings(Lora.model_validate({}), 1, 0)
    )
    usage = shutil.disk_usage(tmp_path)
    free = usage._replace(free=SPARE_BYTES + size + size // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(InputError, match="needed"):
        Checkpoints(tmp_path).predict_space(model)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 40))
    Checkpoints(tmp_path).predict_space(model)
