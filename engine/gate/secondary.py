"""Beside the verdict, never the verdict: Holm, results by tag, items won and lost, McNemar, and
the gold answers' log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.artifacts.gate import TagResult
from engine.artifacts.record import Interval
from engine.stats.crossed_test import EQUAL, Groups, both_arms, paired_test
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
