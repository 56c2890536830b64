"""Checks that need no torch: what would fail later is refused now, in one sentence."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

from engine.errors import InputError
from engine.recipe import Gate, Recipe

LFS_HEADER = b"version https://git-lfs"
SPARE_BYTES = 200 << 20
"""Free space wanted beyond the predicted need."""


def check_model_folder(folder: Path) -> None:
    """A local safetensors causal LM without custom code, not LFS pointers. InputError if not."""
    config_path = folder / "config.json"
    if not config_path.is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a transformers model")
    try:
        config = json.loads(config_path.read_text())
    except (OSError, ValueError):
        raise InputError(f"{config_path}: not valid JSON; download the model again") from None
    if "auto_map" in config:
        raise InputError(f"{folder}: needs code of its own (auto_map); cpt runs no remote code")
    weights = sorted(folder.glob("*.safetensors"))
    for path in [*weights, *folder.glob("tokenizer*"), *folder.glob("*.bin")]:
        if is_lfs_pointer(path):
            raise InputError(
                f"{path}: a git-lfs pointer, not the file itself; run 'git lfs pull' there"
            )
    if not weights:
        hint = " (only .bin weights, which are pickles)" if any(folder.glob("*.bin")) else ""
        raise InputError(f"{folder}: no .safetensors weights{hint}; convert or download them")
    if not any(
        (folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")
    ):
        raise InputError(f"{folder}: no tokenizer.json; copy the model's tokenizer there")


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a git-lfs pointer instead of its content."""
    try:
        with path.open("rb") as handle:
            return handle.read(len(LFS_HEADER)) == LFS_HEADER
    except OSError:
        return False


def weights_bytes(folder: Path) -> int:
    """Size of a model's weights on disk."""
    return sum(p.stat().st_size for p in folder.glob("*.safetensors"))


def check_space(folder: Path, need: int, way: str = "set CPT_HOME to another disk") -> None:
    """InputError if the disk of ``folder`` has less than ``need`` bytes and a spare left."""
    free = shutil.disk_usage(folder).free
    if free < need + SPARE_BYTES:
        raise InputError(
            f"{folder}: {free / 1e9:.1f} GB free, about {(need + SPARE_BYTES) / 1e9:.1f} GB "
            f"needed; free some space or {way}"
        )


def check_lm_eval(gate: Gate) -> None:
    """InputError unless lm-eval is installed and the folder of its tasks is there."""
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError(
            f"gate.gold is {gate.gold}, which needs lm-eval: pip install 'cpt-tui[lm-eval]'"
        )
    if gate.lm_eval_path is not None and not Path(gate.lm_eval_path).is_dir():
        raise InputError(f"{gate.lm_eval_path}: no such folder; correct gate.lm_eval_path")


def check_recipe(recipe: Recipe, home: Path, trained: bool = False) -> None:
    """Everything a recipe points at, within a few seconds and without torch.

    Once there are weights (``trained``) a control is its arm's own affair.
    """
    from engine.corpus import Corpus
    from engine.gold import LM_EVAL, gold_items, sft_items

    model = Path(recipe.model.id)
    if model.is_dir():
        check_model_folder(model)
    elif model.is_absolute() or recipe.model.id.startswith((".", "~")):
        raise InputError(f"{recipe.model.id}: no such model folder; check [model] id")
    Corpus(recipe.corpus).check()
    Corpus(recipe.generic).check()
    if recipe.arms.control is not None and not trained:
        Corpus(recipe.arms.control).check()
    gate = recipe.gate
    if gate.gold is not None and gate.gold.startswith(LM_EVAL):
        check_lm_eval(gate)
    elif gate.gold is not None:
        gold_items(Path(gate.gold), gate)
    if gate.sft is not None:
        sft_items(Path(gate.sft), gate)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not os.access(home, os.W_OK):
        raise InputError(f"{home}: not writable; set CPT_HOME to a folder of yours")
    check_space(home, 6 * weights_bytes(model) if model.is_dir() else 0)
