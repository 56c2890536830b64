"""Beside the verdict, never the verdict: Holm, results by tag, items won and lost, McNemar, and
the gold answers' log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.artifacts.gate import TagResult
from engine.artifacts.record import Interval
from engine.gold.example import SPARE_TAG
from engine.stats.crossed_test import (
    EQUAL,
    Groups,
    TestResult,
    both_arms,
    group_index,
    paired_test,
)
from engine.stats.holm import fewest_items, holm

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Tags = Sequence[Sequence[str]]
"""The tags of each item."""


@dataclass(frozen=True)
class McNemar:
    """One seed's discordant items; for display only (17-42% false positives)."""

    seed: int
    better: int
    worse: int
    p_value: float


@dataclass(frozen=True)
class ItemChanges:
    """What became of each item, averaged over the seeds; for display only."""

    differences: list[float]
    """CPT minus base in points, by item."""

    @property
    def won(self) -> int:
        return sum(change > 0 for change in self.differences)

    @property
    def lost(self) -> int:
        return sum(change < 0 for change in self.differences)

    @property
    def tied(self) -> int:
        return len(self.differences) - self.won - self.lost


def item_changes(base: ArrayLike, cpt: ArrayLike) -> ItemChanges:
    """Mean difference of every gold item over the seeds, from ``[S][n]`` of both arms.

    Raises InputError where the tables are no scores.
    """
    import numpy as np

    one, two = both_arms(base, cpt)
    means = 100.0 * (two - one).mean(axis=0)
    return ItemChanges(np.where(abs(means) > EQUAL, means, 0.0).tolist())


def by_tag(
    base: ArrayLike, cpt: ArrayLike, alpha: float, groups: Groups = None, tags: Tags | None = None
) -> list[TagResult]:
    """The crossed test on the items of each tag, by name, Holm-corrected among the tags.

    Tags with fewer independent items than ``fewest_items`` are left out. Intervals are
    uncorrected. Raises InputError where the tables are no scores.
    """
    one, two = both_arms(base, cpt)
    places: dict[str, list[int]] = {}
    for item, names in enumerate(tags or []):
        for name in dict.fromkeys(names):
            places.setdefault(name, []).append(item)
    found = {}
    for name in sorted(places):
        items = places[name]
        own = None if groups is None else [groups[item] for item in items]
        result = paired_test(one[:, items], two[:, items], alpha, own)
        if result.squares and result.squares.n_items >= fewest_items(alpha):
            found[name] = result
    adjusted = holm([result.p_value for result in found.values()])
    return [
        TagResult(
            tag=name,
            items=result.squares.n_items if result.squares else 0,
            estimate=result.estimate,
            low=result.low,
            high=result.high,
            p_value=result.p_value,
            p_adjusted=p,
        )
        for (name, result), p in zip(found.items(), adjusted, strict=True)
    ]


FAR = 3.0
"""Standard errors beyond which gold and spare items disagree; engineering choice."""


def spare_gap(
    base: ArrayLike, cpt: ArrayLike, groups: Groups = None, tags: Tags | None = None
) -> TestResult | None:
    """By how many points CPT gains more on spare items than on the gold file's own.

    None unless both sorts have two independent items. Each part's items are weighed so that the
    mean over all is the difference of the parts' means, and the test is the gate's own.
    """
    import numpy as np

    spare = np.array([SPARE_TAG in names for names in tags or []], dtype=bool)
    if not spare.any() or spare.all():
        return None
    tables = both_arms(base, cpt)
    index = group_index(groups, len(spare))
    sizes = np.bincount(index)
    weights = 1 / sizes[index]
    parts = [weights[part].sum() for part in (spare, ~spare)]
    if min(parts) < 2:
        return None
    shifted = []
    for table in tables:
        means = [(table[:, at] @ weights[at]) / weights[at].sum() for at in (spare, ~spare)]
        signed = np.where(spare, 1 / parts[0], -1 / parts[1]) * sum(parts)
        own = np.where(spare[None], means[0][:, None], means[1][:, None])
        shifted.append(signed * (table - own) + (means[0] - means[1])[:, None])
    return paired_test(shifted[0], shifted[1], groups=groups)


def mcnemar_display(base: ArrayLike, cpt: ArrayLike) -> list[McNemar]:
    """Exact McNemar per seed, a score of 0.5 and more being right. Display only."""
    from scipy.stats import binomtest

    rows = []
    for seed, (one, two) in enumerate(zip(*both_arms(base, cpt), strict=True)):
        better = int(((two >= 0.5) & (one < 0.5)).sum())
        worse = int(((one >= 0.5) & (two < 0.5)).sum())
        p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
        rows.append(McNemar(seed, better, worse, p))
    return rows


def nats_gained(
    base: ArrayLike, cpt: ArrayLike, alpha: float = 0.05, groups: Groups = None
) -> Interval | None:
    """Mean gain in nats of a gold answer's log-probability, from ``[S][n]`` of both arms.

    It moves before accuracy does and varies less (Miller 2024). The gate's own test and
    (1 - alpha) t interval; None with one seed or one item.
    """
    import numpy as np

    # The test speaks of points, hundredths of a score.
    one, two = (np.asarray(table) / 100 for table in (base, cpt))
    found = paired_test(one, two, alpha, groups)
    if found.squares is None:
        return None
    return Interval(value=found.estimate, low=found.low, high=found.high)
