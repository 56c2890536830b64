"""The probe stage: fluency, then the pilot, the base's own words on the terms, and the price."""

from __future__ import annotations

from typing import Any

from engine.errors import InputError
from engine.events import Alarm, Facts
from engine.evidence import Continuation, Cost, Fluency, Pilot
from engine.worker import model as models
from engine.worker.context import Context
from engine.worker.cost import estimate
from engine.worker.fluency import Probe, Scorer, Scores, new_scores
from engine.worker.pilot import PilotRunner
from engine.worker.score import continuations
from engine.worker.surprise import surprising_documents, surprising_terms
from engine.worker.tokens import TokenStore

EXPLAINED_TERMS = 3
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
    precision = models.choose_precision(recipe.model.dtype, model)
    window = min(recipe.probe.window or 1024, base.context)
    least = min_context(context, (domain, generic), window)
    facts = {
        "dtype": f"{precision.name} ({precision.why})",
        "window": f"{window} tokens, scored after {least} tokens of context",
        "parameters": f"{models.count(model):,}",
    }
    context.emit(Facts(stage="probe", facts=facts))
    scores = (new_scores(domain, recipe.probe.seed), new_scores(generic, recipe.probe.seed))
    fluency = measure(context, Scorer(model, base, precision, window, least), *scores)
    pilot = run_pilot(context, base, precision, window, least, scores)
    prompts = [(s.text, f"{s.text.capitalize()} is") for s in fluency.surprising_terms]
    prompts = prompts[:EXPLAINED_TERMS]
    texts = continuations(model, base, [prompt for _, prompt in prompts], precision)
    explanations = [
        Continuation(term=term, prompt=prompt, text=text)
        for (term, prompt), text in zip(prompts, texts, strict=True)
    ]
    cost: Cost = estimate(context, base, model, precision, scanned)
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
    fluency = Probe(context, scorer, domain, generic).run()
    found = {
        "surprising_documents": surprising_documents(domain, scorer.base),
        "surprising_terms": surprising_terms(domain, generic, scorer.base),
    }
    return fluency.model_copy(update=found)


def run_pilot(
    context: Context,
    base: models.Base,
    precision: models.Precision,
    window: int,
    least: int,
    scores: tuple[Scores, Scores],
) -> Pilot | None:
    """The pilot, unless the recipe turns it off. The ratio alone decides nothing:

    wikitext2 as generic made medical text look fluent to a novel reader (0.82) that then
    lost 2 nats on it.
    """
    if not context.recipe.probe.pilot:
        return None
    return PilotRunner(context, base, precision, window, least).run(*scores)
