"""Is this folder a model that can be loaded? Read from its files, without torch."""

from __future__ import annotations

import json
from pathlib import Path

from engine.errors import InputError

LFS_HEADER = b"version https://git-lfs"


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
