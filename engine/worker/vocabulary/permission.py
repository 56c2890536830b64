"""What allows a vocabulary extension: a finished run that measured the tokens as the bottleneck.

DESIGN 4: off on a first run. No published gain in quality is separable from the continued
pretraining itself, so a larger vocabulary has to be argued from this base and this corpus.
"""

from __future__ import annotations

import json
from typing import Any

from engine.artifacts.artifacts import Artifacts
from engine.artifacts.scan import Fertility
from engine.artifacts.training import TrainArtifact
from engine.errors import InputError
from engine.recipe.sections import Recipe
from engine.recipe.toml import load_recipe
from engine.runs.run import Run, find_run
from engine.thresholds import THRESHOLDS, effective

LIMIT = "fertility_problem"


def check_first_run(recipe: Recipe, base: str, corpus: str) -> dict[str, Any]:
    """What ``[vocab] first_run`` measured; InputError where it does not allow an extension.

    ``base`` is the base model's identity, ``corpus`` the fingerprint of its corpus as this base
    reads it; a corpus that grew under the same path counts as the same.
    """
    run = find_run(recipe.vocab.first_run)
    first = load_recipe(run.recipe_path)[0]
    made = _artifacts(run)
    if made.train is None or made.report is None:
        raise InputError(
            f"[vocab] first_run: run {run.id} has not finished its training; go on with: "
            f"cpt resume {run.id}, or name a finished run"
        )
    if first.provenance.get("model_sha256") != base:
        raise InputError(
            f"[vocab] first_run: run {run.id} trained another base ({first.model.id}), whose "
            "tokens say nothing of this one's; name a finished run of this base"
        )
    read = made.scan.domain.fingerprint if made.scan else ""
    if first.corpus.path != recipe.corpus.path and read != corpus:
        raise InputError(
            f"[vocab] first_run: run {run.id} read another corpus ({first.corpus.path}); name a "
            "finished run on this one"
        )
    fertility = made.scan.fertility if made.scan else None
    return {"run": run.id, **_measured(run, recipe, fertility), **_outcome(made.train)}


def _measured(run: Run, recipe: Recipe, fertility: Fertility | None) -> dict[str, Any]:
    """Its fertility. InputError below the threshold."""
    limit = effective(recipe.probe.thresholds)[LIMIT]
    if fertility is None or fertility.ratio < limit:
        said = (
            f"{fertility.ratio:.2f} times generic text's tokens a word"
            if fertility
            else "no fertility"
        )
        raise InputError(
            f"[vocab] first_run: run {run.id} measured {said}, below {limit:g}, so its tokens are "
            f"not the bottleneck; leave [vocab] extend out, or move [probe.thresholds] {LIMIT}"
        )
    default = THRESHOLDS[LIMIT].value
    return {"fertility_ratio": fertility.ratio, "limit": limit, "default_limit": default}


def _outcome(trained: TrainArtifact) -> dict[str, float | None]:
    losses = {"domain_before": trained.domain_before, "domain_after": trained.domain_after}
    return {name: loss for name, loss in losses.items() if name in trained.model_fields_set}


def _artifacts(run: Run) -> Artifacts:
    """Its artifacts as they lie there. InputError for one that cannot be read."""
    made = Artifacts.of({stage: _artifact(run, stage) for stage in ("scan", "train", "report")})
    for stage in made.unreadable:
        raise InputError(
            f"[vocab] first_run: run {run.id}: {made.describe_unreadable(stage)}; name another "
            "finished run"
        )
    return made


def _artifact(run: Run, stage: str) -> object:
    try:
        return json.loads(run.artifact_path(stage).read_text())
    except (OSError, ValueError):
        return None
