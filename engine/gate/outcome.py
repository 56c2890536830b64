"""What do two arms' tests say? EARNED, HURT, a labelled TIE, or NOT JUDGED, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.artifacts.gate import ScoredArm
from engine.gate.looks import (
    Corrected,
    Tables,
    Tested,
    changes_enough,
    find_winner,
    tables_of,
    too_many_replaced,
)
from engine.gate.wording import NOT_JUDGED
from engine.recipe.gate import Gate
from engine.stats.crossed_test import Groups, paired_test
from engine.stats.holm import fewest_items

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Sides:
    """Both arms with what stands beside their primary scores."""

    base: Tables
    cpt: Tables
    raw: tuple[ArrayLike, ArrayLike] | None = None
    """Raw scores, where the primary ones are prior-matched."""
    replaced: tuple[int, int] = (0, 0)
    constant: tuple[int, int] = (0, 0)
    unfit: str = ""
    """Why an arm cannot be judged, in a clause."""

    @classmethod
    def of(cls, base: ScoredArm, cpt: ScoredArm) -> Sides:
        return cls(
            tables_of(base),
            tables_of(cpt),
            (base.raw, cpt.raw) if base.raw and cpt.raw else None,
            (len(base.replaced), len(cpt.replaced)),
            (len(base.constant), len(cpt.constant)),
            too_many_replaced(base) or too_many_replaced(cpt),
        )


def classify(
    estimate: float,
    low: float,
    high: float,
    margin: float,
    shown: bool = True,
    equal: tuple[float, float] | None = None,
) -> tuple[str, str]:
    """Outcome and label from an interval in points: EARNED, HURT or a labelled TIE.

    ``shown`` is False where the interval leaves 0 out, but not after correction for tries.
    ``equal`` is the interval that tells an equivalent TIE, where that is another one.
    """
    significant = low > 0 or high < 0
    if significant and shown and abs(estimate) >= margin:
        return ("EARNED", "") if low > 0 else ("HURT", "")
    if significant and shown:
        return "TIE", "trivial"
    low, high = equal or (low, high)
    return "TIE", "equivalent" if -margin < low and high < margin else "underpowered"


def decide(
    sides: Sides, tested: Tested, corrected: Corrected, gate: Gate, groups: Groups = None
) -> tuple[str, str]:
    """Outcome and label of both endpoints' tests, the forgetting guard left out."""
    if sides.unfit and gate.rules > 1:
        return NOT_JUDGED, ""
    base, cpt, result = sides.base.scores, sides.cpt.scores, tested.accuracy
    fewest = fewest_items(tested.alpha / max(1, corrected.tries))
    if result.squares is None or result.squares.n_items < fewest:
        return "TIE", "underpowered"
    winner = find_winner(tested, corrected, gate)
    if winner and not changes_enough(base, cpt, groups, fewest):
        return "TIE", "underpowered"
    if winner:
        how = "by ranking" if winner == "ranking" else ""
        return ("EARNED" if result.estimate > 0 else "HURT"), how
    shown = corrected.accuracy < gate.alpha
    # Two one-sided tests at alpha are the interval of 1 - 2 alpha (Schuirmann 1987).
    wide = paired_test(base, cpt, 2 * gate.alpha, groups) if gate.rules > 1 else result
    low, high, ends = result.low, result.high, (wide.low, wide.high)
    outcome, label = classify(result.estimate, low, high, gate.margin, shown, ends)
    if label == "equivalent" and any(sides.constant) and gate.rules > 1:
        return "TIE", "underpowered"
    return outcome, label
