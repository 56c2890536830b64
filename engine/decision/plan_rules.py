"""The tree's last rules: facts, distillation, method, vocabulary and cost.

They never forbid; they set expectations, propose the recipe and show the price.
"""

from __future__ import annotations

from engine.decision.case import Case, Finding, asked, unmeasured
from engine.decision.corpus_rules import repeats
from engine.formatting import format_count, format_duration
from engine.recipe.defaults import RANKS, default_rank, rates_in_words
from engine.recipe.method_facts import DEFAULT, TRAIN_METHODS


def facts(case: Case) -> Finding:
    """Are the facts stated only once (asked), beside the duplicates that the scan saw."""
    once, scan = case.interview.facts_once, case.evidence.scan
    seen = f"; {repeats(scan.domain)}" if scan else ""
    if once is None:
        return asked("note", f"unanswered{seen}")
    if not once:
        return asked("go", f"facts are stated in several wordings{seen}")
    answer = f"stated once: CPT won't teach them (bioS: ~9.7% recalled against ~96%){seen}"
    way = "state each fact in many wordings, or use retrieval"
    return asked("note", answer, way, "Allen-Zhu & Li, Physics of LMs 3.1 (bioS)")


def distil(case: Case) -> Finding:
    """Will the model be distilled later (asked)?"""
    answer = case.interview.distil
    if answer is None:
        return asked("note", "unanswered")
    if answer:
        return asked("note", "yes: vocabulary extension off, teacher and student share tokens")
    return asked("go", "no")


def method(case: Case) -> Finding:
    """What the recipe will do, why, and where it leaves the proposal."""
    parts = [_method(case), _epochs(case), _mix_back(case)]
    return asked("note", "; ".join(parts), source="Biderman 2024; Ibrahim 2024")


def _method(case: Case) -> str:
    """``LoRA rank 16 for 2.1M unique tokens, rate 1e-04``"""
    train, scan = case.recipe.train, case.evidence.scan
    facts = TRAIN_METHODS[train.method]
    if facts.why_key:
        lr = f"{train.lr:g}" if train.lr else rates_in_words(facts.name)
        because = f"instead of {DEFAULT.words}, because: {train.why_method}"
        return f"{facts.words} {because}; rate {lr}"
    whose = "chosen" if train.lr else f"the {facts.words} default"
    rate = f"rate {train.lr or facts.rates[0].rate:.0e} ({whose})"
    if not facts.trains_adapters:
        return f"{facts.words}, {rate}"
    rank = case.recipe.lora.rank
    if scan is None:
        return f"{facts.words} rank {rank or f'{RANKS} by corpus size'}, {rate}"
    tokens = scan.domain.effective_tokens
    proposed, _ = default_rank(None, tokens)
    instead = "" if rank in (None, proposed) else f" (proposed: {proposed})"
    named = f"{facts.words} rank {rank or proposed}{instead}"
    return f"{named} for {format_count(tokens)} unique tokens, {rate}"


def _epochs(case: Case) -> str:
    train = case.recipe.train
    if train.epochs > 1:
        return f"{train.epochs:g} epochs instead of one, because: {train.why_epochs}"
    return "one epoch" if train.epochs == 1 else f"{train.epochs:g} of an epoch"


def _mix_back(case: Case) -> str:
    pack = case.recipe.pack
    if pack.mix_back == 0:
        return f"no mix-back, because: {pack.why_no_mix_back}"
    return f"{pack.mix_back:.0%} generic text mixed back against forgetting"


def vocabulary(case: Case) -> Finding:
    """Never on a first run; a second is offered it by what the first has measured."""
    if case.interview.distil:
        return asked("note", "off: the model will be distilled")
    vocab = case.recipe.vocab
    if vocab.extend:
        return asked("note", f"extended: run {vocab.first_run} has measured what its tokens cost")
    found, limit = case.evidence.fertility, case.limits["fertility_problem"]
    if found and found.ratio >= limit:
        seen = f"{found.ratio:.2f} times generic text's tokens a word"
        return asked("note", f"off on a first run; at {seen}, this run may offer it once finished")
    return asked("note", "off on a first run; a finished run may offer it")


def cost(case: Case) -> Finding:
    """The price on this machine, the gate's beside the training's."""
    price = case.evidence.cost
    if price is None:
        return unmeasured("not timed on this machine yet")
    answer = (
        f"training {format_duration(price.train_seconds)}, "
        f"gate {format_duration(price.gate_seconds)}, "
        f"memory {price.memory_gb:.1f} GB ({format_count(price.tokens)} tokens at "
        f"{format_count(price.tokens_per_s)} a second)"
    )
    return Finding("note", answer, source="a short timing on this machine")
