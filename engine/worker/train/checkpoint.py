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
from engine.files import check_space, private_dir, sha256_file, write_json
from engine.worker.model.base import device
from engine.worker.model.identity import causes
from engine.worker.step.parallel import SingleProcess

Tensors = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]
"""Trainable weights by name, and the optimizer's state by name and key."""
OPTIMIZER_KEYS = ("step", "exp_avg", "exp_avg_sq")
"""AdamW's state of one parameter."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, newest last."""

    folder: Path
    keep: int = 2
    keep_best: bool = False
    """Whether one more is kept beside the last ``keep``: the best."""
    spared: frozenset[int] = frozenset()
    """Steps whose checkpoints are never dropped."""

    def at(self, step: int) -> Path:
        """Where the checkpoint of a step is, if it is kept."""
        return self.folder / f"step-{step:08d}"

    def all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("step-*") if p.is_dir())

    def save(
        self,
        step: int,
        tensors: Tensors,
        state: dict[str, Any],
        best: int | None = None,
    ) -> tuple[Path, int]:
        """Write ``step-N`` (atomic); drop all but the last ``keep``, the spared and the best.

        Returns its path and bytes.

        Raises OSError (no space): the checkpoints before it are then intact.
        """
        private_dir(self.folder)
        final = self.at(step)
        temporary = self.folder / f".tmp-{step:08d}"
        shutil.rmtree(temporary, ignore_errors=True)
        private_dir(temporary)
        try:
            for name, values in zip(("trainable", "optimizer"), tensors, strict=True):
                save_file(values, temporary / f"{name}.safetensors")
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
        kept = [*self.spared, *([best] if self.keep_best and best is not None else [])]
        for old in set(self.all()[: -self.keep]) - {self.at(step) for step in kept}:
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
        held = self.keep + 1 + self.keep_best + len(self.spared)
        check_space(private_dir(self.folder), held * 3 * trained + 2 * whole)


def verify(path: Path) -> bool:
    """Whether every file of a checkpoint has the hash its manifest says."""
    try:
        hashes: dict[str, str] = json.loads((path / "manifest.json").read_text())
        return bool(hashes) and all(sha256_file(path / n) == h for n, h in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def collect(spread: SingleProcess, optimizer: torch.optim.Optimizer) -> Tensors:
    """What a checkpoint holds, whole, whoever holds its parts: all ranks call, rank 0 gets it."""
    names = _names(spread.model)
    weights = {name: spread.whole(p).contiguous() for p, name in names.items()}
    state = {
        f"{name}/{key}": spread.whole(value).contiguous()
        for p, name in names.items()
        for key, value in optimizer.state[p].items()
    }
    return weights, state


def load_weights(path: Path, model: torch.nn.Module) -> None:
    """Put a checkpoint's weights into a model of one process."""
    weights = load_file(path / "trainable.safetensors", device=str(device()))
    with torch.no_grad():
        for parameter, name in _names(model).items():
            parameter.copy_(weights[name])


def restore(
    path: Path, spread: SingleProcess, optimizer: torch.optim.Optimizer, identity: dict[str, str]
) -> dict[str, Any]:
    """Load a checkpoint into model and optimizer, in place; returns its state.

    The number of processes that made it and their strategy leave no trace in it.

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
            f"{path.name} was made with another {' and '.join(causes(changed))}; "
            "put it back as it was, or start a new run"
        )
    if state["stopped_because"]:
        raise InputError(state["stopped_because"])
    weights = load_file(path / "trainable.safetensors")
    tensors = load_file(path / "optimizer.safetensors")
    with torch.no_grad():
        for parameter, name in _names(spread.model).items():
            parameter.copy_(spread.place(weights[name], parameter))
            if f"{name}/step" in tensors:
                step, *moments = (tensors[f"{name}/{key}"] for key in OPTIMIZER_KEYS)
                placed = [step.to(device()), *(spread.place(m, parameter) for m in moments)]
                optimizer.state[parameter] = dict(zip(OPTIMIZER_KEYS, placed, strict=True))
    return state


def _names(model: torch.nn.Module) -> dict[torch.nn.Parameter, str]:
    """Trainable parameters and their names; a tied one appears once."""
    return {p: name for name, p in model.named_parameters() if p.requires_grad}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
