"""Checkpoints: safetensors and a sha256 manifest, written aside and renamed.

A checkpoint holds what a step needs and nothing else: trainable weights, optimizer state,
the step. Order and randomness are arithmetic, so no generator state is kept.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from engine.errors import InputError
from engine.preflight import check_space
from engine.run import private_dir, sha256_file, write_json
from engine.worker.model import device

OPTIMIZER_KEYS = ("step", "exp_avg", "exp_avg_sq")
"""AdamW's state of one parameter."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, newest last."""

    folder: Path
    keep: int = 2

    def all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("step-*") if p.is_dir())

    def save(
        self,
        step: int,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
    ) -> tuple[Path, int]:
        """Write ``step-N`` (atomic) and drop all but the last ``keep``; returns path and bytes.

        Raises OSError (no space): the checkpoints before it are then intact.
        """
        private_dir(self.folder)
        final = self.folder / f"step-{step:08d}"
        temporary = self.folder / f".tmp-{step:08d}"
        shutil.rmtree(temporary, ignore_errors=True)
        private_dir(temporary)
        try:
            names = _names(model)
            weights = {name: p.detach().contiguous() for p, name in names.items()}
            save_file(weights, temporary / "trainable.safetensors")
            save_file(_optimizer_tensors(optimizer, names), temporary / "optimizer.safetensors")
            write_json(temporary / "state.json", {"step": step, **state})
            hashes = {p.name: sha256_file(p) for p in sorted(temporary.iterdir())}
            write_json(temporary / "manifest.json", hashes)
            for path in temporary.iterdir():
                _sync(path)
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)
            _sync(self.folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        for old in self.all()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return final, sum(p.stat().st_size for p in final.iterdir())

    def newest(self) -> tuple[Path | None, list[Path]]:
        """The newest whole checkpoint, and those found broken (set aside as ``broken-*``)."""
        for leftover in self.folder.glob(".tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        broken: list[Path] = []
        for path in reversed(self.all()):
            if verify(path):
                return path, broken
            aside = path.with_name(f"broken-{path.name}-{os.getpid()}")
            path.rename(aside)
            broken.append(aside)
        return None, broken

    def predict_space(self, model: torch.nn.Module) -> None:
        """InputError if the disk cannot hold one more checkpoint than are kept, and the model.

        The model is written whole, in fp32, beside an older one until it is renamed.
        """
        trained = sum(p.numel() * 4 for p in _names(model))
        whole = sum(p.numel() * 4 for p in model.parameters())
        check_space(private_dir(self.folder), (self.keep + 1) * 3 * trained + 2 * whole)


def verify(path: Path) -> bool:
    """Whether every file of a checkpoint has the hash its manifest says."""
    try:
        hashes: dict[str, str] = json.loads((path / "manifest.json").read_text())
        return bool(hashes) and all(sha256_file(path / n) == h for n, h in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def restore(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: dict[str, str]
) -> dict[str, Any]:
    """Load a checkpoint into model and optimizer, in place; returns its state.

    Raises InputError naming what changed if it was made from other data or another recipe,
    and the reason where the run ended for good. A parameter that no step has touched yet has
    no optimizer state.
    """
    state: dict[str, Any] = json.loads((path / "state.json").read_text())
    if not identity.keys() <= state["identity"].keys():
        raise InputError(f"{path.name} was made by an older cpt; start a new run")
    changed = [k for k, v in identity.items() if state["identity"].get(k) != v]
    if changed:
        raise InputError(
            f"{path.name} was made with another {' and '.join(changed)}; "
            "put it back as it was, or start a new run"
        )
    if state["stopped_because"]:
        raise InputError(state["stopped_because"])
    names = _names(model)
    weights = load_file(path / "trainable.safetensors", device=str(device()))
    tensors = load_file(path / "optimizer.safetensors")
    with torch.no_grad():
        for parameter, name in names.items():
            parameter.copy_(weights[name])
            if f"{name}/step" in tensors:
                optimizer.state[parameter] = {
                    key: tensors[f"{name}/{key}"].to(device()) for key in OPTIMIZER_KEYS
                }
    return state


def _names(model: torch.nn.Module) -> dict[torch.nn.Parameter, str]:
    """Trainable parameters and their names; a tied one appears once."""
    return {p: name for name, p in model.named_parameters() if p.requires_grad}


def _optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: dict[torch.nn.Parameter, str]
) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value.detach().contiguous()
        for p, name in names.items()
        for entry in [optimizer.state[p]]
        for key, value in entry.items()
    }


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
