"""When does the gate look, what does a look decide, and which seeds come next?

A sequential gate looks at registered numbers of seeds, and each look spends its registered share
of alpha; their sum bounds the error whatever the looks' dependence. A p value divided by the
shares of its look and endpoint is valid by itself, so Holm over tries takes it as it is. A look
stands once it is taken. Stopping because the last look would hardly decide is not binding and
costs no alpha. Sources: Haybittle 1971, O'Brien and Fleming 1979, Lan and DeMets 1983;
``tests/benchmarks/label_gates.py`` has the errors and the power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from engine.artifacts.gate import GateLook, ScoredArm
from engine.errors import InputError
from engine.gate.wording import LAST_LOOK
from engine.recipe.gate import Gate
from engine.stats.crossed_test import EQUAL, Groups, TestResult, crossed_error, paired_test
from engine.stats.holm import fewest_items, holm, weighted_holm

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FUTILE = 0.2
"""Chance of the last look to decide below which the gate stops; engineering choice, not binding."""
MOST_REPLACED = 0.2
"""Share of an arm's seeds that may collapse; beyond it the SFT does not learn the task."""


class Tables(NamedTuple):
    """What is tested of one arm, ``[S][n]`` each."""

    scores: ArrayLike
    ranking: ArrayLike | None = None


def tables_of(arm: ScoredArm) -> Tables:
    return Tables(arm.scores, arm.ranking or None)


@dataclass(frozen=True)
class Tested:
    """Both endpoints at one number of seeds."""

    accuracy: TestResult
    """Of the primary score, with the look's interval."""
    ranking: TestResult | None
    alpha: float
    """What the look spends."""
    p: tuple[float, float]
    """Of accuracy and ranking, after look and endpoint: each valid by itself."""

    @property
    def try_p(self) -> float:
        """What this try counts with beside others."""
        return min(self.p)


class Corrected(NamedTuple):
    """The p values after Holm over the tries."""

    accuracy: float
    ranking: float
    tries: int


def compare_endpoints(base: Tables, cpt: Tables, gate: Gate, groups: Groups = None) -> Tested:
    """Test both endpoints. InputError where the tables are no scores, or no look is at S."""
    try:
        alpha = gate.look_alpha(len(base.scores))  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(f"{error}; score all seeds of the next look in both arms") from None
    accuracy = paired_test(base.scores, cpt.scores, alpha, groups)
    spent = gate.alpha / alpha
    if base.ranking is None or cpt.ranking is None:
        return Tested(accuracy, None, alpha, (min(1.0, spent * accuracy.p_value), 1.0))
    ranking = paired_test(base.ranking, cpt.ranking, alpha, groups)
    pair = weighted_holm((accuracy.p_value, ranking.p_value), gate.ranking_share)
    return Tested(accuracy, ranking, alpha, (min(1.0, spent * pair[0]), min(1.0, spent * pair[1])))


def correct(tested: Tested, gate: Gate, other_tries: Sequence[float]) -> Corrected:
    """Holm over this try and the others; ``gate.earlier_tries`` count with an unknown p."""
    others = [*other_tries, *[1.0] * gate.earlier_tries]
    first, second = (holm([*others, p])[-1] for p in tested.p)
    return Corrected(first, second, len(others) + 1)


def find_winner(tested: Tested, corrected: Corrected, gate: Gate) -> str:
    """The endpoint that decides: ``accuracy``, ``ranking``, or none: ''.

    Either needs a difference of the primary score of the margin or more, in its own direction.
    """
    estimate = tested.accuracy.estimate
    if abs(estimate) < gate.margin or tested.accuracy.squares is None:
        return ""
    if corrected.accuracy < gate.alpha and not _holds_zero(tested.accuracy):
        return "accuracy"
    ranking = tested.ranking
    agree = ranking is not None and ranking.estimate * estimate > 0
    return "ranking" if agree and corrected.ranking < gate.alpha else ""


def _holds_zero(result: TestResult) -> bool:
    return result.low <= 0 <= result.high


def changes_enough(base: ArrayLike, cpt: ArrayLike, groups: Groups, fewest: int) -> bool:
    """Whether as many sources changed as an exact sign test needs."""
    from engine.stats.crossed_test import group_means

    change = group_means(cpt, groups) - group_means(base, groups)
    return int((abs(100.0 * change.mean(axis=0)) > EQUAL).sum()) >= fewest


# --- looks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class NextSeeds:
    """What a look says the driver has to do."""

    look: GateLook
    """To be written down before anything else."""
    seeds: tuple[int, ...]
    """The next seeds to train and score in both arms; empty where the gate stops."""

    @property
    def stop(self) -> bool:
        return self.look.stop

    @property
    def why(self) -> str:
        return self.look.why


