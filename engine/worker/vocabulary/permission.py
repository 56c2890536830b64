"""What allows a vocabulary extension: a finished run that measured the tokens as the bottleneck.

Off on a first run. No published gain in quality is separable from the continued
pretraining itself, so a larger vocabulary has to be argued from this base and this corpus.
"""

from __future__ import annotations

import contextlib
import json

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.record import Json
from engine.artifacts.scan import Fertility
from engine.artifacts.training import FirstRun
from engine.errors import InputError
from engine.recipe.sections import Recipe
from engine.recipe.toml import load_recipe
from engine.runs.run import Run, find_run
from engine.thresholds import THRESHOLDS, effective

LIMIT = "fertility_problem"
READ = ("scan", "train", "report")
"""The stages that argue for new tokens, or show that the run has finished."""


def check_first_run(recipe: Recipe, base: str, corpus: str) -> FirstRun:
    """What ``[vocab] first_run`` measured; InputError where it does not allow an extension.

    ``base`` is the base model's identity, ``corpus`` the fingerprint of its corpus as this base
    reads it; a corpus that grew under the same path counts as the same.
    """
    run = find_run(recipe.vocab.first_run)
    first, made = load_recipe(run.recipe_path)[0], _read_evidence(run)
    if not made.train or not made.report:
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
    limit = effective(recipe.probe.thresholds)[LIMIT]
    return FirstRun(
        run=run.id,
        fertility_ratio=_check_ratio(run, made.evidence.fertility, limit),
        limit=limit,
        default_limit=THRESHOLDS[LIMIT].value,
        domain_before=made.train.domain_before,
        domain_after=made.train.domain_after,
    )


def _check_ratio(run: Run, fertility: Fertility | None, limit: float) -> float:
    """Its fertility. InputError below the threshold."""
    if fertility and fertility.ratio >= limit:
        return fertility.ratio
    measured = "no fertility"
    if fertility:
        measured = f"{fertility.ratio:.2f} times generic text's tokens a word"
    raise InputError(
        f"[vocab] first_run: run {run.id} measured {measured}, below {limit:g}, so its tokens are "
        f"not the bottleneck; leave [vocab] extend out, or move [probe.thresholds] {LIMIT}"
    )


def _read_evidence(run: Run) -> Artifacts:
    """The artifacts as they lie there; InputError where one has a fault.

    Their hashes are not asked for (``Run.read_artifacts`` does): a run whose weights were removed
    to free the disk has still measured its tokens.
    """
    raw: dict[str, Json] = {}
    for stage in READ:
        with contextlib.suppress(OSError, ValueError):
            raw[stage] = json.loads(run.artifact_path(stage).read_text())
    made = Artifacts.of(raw)
    for stage, fault in made.unreadable.items():
        raise InputError(
            f"[vocab] first_run: what the stage {stage} of run {run.id} left cannot be read "
            f"({fault}); name another finished run"
        )
    return made
