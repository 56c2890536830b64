"""Model folders taken apart: their tensors, keys, shards and configs changed on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]
SINGLE = "model.safetensors"


def stored(folder: Path) -> Tensors:
    """The tensors of a folder with one weights file."""
    tensors: Tensors = load_file(folder / SINGLE)
    return tensors


def store(folder: Path, tensors: Tensors) -> None:
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})


def rename_keys(folder: Path, rename: Callable[[str], str]) -> None:
    store(folder, {rename(key): value for key, value in stored(folder).items()})


def shard(folder: Path, count: int = 3) -> list[Path]:
    """Split the weights into ``count`` files and an index; returns the files."""
    tensors = stored(folder)
    names = sorted(tensors)
    paths, where = [], {}
    for number in range(count):
        path = folder / f"model-{number + 1:05}-of-{count:05}.safetensors"
        part = names[number::count]
        save_file({name: tensors[name] for name in part}, path, metadata={"format": "pt"})
        where |= dict.fromkeys(part, path.name)
        paths.append(path)
    (folder / SINGLE).unlink()
    (folder / f"{SINGLE}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return paths


def change_config(folder: Path, name: str = "config.json", **values: object) -> None:
    """Set keys of a JSON file; None removes one."""
    path = folder / name
    config = json.loads(path.read_text()) if path.is_file() else {}
    config |= values
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
