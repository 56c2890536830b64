"""All that a model folder's files can tell within a second: the first fault is said."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError
from engine.model_folder.config import (
    VOCABULARY_KEYS,
    WIDTH_KEYS,
    check_config,
    number,
    text_part,
)
from engine.model_folder.headers import SINGLE, read_json, stored_tensors, weight_files
from engine.model_folder.layers import check_names
from engine.model_folder.needed_memory import free_memory

LFS_HEADER = b"version https://git-lfs"
LOADED_BYTES = 4
"""A number in memory: models are loaded in fp32."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
ADAPTER = "adapter_config.json"


def check_model_folder(folder: Path) -> None:
    """InputError unless this is a whole local safetensors causal LM without custom code."""
    weights = sorted(folder.glob("*.safetensors"))
    _check_adapter(folder, weights)
    config_path = folder / "config.json"
    if not config_path.is_file():
        raise InputError(f"{folder}: no config.json; give the folder of a transformers model")
    patterns = ("*.safetensors", "*.json", "tokenizer*", "*.bin")
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        if is_lfs_pointer(path):
            raise InputError(
                f"{path}: a git-lfs pointer, not the file itself; run 'git lfs pull' there"
            )
    config = read_json(config_path)
    check_config(config_path, config)
    if not weights and not (folder / f"{SINGLE}.index.json").is_file():
        hint = " (only .bin weights, which are pickles)" if any(folder.glob("*.bin")) else ""
        raise InputError(f"{folder}: no .safetensors weights{hint}; convert or download them")
    tensors = stored_tensors(folder)
    check_names(folder, config, tensors)
    inner = text_part(config)
    embeddings = (number(inner, VOCABULARY_KEYS) or 0) * (number(inner, WIDTH_KEYS) or 0)
    _check_memory(folder, max(embeddings, sum(tensor.size for tensor in tensors.values())))
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise InputError(f"{folder}: no tokenizer.json; copy the model's tokenizer there")


def _check_adapter(folder: Path, weights: list[Path]) -> None:
    if (folder / ADAPTER).is_file():
        base = read_json(folder / ADAPTER).get("base_model_name_or_path")
        of = f" of {str(base)[:120]}" if base else ""
        if (folder / SINGLE).is_file() or (folder / f"{SINGLE}.index.json").is_file():
            raise InputError(
                f"{folder}: an adapter{of} lies beside the model's weights, and transformers would "
                f"load both; move {ADAPTER} and adapter_model.safetensors elsewhere, or merge them"
            )
        raise InputError(
            f"{folder}: an adapter{of}, not a model; merge it into its base (peft: "
            "merge_and_unload) and give the merged model's folder"
        )
    if weights and all(path.name.startswith("adapter_") for path in weights):
        raise InputError(
            f"{folder}: holds an adapter's weights and no model's; merge them into their base "
            "(peft: merge_and_unload) and give the merged model's folder"
        )


def _check_memory(folder: Path, numbers: int) -> None:
    needed, free = LOADED_BYTES * numbers, free_memory()
    if needed > free:
        raise InputError(
            f"{folder}: the model has {numbers:,} parameters, which need {needed / 1e9:.1f} GB in "
            f"fp32, and {free / 1e9:.1f} GB of memory are free here; use a smaller model or a "
            "larger machine"
        )


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a git-lfs pointer instead of its content."""
    try:
        with path.open("rb") as handle:
            return handle.read(len(LFS_HEADER)) == LFS_HEADER
    except OSError:
        return False


def weights_bytes(folder: Path) -> int:
    """Size of a model's weights on disk; 0 where they are not all there."""
    try:
        return sum(path.stat().st_size for path in weight_files(folder))
    except (InputError, OSError):
        return 0
