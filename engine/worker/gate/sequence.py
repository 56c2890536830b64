"""The sequential gate: train seeds up to the next look, ask the judge, stop or go on.

A look is written down, sealed, before anything is done about it. A gate that was killed finds
its seeds and its looks again: what was trained is not trained twice, and a look that was taken
stands as it was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from engine.artifacts.gate import GateLook, ScoredArm
from engine.artifacts.record import Record
from engine.gate.looks import next_step
from engine.recipe.gate import Gate
from engine.runs.events import GateLooked
from engine.stats.crossed_test import Groups
from engine.worker.gate.arm_files import ArmFiles

LOOKS = "looks"
"""The part of the CPT arm's files that holds the looks."""


class TakenLooks(Record):
    """Every look of one gate so far, in order."""

    looks: list[GateLook] = Field(default_factory=list)


@dataclass(frozen=True)
class BothArms:
    """Both arms as far as they were judged, and the looks at them."""

    base: ScoredArm
    cpt: ScoredArm
    looks: list[GateLook]


Score = Callable[[int], tuple[ScoredArm, ScoredArm]]
"""Base and CPT arm under the first seeds, as many as it is told."""


def judge_in_looks(
    gate: Gate,
    score: Score,
    files: ArmFiles,
    emit: Callable[[GateLooked], None],
    groups: Groups = None,
    other_tries: Sequence[float] = (),
) -> BothArms:
    """Score look by look until the judge stops. InputError where a look was of other scores."""
    kept = files.read(LOOKS, TakenLooks)
    looks = list(kept.looks) if kept else []
    for size in gate.look_sizes:
        base, cpt = score(size)
        step = next_step(base, cpt, gate, groups, other_tries, looks)
        if step.look not in looks:
            looks.append(step.look)
            files.write(LOOKS, TakenLooks(looks=looks))
        emit(event_of(step.look, gate))
        if step.stop:
            break
    return BothArms(base, cpt, looks)


def event_of(look: GateLook, gate: Gate) -> GateLooked:
    """What a viewer sees of a look."""
    return GateLooked(
        seeds=look.seeds,
        most=gate.look_sizes[-1],
        estimate=round(look.estimate, 3),
        low=round(look.low, 3),
        high=round(look.high, 3),
        boundary=round(look.boundary, 3),
        predicted=round(look.predicted, 4),
        stop=look.stop,
        why=look.why,
    )
