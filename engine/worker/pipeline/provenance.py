"""What a run adds to its recipe: evidence, verdict, and the provenance that a replay must match."""

from __future__ import annotations

import platform
from typing import Any

import torch

from engine import __version__
from engine.recipe.sections import Recipe
from engine.worker.model.base import Base, device

_LEFT_OUT = {
    "per_item",
    "per_item_logprob",
    "stores",
    # Text of the corpus, which may be private: a recipe is made to be handed on.
    "boilerplate",
    "exact_examples",
    "examples",
    "explanations",
    "near_pairs",
    "samples",
    "seams",
    "surprising_documents",
    "surprising_terms",
    "worst_terms",
}
"""Left out of the recipe at any depth; the artifacts keep them."""


def results(recipe: Recipe, base: Base, made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables a run adds to its recipe."""
    evidence = {
        name: made[name] for name in ("scan", "probe", "baseline", "pack", "train") if name in made
    }
    verdict: dict[str, Any] = {}
    if "decide" in made:
        verdict["decision"] = {
            k: made["decide"][k] for k in ("outcome", "sentence", "deciding_node")
        }
    if recipe.recipe.override:
        verdict["override"] = recipe.recipe.override
    if "gate" in made:
        verdict["gate"] = made["gate"]
    if "arms" in made:
        verdict["arms"] = made["arms"]
    return {
        "evidence": _slim(evidence),
        "verdict": _slim(verdict),
        "provenance": provenance(recipe, base, made),
    }


def _slim(value: Any) -> Any:
    """The value without what is too large or too private for a recipe."""
    if isinstance(value, dict):
        return {k: _slim(v) for k, v in value.items() if k not in _LEFT_OUT}
    return [_slim(v) for v in value] if isinstance(value, list) else value


def provenance(recipe: Recipe, base: Base, made: dict[str, Any]) -> dict[str, Any]:
    """What a replay must match: hashes, versions, hardware, seeds."""
    import peft
    import transformers

    scan_made = made.get("scan", {}).get("scan", {})
    return {
        "cpt": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "machine": f"{platform.machine()}, {device().type}, {torch.get_num_threads()} threads",
        "model_sha256": base.identity,
        "corpus_sha256": scan_made.get("domain", {}).get("fingerprint", ""),
        "generic_sha256": scan_made.get("generic", {}).get("fingerprint", ""),
        "pack_sha256": made.get("pack", {}).get("sha256", {}),
        **_rate(made.get("train", {})),
        "train_seed": recipe.train.seed,
        "gate_seeds": recipe.gate.seeds,
    }


def _rate(train: dict[str, Any]) -> dict[str, str]:
    """``3e-4 (pilot of three, ...)`` once trained."""
    return {"learning_rate": f"{train['lr']:g} ({train['lr_why']})"} if "lr_why" in train else {}
