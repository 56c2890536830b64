"""What allows a vocabulary extension: a finished run that measured the tokens as the bottleneck.

DESIGN 4: off on a first run. No published gain in quality is separable from the continued
pretraining itself, so a larger vocabulary has to be argued from this base and this corpus.
"""

from __future__ import annotations

import json
from typing import Any

from engine.errors import InputError
from engine.recipe.sections import Recipe
from engine.recipe.toml import load_recipe
from engine.runs.run import Run, find_run
from engine.summary.findings import dig
from engine.thresholds import THRESHOLDS, effective

LIMIT = "fertility_problem"


def check_first_run(recipe: Recipe, base: str, corpus: str) -> dict[str, Any]:
    """What ``[vocab] first_run`` measured; InputError where it does not allow an extension.

    ``base`` is the base model's identity, ``corpus`` the fingerprint of its corpus as this base
    reads it; a corpus that grew under the same path counts as the same.
    """
    run = find_run(recipe.vocab.first_run)
    first = load_recipe(run.recipe_path)[0]
    scan, trained = _artifact(run, "scan"), _artifact(run, "train")
    if not trained or not _artifact(run, "report"):
        raise InputError(
            f"[vocab] first_run: run {run.id} has not finished its training; go on with: "
            f"cpt resume {run.id}, or name a finished run"
        )
    if first.provenance.get("model_sha256") != base:
        raise InputError(
            f"[vocab] first_run: run {run.id} trained another base ({first.model.id}), whose "
            "tokens say nothing of this one's; name a finished run of this base"
        )
    if first.corpus.path != recipe.corpus.path and dig(scan, "scan", "domain", "fingerprint") != (
        corpus
    ):
        raise InputError(
            f"[vocab] first_run: run {run.id} read another corpus ({first.corpus.path}); name a "
            "finished run on this one"
        )
    return {"run": run.id, **_measured(run, recipe, scan), **_outcome(trained)}


def _measured(run: Run, recipe: Recipe, scan: dict[str, Any]) -> dict[str, Any]:
    """Its fertility. InputError below the threshold."""
    ratio = dig(scan, "fertility", "ratio")
    limit = effective(recipe.probe.thresholds)[LIMIT]
    if ratio is None or ratio < limit:
        said = (
            "no fertility" if ratio is None else f"{ratio:.2f} times generic text's tokens a word"
        )
        raise InputError(
            f"[vocab] first_run: run {run.id} measured {said}, below {limit:g}, so its tokens are "
            f"not the bottleneck; leave [vocab] extend out, or move [probe.thresholds] {LIMIT}"
        )
    return {"fertility_ratio": ratio, "limit": limit, "default_limit": THRESHOLDS[LIMIT].value}


def _outcome(trained: dict[str, Any]) -> dict[str, Any]:
    return {key: trained[key] for key in ("domain_before", "domain_after") if key in trained}


def _artifact(run: Run, stage: str) -> dict[str, Any]:
    """A stage's artifact as it lies there; empty without one."""
    try:
        found = json.loads(run.artifact_path(stage).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
