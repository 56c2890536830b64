"""What a run adds to its recipe: evidence, verdict, and the provenance that a replay must match."""

from __future__ import annotations

import platform

import torch

from engine import __version__
from engine.artifacts.all_stages import Artifacts
from engine.artifacts.record import Json
from engine.artifacts.training import TrainArtifact
from engine.recipe.sections import Recipe
from engine.worker.model.base import Base, device

_LEFT_OUT = {
    "per_item",
    "per_item_logprob",
    "folder",
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


def results(recipe: Recipe, base: Base, made: Artifacts) -> dict[str, dict[str, Json]]:
    """The tables a run adds to its recipe."""
    measured = {
        "scan": made.scan,
        "probe": made.probe,
        "baseline": made.baseline,
        "pack": made.pack,
        "train": made.train,
    }
    verdict: dict[str, Json] = {}
    if made.decide:
        verdict["decision"] = made.decide.model_dump(
            include={"outcome", "sentence", "deciding_node"}
        )
    if recipe.recipe.override:
        verdict["override"] = recipe.recipe.override
    if made.gate:
        verdict["gate"] = made.gate.to_json()
    if made.arms:
        verdict["arms"] = made.arms.to_json()
    return {
        "evidence": {name: _slim(one.to_json()) for name, one in measured.items() if one},
        "verdict": {name: _slim(value) for name, value in verdict.items()},
        "provenance": provenance(recipe, base, made),
    }


def _slim(value: Json) -> Json:
    """The value without what is too large or too private for a recipe."""
    if isinstance(value, dict):
        return {k: _slim(v) for k, v in value.items() if k not in _LEFT_OUT}
    return [_slim(v) for v in value] if isinstance(value, list) else value


def provenance(recipe: Recipe, base: Base, made: Artifacts) -> dict[str, Json]:
    """What a replay must match: hashes, versions, hardware, seeds."""
    import peft
    import transformers

    hashes: dict[str, Json] = {**made.pack.sha256} if made.pack else {}
    return {
        "cpt": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "machine": f"{platform.machine()}, {device().type}, {torch.get_num_threads()} threads",
        "model_sha256": base.identity,
        "corpus_sha256": made.scan.domain.fingerprint if made.scan else "",
        "generic_sha256": made.scan.generic.fingerprint if made.scan else "",
        "fetched": _fetched(made),
        "pack_sha256": hashes,
        **_rate(made.train),
        "probe_seconds": recipe.probe.budget_seconds,
        "train_seed": recipe.train.seed,
        "gate_seeds": [*recipe.gate.seeds],
    }


def _fetched(made: Artifacts) -> dict[str, Json]:
    """The lock: each text that was fetched with its commit and the hash of its content."""
    sides = [made.scan.domain, made.scan.generic] if made.scan else []
    return {
        part.name: {"revision": part.revision, "sha256": part.sha256, "bytes": part.bytes}
        for side in sides
        for part in side.parts
        if part.name
    }


def _rate(train: TrainArtifact | None) -> dict[str, Json]:
    """``3e-4 (pilot of three, ...)`` once trained."""
    if train is None or train.lr is None:
        return {}
    return {"learning_rate": f"{train.lr:g} ({train.lr_why})"}
