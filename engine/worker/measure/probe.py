"""The probe stage: fluency, then the pilot, the base's own words on the terms, and the price."""

from __future__ import annotations

from functools import cached_property

from engine.artifacts.decision import Verdict
from engine.artifacts.probe import Fluency, Pilot, ProbeArtifact
from engine.artifacts.scan import Scan
from engine.decision.decide import settled
from engine.errors import InputError
from engine.runs.events import Alarm, Facts
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage
from engine.worker.measure.cost import cost_inputs, estimate
from engine.worker.measure.explain import explain_terms
from engine.worker.measure.fluency import ROUND_TOKENS, FluencyProbe
from engine.worker.measure.pilot import EVAL_DOCUMENTS, EVAL_TOKENS, PilotRunner
from engine.worker.measure.surprise import surprising_documents, surprising_terms
from engine.worker.model import base as models
from engine.worker.model.job import Job, need
from engine.worker.model.precision import run_precision
from engine.worker.scoring import self_check
from engine.worker.scoring.documents import Scorer, Scores, new_scores
from engine.worker.tokens.checks import open_stores
from engine.worker.tokens.store import TokenStore

MIN_SHARE_LONG = 0.2
"""Below this share of documents longer than the context rule, the rule is dropped."""


class ProbeStage(Stage[ProbeArtifact]):
    """Measures the base on both texts; skipped where the answers alone settle the decision."""

    name = "probe"

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def settled(self) -> Verdict | None:
        """The decision that needs no probe; None where one is needed, or it is overridden."""
        recipe = self.job.recipe
        return None if recipe.recipe.override else settled(self.job.made.evidence, recipe)

    def inputs(self) -> list[object]:
        recipe = self.job.recipe
        return [
            self.job.fingerprint("scan"),
            self.job.base.identity,
            recipe.probe.model_dump(),
            recipe.train.made_of(),
            recipe.lora.model_dump(),
            recipe.model.dtype,
            recipe.pack.sequence_length,
            cost_inputs(recipe),
            self.settled is not None,
        ]

    def make(self, fingerprint: str) -> ProbeArtifact:
        if self.settled is not None:
            message = f"not probed: {self.settled.sentence}"
            self.job.context.emit(Alarm(level="note", stage="probe", message=message))
            return ProbeArtifact()
        scanned = need(self.job.made.scan)
        return probe_texts(
            self.job.context, self.job.base, open_stores(scanned.stores), scanned.scan
        )


def probe_texts(
    context: Context,
    base: models.Base,
    stores: tuple[TokenStore, TokenStore],
    scan: Scan,
) -> ProbeArtifact:
    """Fluency, pilot, continuations and the price, on the domain and the generic text."""
    recipe = context.recipe
    model = models.load(base)
    precision = run_precision(context, base, model)
    paths = self_check.prove(context, base, model, precision)
    window = min(recipe.probe.window or 1024, base.context)
    least = min_context(context, stores, window)
    facts = {
        "dtype": f"{precision.name} ({precision.why})",
        "window": f"{window} tokens, scored after {least} tokens of context",
        "parameters": f"{models.count(model):,}",
        **paths.training(model),
    }
    context.emit(Facts(stage="probe", facts=facts))
    domain, generic = (new_scores(store, recipe.probe.seed) for store in stores)
    scorer = Scorer(model, base, precision, window, least)
    fluency = measure(context, scorer, domain, generic)
    explanations = explain_terms(
        model,
        base,
        precision,
        fluency.surprising_terms,
        domain,
        context.raise_if_stopped,
    )
    if recipe.probe.pilot:
        for side in (domain, generic):
            read_heldout(scorer, side)
    cost = estimate(context, base, model, precision, scan)
    pilot = run_pilot(context, base, scorer, cost.idle_tokens_per_s, (domain, generic))
    return ProbeArtifact(fluency=fluency, pilot=pilot, explanations=explanations, cost=cost)


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
    found = {
        "surprising_documents": surprising_documents(domain, scorer.base),
        "surprising_terms": surprising_terms(domain, generic, scorer.base),
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
