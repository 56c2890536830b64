"""What was proven on a model: the fast paths that give the plain path's numbers.

A path that was not checked is not taken, so a model nobody looked at is merely slow.
``selfcheck`` makes the proofs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from engine.gold.metrics import METRICS
from engine.worker.model import document_attention


@dataclass(frozen=True)
class Check:
    """One comparison of a fast path with the plain one, and what was found."""

    ok: bool = False
    found: str = "not checked"


@dataclass(frozen=True)
class Paths:
    """The fast paths, each with its check."""

    packed: Check = Check()
    """Documents of a row, told apart by position ids; plain: one document a row."""
    chunked: Check = Check()
    """The head applied to the decoder's output apart; plain: the model's own full logits."""
    fused: Check = Check()
    """Head and cross-entropy as torch's one operation; plain: one after the other."""
    fused_bf16: Check = Check()
    """The same of a bf16 run, in chunks; plain: as above. Only checked where the run is bf16."""
    documents: Check = Check()
    """Attention to each document of a row by itself; plain: a dense mask over the row."""
    tree: Check = Check()
    """All choices of an item in one pass over its prompt; plain: each behind its own prompt."""
    padded: Check = Check()
    """Generation left-padded and cached; plain: prompts of one length, everything read again."""

    def strictest(self, other: Paths) -> Paths:
        """Only what both allow; ``self``'s check is kept where they agree."""
        names = [field.name for field in dataclasses.fields(self)]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return Paths(**{k: b if a.ok and not b.ok else a for k, (a, b) in pairs.items()})

    def training(self, model: torch.nn.Module) -> dict[str, str]:
        """How losses are computed on this model, for the header."""
        kernel = getattr(unwrap_model(model).config, "_attn_implementation", "?")
        if kernel == document_attention.NAME:
            kernel = document_attention.DENSE
        attention = _say(
            self.packed,
            f"{kernel}, documents masked by position ids",
            f"{kernel}, one document a row; packed",
        )
        if self.packed.ok and self.documents.ok:
            attention = _say(self.documents, f"{kernel}, document by document where faster", "")
        loss = _say(self.chunked, "chunked cross-entropy", "full logits; chunked")
        if self.chunked.ok and self.fused.ok:
            loss = _say(self.fused, "fused linear cross-entropy", "")
        if self.chunked.ok and self.fused_bf16.ok:
            loss = _say(self.fused_bf16, "cross-entropy fused in chunks, bf16", "")
        return {"attention": attention, "loss": loss}

    def scoring(self, metric: str) -> dict[str, str]:
        """How the gate's ``metric`` is computed, for the header."""
        if METRICS[metric].choices:
            return {"choices": _say(self.tree, "an item in one pass", "one by one; in one pass")}
        return {"generation": _say(self.padded, "padded, cached", "unpadded, no cache; padded")}


def _say(check: Check, fast: str, slow: str) -> str:
    return f"{fast}, checked: {check.found}" if check.ok else f"{slow}: {check.found}"


def unwrap_model(model: torch.nn.Module) -> Any:
    """The transformers model inside, wrapped by peft or not."""
    get_base = getattr(model, "get_base_model", None)
    return get_base() if get_base is not None else model


def enable_fast_paths(model: torch.nn.Module, paths: Paths) -> None:
    """Let ``model`` take these paths; copies and LoRA wraps of it take them too."""
    unwrap_model(model).proven_paths = paths
    document_attention.switch(unwrap_model(model), paths.packed.ok and paths.documents.ok)


def paths_of(model: torch.nn.Module) -> Paths:
    """The paths this model may take."""
    found: Paths = getattr(unwrap_model(model), "proven_paths", Paths())
    return found
