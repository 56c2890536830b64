"""Seeds come in looks: stop or go on as the judge says, and never look twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.artifacts.gate import ScoredArm
from engine.errors import InputError
from engine.recipe.gate import Gate
from engine.runs.events import GateLooked
from engine.worker.gate.arm_files import ArmFiles
from engine.worker.gate.sequence import judge_in_looks
from tests.gate_world import world

GATE = Gate.model_validate({"seeds": list(range(8)), "looks": [3, 5, 8]})


class Driver:
    """Two arms of a simulated gate that are scored as far as they are asked for."""

    def __init__(self, folder: Path, gain: float) -> None:
        self.arms = world(np.random.default_rng(5), seeds=8, items=300, gain=gain)
        self.files = ArmFiles(folder, "cpt", "print")
        self.asked: list[int] = []
        self.events: list[GateLooked] = []
        self.dies_at = 0

    def score(self, count: int) -> tuple[ScoredArm, ScoredArm]:
        self.asked.append(count)
        if count == self.dies_at:
            raise KeyboardInterrupt
        base, cpt = (
            ScoredArm(scores=arm[:count].tolist(), seeds=GATE.seeds[:count]) for arm in self.arms
        )
        return base, cpt

    def run(self) -> list[int]:
        found = judge_in_looks(GATE, self.score, self.files, self.events.append)
        return [look.seeds for look in found.looks]


def test_a_large_difference_stops_at_the_first_look(tmp_path: Path) -> None:
    driver = Driver(tmp_path, gain=25)
    assert driver.run() == [3]
    assert driver.asked == [3]
    (look,) = driver.events
    assert look.stop
    assert look.estimate > look.boundary
    assert (look.seeds, look.most) == (3, 8)


def test_a_killed_gate_takes_no_look_again(tmp_path: Path) -> None:
    """The look that was written down stands, though its scores are asked for once more."""
    killed = Driver(tmp_path, gain=4)
    killed.dies_at = 5
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    (first,) = killed.events
    assert not first.stop
    again = Driver(tmp_path, gain=4)
    looked = again.run()
    assert looked[0] == 3
    assert len(looked) == len(set(looked)) > 1
    assert again.events[0] == first
    whole = Driver(tmp_path / "whole", gain=4)
    assert whole.run() == looked
    assert whole.events == again.events


def test_a_look_of_other_scores_is_refused(tmp_path: Path) -> None:
    Driver(tmp_path, gain=25).run()
    with pytest.raises(InputError, match="a look is never taken again"):
        Driver(tmp_path, gain=0).run()
