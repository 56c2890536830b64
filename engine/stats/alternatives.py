"""What else the compute could have bought: arms that are shown beside the verdict, torch-free.

Registered as display: they have no share of alpha, and none of them is the verdict. A curve of
both arms over SFT steps and examples tells a head start from a skill. An SFT arm with CPT's
compute, on the base, is the alternative itself. From the base's curve, CPT's worth in labelled
examples: those that would have brought the base to the CPT arm's score, as "effective data
transferred" counts them (Hernandez 2021, arXiv 2102.01293; Bjorck 2024, arXiv 2408.16947).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, inf, isfinite, log
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

from engine.artifacts.arms import ArmRow, Difference, Worth
from engine.stats.crossed_test import Groups, group_means, paired_test

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Floats = NDArray[float64]

DRAWS = 1_000
"""Bootstrap draws of seeds and items: the 95% interval's ends are the 25th from either side."""
FARTHEST = 8.0
"""Times the probe's examples up to which the base's curve is drawn on; beyond it nothing is
known, and "more than" is said. Engineering choice."""


class JudgedTables(Protocol):
    """What is read of the gate that was judged (``engine.gate.arms.Judged``)."""

    @property
    def base(self) -> Sequence[Sequence[float]]: ...
    @property
    def cpt(self) -> Sequence[Sequence[float]]: ...
    @property
    def groups(self) -> Groups: ...


def describe_curve(rows: Sequence[ArmRow], judged: JudgedTables, alpha: float) -> list[str]:
    """Whether CPT's lead lasts as both arms get more SFT, one sentence an axis."""
    said = []
    for axis, words in (("steps", "SFT steps"), ("examples", "SFT examples")):
        both = {side: _of(rows, axis, side) for side in ("base", "cpt")}
        shares = sorted(set(both["base"]) & set(both["cpt"]))
        if shares:
            pairs = [(share, both["base"][share], both["cpt"][share]) for share in shares]
            said.append(_describe_axis(words, pairs, judged, alpha))
    return said


def _of(rows: Sequence[ArmRow], axis: str, side: str) -> dict[float, ArmRow]:
    return {
        row.share: row
        for row in rows
        if row.kind == "curve" and (row.axis, row.side) == (axis, side) and row.share is not None
    }


def _describe_axis(
    words: str, pairs: Sequence[tuple[float, ArmRow, ArmRow]], judged: JudgedTables, alpha: float
) -> str:
    import numpy as np

    first_share, base, cpt = pairs[0]
    gaps = [f"{two.score - one.score:+.1f} at {share:.0%}" for share, one, two in pairs]
    whole = 100 * (fmean(map(fmean, judged.cpt)) - fmean(map(fmean, judged.base)))
    # Both differences are of one arm alone, so the arms stay independent of each other.
    grown = [
        np.asarray(late) - np.asarray(early.per_item)
        for late, early in ((judged.base, base), (judged.cpt, cpt))
    ]
    change = paired_test(grown[0], grown[1], alpha, judged.groups)
    moved = f"{change.estimate:+.1f} points, {change.low:+.1f} to {change.high:+.1f}"
    if change.high < 0 < cpt.score - base.score:
        verdict = f"the lead closes ({moved}): much of it is a head start, not a skill"
    elif change.low > 0:
        verdict = f"the lead widens ({moved}): the base does not catch up by more SFT"
    else:
        verdict = f"no change from {first_share:.0%} to all is shown ({moved})"
    return f"By {words} CPT leads by {', '.join(gaps)} and {whole:+.1f} at all: {verdict}."


def describe_more_sft(row: ArmRow, ahead: Difference, outcome: str) -> str:
    """CPT against its own compute spent on SFT of the base."""
    share = f"{row.compute_share:.0%} of CPT's compute" if row.compute_share else "CPT's compute"
    what = f"{share} in SFT of the base ({row.sft_steps:,} steps, {row.sft_examples:,} examples)"
    head = f"With {what} the base is at {row.score:.1f} points; CPT is {ahead.estimate:+.1f}"
    head += f" ahead of it ({ahead.ends})"
    if ahead.outcome == "HURT":
        return f"{head}: more SFT is the better use of the compute."
    earned = outcome == "EARNED"
    if ahead.outcome == "EARNED":
        return f"{head}: {'EARNED, and it' if earned else 'it'} beats the same compute in SFT."
    if earned:
        return f"{head}: EARNED, but more SFT earns as much as far as this gate can tell."
    return f"{head}: no difference between the two is shown."


