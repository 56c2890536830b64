"""Mix-back in tokens: how much generic text is wanted, how much there is, what share that makes.

The decision and the packing reckon with the same functions, so that what is promised before
anything is spent is what is reached. Shares of one side's sources are reckoned here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.artifacts.scan import SideScan
from engine.decision.case import Case, Finding, asked, unmeasured
from engine.formatting import format_count
from engine.recipe.sections import Recipe
from engine.recipe.sources import Source
from engine.thresholds import THRESHOLDS

MAX_REPEATS = 4
"""Times a small generic source may be repeated (Muennighoff 2023: up to 4 is near fresh)."""
SMALL_SHARE = 0.25
"""Share that is offered below ``replay_small`` tokens of corpus."""


def domain_budget(recipe: Recipe) -> int | None:
    """Domain tokens of one epoch allowed by ``max_tokens``; None without a cap."""
    cap = recipe.train.max_tokens
    if cap is None:
        return None
    return max(1, int(cap * (1 - recipe.pack.mix_back) / max(1.0, recipe.train.epochs)))


def wanted_tokens(domain: int, share: float) -> int:
    """Generic tokens that make this share beside so many domain tokens."""
    return int(domain * share / (1 - share))


def take_domain(
    available: Sequence[int], shares: Sequence[float] | None, budget: int | None
) -> list[int]:
    """Tokens taken of each source: the most that keep the shares, within the budget."""
    if shares is None:
        return _within(available, budget)
    most = min(have / share for have, share in zip(available, shares, strict=True))
    whole = most if budget is None else min(most, budget)
    return [round(whole * share) for share in shares]


def take_generic(
    available: Sequence[int], shares: Sequence[float] | None, wanted: int
) -> list[int]:
    """Tokens taken of each source: its share of what is wanted, as far as repeats reach."""
    most = [MAX_REPEATS * have for have in available]
    if shares is None:
        return _within(most, wanted)
    return [min(have, round(wanted * s)) for have, s in zip(most, shares, strict=True)]


def _within(available: Sequence[int], budget: int | None) -> list[int]:
    """Everything, or within the budget as much of each as it has of the whole."""
    whole = sum(available)
    if budget is None or budget >= whole:
        return list(available)
    return [have * budget // max(1, whole) for have in available]


@dataclass(frozen=True)
class MixBack:
    """What a recipe asks for, and what its texts can give."""

    asked: float
    domain: int
    """Domain tokens of an epoch."""
    wanted: int
    """Generic tokens that make the share beside them."""
    fresh: int
    """Generic tokens to train on, each once."""
    taken: int
    """With repeats, and no more than is wanted."""

    @property
    def achievable(self) -> float:
        """The share that is reached."""
        return self.taken / max(1, self.taken + self.domain)

    @property
    def repeats(self) -> int:
        """Times that the generic text is read."""
        return min(MAX_REPEATS, -(-self.wanted // max(1, self.fresh))) if self.wanted else 0


def plan_mix_back(domain: SideScan, generic: SideScan, recipe: Recipe) -> MixBack:
    """The share that this recipe reaches on these texts, from their counted tokens."""
    share = recipe.pack.mix_back
    own = sum(
        take_domain(train_tokens(domain), shares_of(recipe.corpus, domain), domain_budget(recipe))
    )
    fresh, wanted = train_tokens(generic), wanted_tokens(own, share)
    taken = take_generic(fresh, shares_of(recipe.generic, generic), wanted)
    return MixBack(share, own, wanted, sum(fresh), sum(taken))


def train_tokens(side: SideScan) -> list[int]:
    """Tokens of each source that may be trained on, with the separator of each document."""
    if side.parts:
        return [part.train_tokens + part.train_documents for part in side.parts]
    documents = side.documents - side.heldout_documents - side.left_out_documents
    return [max(0, side.tokens - side.heldout_tokens - side.left_out_tokens + max(0, documents))]


def shares_of(source: Source, side: SideScan) -> list[float] | None:
    """The shares of a side's sources, where they were counted one by one."""
    shares = source.shares
    return shares if shares and len(shares) == len(train_tokens(side)) else None


def mix_back(case: Case) -> Finding:
    """Can the promised share of generic text be had? Counted before anything is spent."""
    pack, scan = case.recipe.pack, case.evidence.scan
    if pack.mix_back == 0:
        return asked("note", f"none, because: {pack.why_no_mix_back}")
    if scan is None:
        return unmeasured("the generic text has not been counted", "run the scan")
    plan = plan_mix_back(scan.domain, scan.generic, case.recipe)
    least = case.limits["mix_back"] * plan.asked
    said = _words(plan)
    if plan.achievable < least:
        return Finding("not_yet", said, _ways_out(plan), THRESHOLDS["mix_back"].source)
    short = plan.achievable < plan.asked - SHORT
    if plan.domain < case.limits["replay_small"] and plan.asked < SMALL_SHARE:
        offer = (
            f"below {format_count(case.limits['replay_small'])} tokens more replay taught more: "
            f"try pack.mix_back = {SMALL_SHARE:g} as a run of its own against the same gate"
        )
        return Finding("note", said, offer, THRESHOLDS["replay_small"].source)
    return Finding("note" if short else "go", said, _ways_out(plan) if short else "")


SHORT = 0.005
"""Below what was asked by this much is worth a word: a row of padding more or less is not."""


def _words(plan: MixBack) -> str:
    """``10% of the training tokens: 1.1M generic of 0.6M, read twice``"""
    times = "" if plan.repeats < 2 else f", read {plan.repeats} times"
    return (
        f"{plan.achievable:.1%} of the training tokens can be generic, {plan.asked:.0%} were asked "
        f"for ({format_count(plan.taken)} from {format_count(plan.fresh)} tokens{times}, beside "
        f"{format_count(plan.domain)} of the domain)"
    )


def _ways_out(plan: MixBack) -> str:
    """More generic text, or a smaller promise."""
    need = -(-plan.wanted // MAX_REPEATS)
    lower = max(0.01, int(plan.achievable * 100) / 100)
    return (
        f"give {format_count(need)} tokens of generic text or more (a file, or generic.path = "
        f'"family" for what the base\'s family was trained on), or set pack.mix_back = {lower:g} '
        "and expect more forgetting"
    )
