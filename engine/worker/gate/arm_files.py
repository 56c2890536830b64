"""What an arm has done so far, on disk: finished seeds, scored items, the probe being scored.

A killed gate goes on at the batch where it was: the trained probe is kept until its items are
scored, and every batch of answers as soon as it is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engine.artifacts.record import Record
from engine.files import HASH, digest, private_dir, read_sealed_json, write_sealed_json
from engine.redaction import masked
from engine.worker.scoring.likelihood import Kept

Part = TypeVar("Part", bound=Record)


@dataclass(frozen=True)
class KeptProbe:
    """How a kept probe was trained."""

    lr: float
    loss: float
    """SFT loss of its last tenth, nats a token."""


@dataclass(frozen=True)
class ArmFiles:
    """Files of one arm, below ``artifacts/arms``; those of another fingerprint do not count."""

    folder: Path
    arm: str
    fingerprint: str

    def read(self, name: str, record: type[Part]) -> Part | None:
        """A finished part (a seed, a rate) of this arm; None where there is none."""
        try:
            found = read_sealed_json(self._path(f"{name}.json")) or {}
            same = found.get("fingerprint") == self.fingerprint
            return record.model_validate(found) if same else None
        except ValueError:
            return None

    def write(self, name: str, found: Part) -> Part:
        """Keep a finished part; returns it as it will be read."""
        plain = masked(found.to_json())
        private_dir(self.folder)
        write_sealed_json(self._path(f"{name}.json"), {"fingerprint": self.fingerprint, **plain})
        return type(found).model_validate(plain)

    def answers(self, name: str) -> Answers:
        """The answers of one probe so far."""
        private_dir(self.folder)
        return Answers(self._path(f"{name}.answers.jsonl"), self.fingerprint)

    def save_probe(
        self, name: str, model: torch.nn.Module, seed: int, lr: float, loss: float
    ) -> None:
        """Keep what was trained (adapters, or all weights), and by which seed and rate.

        A full disk only costs a retraining.
        """
        weights = {n: p.detach().contiguous() for n, p in _trained(model).items()}
        private_dir(self.folder)
        path, aside = self._path(f"{name}.safetensors"), self._path(f".{name}.tmp")
        try:
            about = {
                "fingerprint": self.fingerprint,
                HASH: _hash(weights),
                "seed": str(seed),
                "lr": repr(lr),
                "loss": repr(loss),
            }
            save_file(weights, aside, metadata=about)
            aside.replace(path)
        except (OSError, SafetensorError):
            aside.unlink(missing_ok=True)

    def probe_seed(self, name: str) -> int | None:
        """By which seed the kept probe was trained; None where none is kept."""
        try:
            with safe_open(self._path(f"{name}.safetensors"), "pt") as kept:
                return int((kept.metadata() or {})["seed"])
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def load_probe(self, name: str, model: torch.nn.Module, seed: int) -> KeptProbe | None:
        """Bring a fresh copy to the weights of the probe that was trained by ``seed``.

        None where none, or no whole one, is.
        """
        trained = _trained(model)
        try:
            with safe_open(self._path(f"{name}.safetensors"), "pt") as kept:
                about = kept.metadata() or {}
                same = about.get("fingerprint") == self.fingerprint
                same = same and about.get("seed") == str(seed)
                if not same or set(kept.keys()) != set(trained):
                    return None
                weights = {key: kept.get_tensor(key) for key in kept.keys()}  # noqa: SIM118
            if about.get(HASH) != _hash(weights):
                return None
            found = KeptProbe(float(about["lr"]), float(about["loss"]))
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        with torch.no_grad():
            for key, value in weights.items():
                trained[key].copy_(value)
        return found

    def forget(self, name: str) -> None:
        """Drop the kept probe and its answers; the finished part stays."""
        for suffix in ("safetensors", "answers.jsonl"):
            self._path(f"{name}.{suffix}").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Drop what a killed writer left half written; one worker at a time has the run."""
        for pattern in (f".{self.arm}-*.tmp", f"{self.arm}-.*.tmp"):
            for leftover in self.folder.glob(pattern):
                leftover.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.arm}-{name}"


def _hash(weights: dict[str, torch.Tensor]) -> str:
    """sha256 of the tensors' names and bytes: a file's header has none of its content."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(name.encode())
        whole.update(weights[name].cpu().flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


class Answers:
    """Answers by phase and job, a batch a line; a line that a crash tore is left out."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint

    def keeps(self, phase: str) -> Kept:
        """What is known of a phase, and a place for more of it."""
        found: dict[int, Any] = {}
        with contextlib.suppress(OSError):
            for line in self.path.read_bytes().splitlines():
                found.update(self._line(line, phase))
        return Kept(found, lambda new: self._append(phase, new))

    def _line(self, line: bytes, phase: str) -> dict[int, Any]:
        try:
            fingerprint, name, items, check = json.loads(line)
            same = (fingerprint, name) == (self.fingerprint, phase)
            return dict(items) if same and check == digest([name, items]) else {}
        except (ValueError, TypeError):
            return {}

    def _append(self, phase: str, new: dict[int, Any]) -> None:
        """One write; where the disk is full the batch is only done again."""
        items = json.loads(json.dumps(list(new.items())))
        whole = [self.fingerprint, phase, items, digest([phase, items])]
        line = json.dumps(whole).encode() + b"\n"
        with contextlib.suppress(OSError):
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