def describe_merge(row: ArmRow, ahead: Difference) -> str:
    """A merge's score and what it forgets."""
    rise = "" if row.generic_rise is None else f", generic loss {row.generic_rise:+.3f} nats"
    told = f"CPT is {ahead.estimate:+.1f} points ahead of it ({ahead.ends})"
    return f"{row.name[:1].upper()}{row.name[1:]}: {row.score:.1f} points{rise}; {told}."


# --- CPT's worth in labelled examples -------------------------------------------------------


def worth_in_examples(rows: Sequence[ArmRow], judged: JudgedTables, examples: int) -> Worth | None:
    """Labelled examples that bring the base to the CPT arm's score, with a 95% interval.

    The base's points at a quarter, half and all of its ``examples`` are joined in a line over
    the logarithm of their number, which goes on beyond the last one; seeds and sources are
    drawn again. None without two points of the curve.
    """
    import numpy as np

    curve = _of(rows, "examples", "base")
    if len(curve) < 2:
        return None
    shares = [*sorted(curve), 1.0]
    base = [group_means(curve[share].per_item, judged.groups) for share in shares[:-1]]
    base.append(group_means(judged.base, judged.groups))
    cpt = group_means(judged.cpt, judged.groups)
    sizes = [share * examples for share in shares]
    found = _reach([float(table.mean()) for table in base], sizes, float(cpt.mean()))
    rng = np.random.default_rng(0)
    draws = sorted(_draw(rng, base, cpt, sizes) for _ in range(DRAWS))
    low, high = draws[round(0.025 * DRAWS)], draws[round(0.975 * DRAWS) - 1]
    values = [value if isfinite(value) else None for value in (found, low, high)]
    return Worth(
        examples=examples,
        equal=values[0],
        low=values[1],
        high=values[2],
        farthest=FARTHEST * examples,
    )


def _draw(rng: object, base: Sequence[Floats], cpt: Floats, sizes: Sequence[float]) -> float:
    import numpy as np

    assert isinstance(rng, np.random.Generator)
    items = rng.integers(0, cpt.shape[1], cpt.shape[1])
    means = [
        float(table[rng.integers(0, len(table), len(table))][:, items].mean())
        for table in (*base, cpt)
    ]
    return _reach(means[:-1], sizes, means[-1])


def _reach(points: Sequence[float], sizes: Sequence[float], wanted: float) -> float:
    """Where a rising curve over log size is ``wanted``; infinite beyond ``FARTHEST``.

    Below its first point the first slope goes on, down to one example.
    """
    best, rising = -inf, []
    for point, size in zip(points, sizes, strict=True):
        best = max(best, point)
        rising.append((log(size), best))
    pairs = list(pairwise(rising))
    for (x, y), (x2, y2) in pairs:
        if wanted <= y2 and y2 > y:
            return max(1.0, exp(x + (wanted - y) / (y2 - y) * (x2 - x)))
    (x, y), (x2, y2) = pairs[-1]
    if y2 <= y:
        return exp(x2) if wanted <= y2 else inf
    found = exp(min(x2 + (wanted - y2) / (y2 - y) * (x2 - x), 700.0))
    return found if found <= FARTHEST * sizes[-1] else inf


def describe_worth(worth: Worth) -> str:
    """CPT's worth in the user's own currency."""
    more = f"more than {worth.farthest:,.0f}"
    equal = more if worth.equal is None else f"about {worth.equal:,.0f}"
    low = more if worth.low is None else f"{worth.low:,.0f}"
    high = more if worth.high is None else f"{worth.high:,.0f}"
    saved = "" if worth.equal is None else f", {worth.equal - worth.examples:+,.0f} over its own"
    return (
        f"In labelled examples: the base would need {equal} of them (95%: {low} to {high}) for "
        f"what CPT scores with {worth.examples:,}{saved}."
    )
