"""Model folders taken apart: their tensors, keys, shards and configs changed on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from engine.recipe import sections as recipes
from engine.worker.model import base as models

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


def write_kind(folder: Path, tokenizer: Path, kind: str, **more: Any) -> Path:
    """A random model of an architecture, with the tokenizer of another folder."""
    fast = AutoTokenizer.from_pretrained(tokenizer)
    size = {"vocab_size": len(fast), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **size, **more))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def resolved(folder: Path) -> models.Base:
    """The folder as the worker finds it."""
    return models.resolve(recipes.Model.model_validate({"id": str(folder)}))