def next_step(
    base: ScoredArm,
    cpt: ScoredArm,
    gate: Gate,
    groups: Groups = None,
    other_tries: Sequence[float] = (),
    before: Sequence[GateLook] = (),
) -> NextSeeds:
    """Look at the seeds that both arms have, and say whether and how to go on.

    ``before`` are the looks that were taken and written down; one at the same number of seeds
    stands as it is. Raises InputError where it was taken of other scores, where no look is at
    that number, and where the tables are no scores.
    """
    look = take_look(tables_of(base), tables_of(cpt), gate, groups, other_tries)
    sizes, size = gate.look_sizes, len(base.scores)
    taken = next((one for one in before if one.seeds == size), None)
    if taken is not None:
        if abs(taken.estimate - look.estimate) > 1e-6:
            raise InputError(
                f"the look at {size} seeds was taken at {taken.estimate:+.3f} points and these "
                f"scores give {look.estimate:+.3f}: a look is never taken again; put the seeds' "
                "files back as they were, or start a new run"
            )
        look = taken
    elif why := too_many_replaced(base) or too_many_replaced(cpt):
        look = look.model_copy(update={"stop": True, "decided": "", "why": why})
    later = [other for other in sizes if other > size]
    seeds = () if look.stop or not later else tuple(gate.seeds[size : later[0]])
    return NextSeeds(look, seeds)


def take_look(
    base: Tables, cpt: Tables, gate: Gate, groups: Groups = None, other_tries: Sequence[float] = ()
) -> GateLook:
    """One look: what is seen, what would decide, and whether to go on. InputError as above."""
    tested = compare_endpoints(base, cpt, gate, groups)
    corrected = correct(tested, gate, other_tries)
    decided = find_winner(tested, corrected, gate)
    fewest = fewest_items(tested.alpha / corrected.tries)
    if decided and not changes_enough(base.scores, cpt.scores, groups, fewest):
        decided = ""
    seeds, most = len(base.scores), gate.look_sizes[-1]  # type: ignore[arg-type]
    last = seeds >= most
    chance = 0.0 if last else predict(tested, corrected.tries, gate, most)
    stop = bool(decided) or last or chance < FUTILE
    found = tested.accuracy
    return GateLook(
        seeds=seeds,
        alpha=tested.alpha,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        boundary=_boundary(tested, corrected.tries, gate),
        p_value=tested.try_p,
        predicted=chance,
        stop=stop,
        decided=decided,
        why=_reason(decided, last, stop, chance, most),
    )


def _reason(decided: str, last: bool, stop: bool, chance: float, most: int) -> str:
    if decided:
        return f"the difference is shown by {decided} at this look's share of alpha"
    if last:
        return LAST_LOOK
    said = f"the chance that {most} seeds would decide is {chance:.0%}"
    return f"{said}, below {FUTILE:.0%}" if stop else said


def accuracy_alpha(tested: Tested, tries: int, gate: Gate) -> float:
    """What the primary score alone has of alpha at this look, by the count of tries."""
    share = 1.0 if tested.ranking is None else 1 - gate.ranking_share
    return tested.alpha * share / max(1, tries)


def _boundary(tested: Tested, tries: int, gate: Gate) -> float:
    from scipy.special import stdtrit

    result = tested.accuracy
    if result.squares is None:
        return 100.0
    reach = float(stdtrit(result.df, 1 - accuracy_alpha(tested, tries, gate) / 2)) * result.se
    return min(100.0, max(reach, gate.margin))


def predict(tested: Tested, tries: int, gate: Gate, most: int) -> float:
    """Chance that the last look, at ``most`` seeds, decides: by what is seen (predictive power).

    The estimate at the last look is normal around today's, by the variance that more seeds take
    away. Each endpoint is given all of that look's alpha, so the gate stops rather too late.
    """
    alpha = gate.look_alpha(most) / max(1, tries)
    size = _reach(tested.accuracy, most, 1.0, gate.margin)
    shown = _reach(tested.accuracy, most, alpha, gate.margin)
    if tested.ranking is None:
        return shown
    return max(shown, min(size, _reach(tested.ranking, most, alpha, 0.0)))


def _reach(result: TestResult, most: int, alpha: float, margin: float) -> float:
    """Chance that an estimate at ``most`` seeds is beyond what alpha and margin ask."""
    from scipy.special import ndtr, ndtri

    if result.squares is None:
        return 1.0
    if result.se == 0:
        return float(abs(result.estimate) >= max(margin, EQUAL))
    later = crossed_error(result.squares.expected(result.squares.n_items, most))[0]
    line = max(float(ndtri(1 - alpha / 2)) * later, margin)
    still = sqrt(max(result.se**2 - later**2, 1e-12))
    return float(ndtr((result.estimate - line) / still) + ndtr((-result.estimate - line) / still))


def too_many_replaced(arm: ScoredArm) -> str:
    """Why an arm cannot be judged, in a clause; empty where it can."""
    count, seeds = len(arm.replaced), len(arm.scores)
    if count <= MOST_REPLACED * seeds:
        return ""
    return f"the SFT does not learn here: {count} of {seeds} seeds collapsed and were replaced"
