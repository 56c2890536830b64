"""The probe stage: fluency, then the pilot, the base's own words on the terms, and the price."""

from __future__ import annotations

from typing import Any

from engine.artifacts.probe import Cost, Fluency, Pilot
from engine.errors import InputError
from engine.runs.events import Alarm, Facts
from engine.worker.job.context import Context
from engine.worker.measure.cost import estimate
from engine.worker.measure.explain import explain_terms
from engine.worker.measure.fluency import ROUND_TOKENS, FluencyProbe
from engine.worker.measure.pilot import EVAL_DOCUMENTS, EVAL_TOKENS, PilotRunner
from engine.worker.measure.references import percentile, score_references
from engine.worker.measure.surprise import surprising_documents, surprising_terms
from engine.worker.model import base as models
from engine.worker.model.precision import run_precision
from engine.worker.scoring import self_check
from engine.worker.scoring.documents import Scorer, Scores, new_scores
from engine.worker.tokens.store import TokenStore

MIN_SHARE_LONG = 0.2
"""Below this share of documents longer than the context rule, the rule is dropped."""


def probe_stage(
    context: Context,
    base: models.Base,
    domain: TokenStore,
    generic: TokenStore,
    scanned: dict[str, Any],
) -> dict[str, Any]:
    """{"fluency", "pilot", "explanations", "cost"} as plain values."""
    recipe = context.recipe
    model = models.load(base)
    precision = run_precision(context, base, model)
    paths = self_check.prove(context, base, model, precision)
    window = min(recipe.probe.window or 1024, base.context)
    least = min_context(context, (domain, generic), window)
    facts = {
        "dtype": f"{precision.name} ({precision.why})",
        "window": f"{window} tokens, scored after {least} tokens of context",
        "parameters": f"{models.count(model):,}",
        **paths.training(model),
    }
    context.emit(Facts(stage="probe", facts=facts))
    scores = (new_scores(domain, recipe.probe.seed), new_scores(generic, recipe.probe.seed))
    scorer = Scorer(model, base, precision, window, least)
    fluency = measure(context, scorer, *scores)
    explanations = explain_terms(
        model,
        base,
        precision,
        fluency.surprising_terms,
        scores[0],
        context.raise_if_stopped,
    )
    if recipe.probe.pilot:
        for side in scores:
            read_heldout(scorer, side)
    cost: Cost = estimate(context, base, model, precision, scanned)
    pilot = run_pilot(context, base, scorer, cost.tokens_per_s, scores)
    return {
        "fluency": fluency.model_dump(),
        "pilot": pilot.model_dump() if pilot else None,
        "explanations": [e.model_dump() for e in explanations],
        "cost": cost.model_dump(),
    }


def min_context(context: Context, stores: tuple[TokenStore, TokenStore], window: int) -> int:
    """The recipe's minimum context, or 0 for both sides where the documents are too short."""
    least = min(context.recipe.probe.context, window // 2)
    for store in stores:
        lengths = store.lengths[store.heldout]
        if lengths.size and (lengths > least + 8).mean() < MIN_SHARE_LONG:
            message = f"documents are shorter than {least} tokens: every token is scored instead"
            context.emit(Alarm(level="note", stage="probe", message=message))
            return 0
    return least


def measure(context: Context, scorer: Scorer, domain: Scores, generic: Scores) -> Fluency:
    """The fluency probe; InputError where a side has nothing held out to score."""
    for name, scores in (("corpus", domain), ("generic", generic)):
        if not len(scores.order):
            raise InputError(
                f"[{name}]: no held-out document is left to score; give at least two documents"
            )
    fluency = FluencyProbe(context, scorer, domain, generic).run()
    speed = fluency.seconds / max(1, domain.read_tokens + generic.read_tokens)
    references = score_references(context, scorer, speed)
    found = {
        "surprising_documents": surprising_documents(domain, scorer.base),
        "surprising_terms": surprising_terms(domain, generic, scorer.base),
        "references": references,
        "percentile": percentile(fluency.domain.bits_per_byte, references),
    }
    return fluency.model_copy(update=found)


def read_heldout(scorer: Scorer, scores: Scores) -> None:
    """Score held-out documents until the pilot has enough to be judged on."""
    while not scores.exhausted and scores.heldout == len(scores.documents):
        if scores.heldout >= EVAL_DOCUMENTS or scores.tokens >= EVAL_TOKENS:
            return
        scorer.extend(scores, ROUND_TOKENS)


def run_pilot(
    context: Context,
    base: models.Base,
    scorer: Scorer,
    tokens_per_s: float,
    scores: tuple[Scores, Scores],
) -> Pilot | None:
    """The pilot, unless the recipe turns it off. The ratio alone decides nothing:

    wikitext2 as generic made medical text look fluent to a novel reader (0.82) that then
    lost 2 nats on it.
    """
    if not context.recipe.probe.pilot:
        return None
    runner = PilotRunner(
        context, base, scorer.precision, scorer.window, scorer.context, tokens_per_s
    )
    return runner.run(*scores)
