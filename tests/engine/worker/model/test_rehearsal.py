"""The end is rehearsed at the start: what cannot be saved is repaired or refused in seconds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import GenerationConfig

from engine.errors import InputError
from engine.worker.model import base as models
from engine.worker.model import rehearsal
from tests.folders import change_config, resolved
from tests.material import MATERIAL, needs_material

IDLE: dict[str, dict[str, object]] = {
    "Llama-2": {"do_sample": False, "temperature": 0.9, "top_p": 0.6},
    "Vicuna": {"temperature": 0.9, "top_p": 0.6},
    "top_k alone": {"top_k": 20},
    "beams": {"length_penalty": 0.5, "early_stopping": True},
    "padding -1": {"pad_token_id": -1},
}


@pytest.mark.parametrize("kind", IDLE)
def test_flags_without_effect_are_left_out_and_said(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    change_config(folder, "generation_config.json", **IDLE[kind])
    base = resolved(folder)
    wanted = {name for name in IDLE[kind] if name != "do_sample"}
    assert any(all(name in note for name in wanted) for note in base.notes)
    model = models.load(base)
    models.save(model, base, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert not wanted & saved.keys()
    GenerationConfig.from_pretrained(tmp_path / "saved").validate(strict=True)


def test_flags_with_an_effect_stay(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    change_config(folder, "generation_config.json", do_sample=True, temperature=0.7, top_p=0.9)
    base = resolved(folder)
    assert base.notes == ()
    models.save(models.load(base), base, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert (saved["temperature"], saved["top_p"]) == (0.7, 0.9)


REFUSED: dict[str, tuple[str, dict[str, object]]] = {
    "a cache nobody knows": ("generation_config.json", {"cache_implementation": "none such"}),
    "no new tokens": ("generation_config.json", {"max_new_tokens": -5}),
    "odd stopping": ("generation_config.json", {"early_stopping": "sometimes"}),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_saved_is_refused_at_the_start(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    name, values = REFUSED[kind]
    change_config(folder, name, **values)
    with pytest.raises(InputError, match=r"generation_config\.json"):
        resolved(folder)


def test_a_broken_generation_config_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(InputError, match=r"generation_config\.json: cannot be read"):
        resolved(folder)


class Forgetful:
    """A tokenizer that saves another one than it is: no files on disk can make one so."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [1, 2, 3]}

    def save_pretrained(self, folder: str) -> None:
        self.inner.save_pretrained(folder)  # type: ignore[attr-defined]


def test_a_tokenizer_that_saves_as_another_is_refused(tiny_model: Path) -> None:
    base = resolved(tiny_model)
    model = models.load(base)
    with pytest.raises(InputError, match="gives other ids once it is saved"):
        rehearsal.rehearse(tiny_model, model, Forgetful(base.tokenizer))


@needs_material
def test_the_case_of_llama_2s_generation_config(tmp_path: Path) -> None:
    assert MATERIAL is not None
    case = MATERIAL.parent / "cases" / "06_generation_config" / "generation_config.json"
    if not case.is_file():
        pytest.skip("the cases are absent")
    folder = tmp_path / "m"
    shutil.copytree(MATERIAL / "models" / "stories260k", folder)
    (folder / "generation_config.json").unlink()
    shutil.copyfile(case, folder / "generation_config.json")
    base = resolved(folder)
    models.save(models.load(base), base, tmp_path / "saved")
    assert any("temperature, top_p" in note for note in base.notes)
