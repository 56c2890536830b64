"""Whole gates on simulated label tasks, judged by the product: looks, two endpoints, tries.

    python -m tests.benchmarks.label_gates [nulls] [power] --gates 2000 [--only WORD]

``nulls``: worlds in which CPT changes nothing that counts; EARNED and HURT at most 2.5% each by
the whole rule (prior-matched accuracy, ranking, three looks), by raw accuracy with three looks,
and by the rules before (raw, five seeds); ``tries`` are families of three checkpoints, ``to the
end`` never stops for futility. ``power``: the smallest gain, in points of prior-matched
accuracy, that is EARNED in 80 of 100 gates, with the seeds it takes. Exit status 1 if a rate of
the new rules is above 2.5% by more than chance.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.gate.looks import Tables, compare_endpoints, correct, take_look
from engine.gate.outcome import Sides, decide
from engine.recipe.gate import Gate
from tests.benchmarks.error_rates import LIMIT, wilson
from tests.label_world import Arm, Labels, Task

LOOKS = {"seeds": list(range(20)), "looks": [5, 10, 20]}


@dataclass(frozen=True)
class Rule:
    """A way of judging."""

    name: str
    gate: Gate
    matched: bool
    ranked: bool
    binding: bool = True
    """Whether the gate stops for futility."""


FULL = Rule(
    "whole rule",
    Gate.model_validate({**LOOKS, "primary": "prior_matched", "ranking_share": 0.8}),
    True,
    True,
)
TO_THE_END = Rule("to the end", FULL.gate, True, True, False)
MATCHED = Rule("matched", Gate.model_validate({**LOOKS, "primary": "prior_matched"}), True, False)
RAW = Rule("raw, looks", Gate.model_validate(LOOKS), False, False)
OLD = Rule("before", Gate.model_validate({"rules": 1, "seeds": list(range(5))}), False, False)
FIXED = Rule("raw, 5 seeds", Gate.model_validate({"seeds": list(range(5))}), False, False)

NULLS: dict[str, Labels] = {
    **{f"bias n={n}": Labels(items=n, bias=0.8) for n in (60, 240, 1000, 4000)},
    "strong bias": Labels(bias=1.6),
    "skill": Labels(skill=0.2),
    "strong skill n=1000": Labels(items=1000, skill=0.35),
    "bias and skill": Labels(bias=0.6, skill=0.15),
    "converged": Labels(bias=0.15, skill=0.05, easy=2.2),
    "converged n=1680": Labels(items=1680, bias=0.15, skill=0.05, easy=2.2),
    "10% collapses": Labels(bias=0.6, collapse=0.1),
    "30% collapses": Labels(bias=0.6, collapse=0.3),
    "surer": Labels(bias=0.8, surer=3.0),
    "surer n=1680": Labels(items=1680, bias=0.8, surer=3.0),
    "2 classes": Labels(classes=2, bias=0.8),
    "2 classes, 9% positive": Labels(classes=2, unequal=10, bias=0.8, easy=2.0),
    "2 classes, 9% positive n=1000": Labels(items=1000, classes=2, unequal=10, bias=0.8, easy=2.0),
    "5 unequal classes": Labels(classes=5, unequal=2, bias=0.8, skill=0.1),
    "8 classes n=480": Labels(items=480, classes=8, bias=0.8, easy=1.5),
    "20 classes n=480": Labels(items=480, classes=20, bias=0.8, easy=2.0),
    "50 classes n=1000": Labels(items=1000, classes=50, bias=0.8, easy=2.5),
    "50 classes n=240": Labels(classes=50, bias=0.8, easy=2.5),
    "sources of 3": Labels(sources=3, bias=0.6),
    "sources of 3 n=60": Labels(items=60, sources=3, bias=0.6),
    "sources of 10 n=1000": Labels(items=1000, sources=10, bias=0.6),
    "40% copies": Labels(copies=0.4, bias=0.6),
    "80% copies n=1000": Labels(items=1000, copies=0.8, bias=0.6),
    "macro-F1, 9% positive": Labels(classes=2, unequal=10, bias=0.5, easy=2.0, macro_f1=True),
    "macro-F1, 9% positive n=1000": Labels(
        items=1000, classes=2, unequal=10, bias=0.5, easy=2.0, macro_f1=True
    ),
    "macro-F1, 5 unequal classes": Labels(classes=5, unequal=2, bias=0.5, macro_f1=True),
    "macro-F1, sources of 3": Labels(sources=3, bias=0.5, unequal=2, macro_f1=True),
    "no seed noise": Labels(rest=0.3),
    "all alike": Labels(drift=0.0, bias=0.3),
}
WORLDS = {
    "bias": Labels(bias=0.8),
    "bias and skill": Labels(bias=0.6, skill=0.15),
    "skill": Labels(skill=0.2),
    "converged": Labels(bias=0.15, skill=0.05, easy=2.2),
}
SIZES = (240, 480, 1680)
GAINS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
"""Nats; what they are in points is measured."""


@dataclass
class Arms:
    """The arms of one task, scored as far as somebody asked."""

    task: Task
    known: dict[int, Arm] = field(default_factory=dict)

    def tables(self, arm: int, seeds: int, rule: Rule) -> Tables:
        found = self.known.setdefault(arm, Arm(self.task, arm))
        return found.tables(seeds, rule.matched, rule.ranked)


@dataclass(frozen=True)
class Ended:
    """How one gate ended."""

    outcome: str
    seeds: int
    p: float
    """What it counts with beside other tries."""


def judged(arms: Arms, rule: Rule, cpt: int = 1, others: tuple[float, ...] = ()) -> Ended:
    """Walk the looks as the driver does, and give the outcome at the one that ends it."""
    gate, groups = rule.gate, arms.task.groups
    for size in gate.look_sizes:
        pair = [arms.tables(arm, size, rule) for arm in (0, cpt)]
        look = take_look(*pair, gate, groups, others)
        if look.decided or size == gate.look_sizes[-1] or (look.stop and rule.binding):
            return ended(arms, rule, cpt, size, others)
    raise AssertionError


def ended(arms: Arms, rule: Rule, cpt: int, size: int, others: tuple[float, ...]) -> Ended:
    base, mine = (arms.tables(arm, size, rule) for arm in (0, cpt))
    tested = compare_endpoints(base, mine, rule.gate, arms.task.groups)
    corrected = correct(tested, rule.gate, others)
    outcome, _ = decide(Sides(base, mine), tested, corrected, rule.gate, arms.task.groups)
    return Ended(outcome, size, tested.try_p)


def family(arms: Arms, rule: Rule, count: int) -> list[Ended]:
    """Checkpoints against one base arm and gold set: each by the final count of all."""
    found: list[Ended] = []
    for cpt in range(1, count + 1):
        found.append(judged(arms, rule, cpt, tuple(one.p for one in found)))
    return [
        ended(
            arms,
            rule,
            cpt,
            one.seeds,
            tuple(other.p for at, other in enumerate(found, 1) if at != cpt),
        )
        for cpt, one in enumerate(found, 1)
    ]


# --- false positives ------------------------------------------------------------------------


def above(hits: int, count: int, rates: int) -> bool:
    """Above 2.5% by more than chance, all rates of the table considered (Bonferroni)."""
    return wilson(hits, count, 1 - 0.05 / rates)[0] > LIMIT


def nulls(count: int, only: str) -> bool:
    """Print the table; True if the new rules are nowhere above 2.5% by more than chance."""
    rules = (FULL, RAW, OLD)
    kept, rates = True, 4 * len(NULLS)
    names = " | ".join(f"{rule.name}: EARNED, HURT, seeds" for rule in rules)
    print(f"\n{count:,} gates a row, % of them\nworld | {names} | CPU s")
    for number, (name, world) in enumerate(NULLS.items()):
        if not any(word in name for word in only.split(",")):
            continue
        started, tally = time.process_time(), {rule.name: Tally() for rule in rules}
        for task in tasks(world, count, 1, number):
            arms = Arms(task)
            for rule in rules:
                tally[rule.name].add(judged(arms, rule))
        row = " | ".join(tally[rule.name].said(rates) for rule in rules)
        kept = kept and not any(tally[r.name].above(rates) for r in (FULL, RAW))
        print(f"{name} | {row} | {time.process_time() - started:.0f}", flush=True)
    return kept


def together(count: int, only: str) -> bool:
    """Sequence, two endpoints and tries together, and gates that never stop for futility."""
    kept, cells = True, ("bias n=240", "bias and skill", "converged", "10% collapses", "surer")
    rates = 4 * len(cells)
    print(f"\n{count:,} a row\nworld | three tries: any EARNED, any HURT | to the end | CPU s")
    for name in cells:
        if not any(word in name for word in only.split(",")):
            continue
        started, any_of, to_end = time.process_time(), Tally(), Tally()
        number = list(NULLS).index(name)
        for task in tasks(NULLS[name], count, 2, number):
            arms = Arms(task)
            outcomes = {one.outcome for one in family(arms, FULL, 3)}
            any_of.add(Ended("EARNED" if "EARNED" in outcomes else "TIE", 0, 1))
            any_of.counts["HURT"] += "HURT" in outcomes
            to_end.add(judged(arms, TO_THE_END))
        kept = kept and not any_of.above(rates) and not to_end.above(rates)
        spent = time.process_time() - started
        print(f"{name} | {any_of.said(rates)} | {to_end.said(rates)} | {spent:.0f}", flush=True)
    return kept


def tasks(world: Labels, count: int, *seed: int) -> Iterator[Task]:
    for gate in range(count):
        yield Task(world, *seed, gate)


@dataclass
class Tally:
    """Outcomes and seeds of one rule in one world."""

    counts: Counter[str] = field(default_factory=Counter)
    seeds: int = 0
    total: int = 0

    def add(self, one: Ended) -> None:
        self.counts[one.outcome] += 1
        self.seeds += one.seeds
        self.total += 1

    def share(self, outcome: str) -> float:
        return self.counts[outcome] / self.total

    def above(self, rates: int) -> bool:
        return any(above(self.counts[word], self.total, rates) for word in ("EARNED", "HURT"))

    def said(self, rates: int) -> str:
        parts = []
        for word in ("EARNED", "HURT"):
            mark = " ABOVE" if above(self.counts[word], self.total, rates) else ""
            parts.append(f"{100 * self.share(word):.2f}{mark}")
        return f"{', '.join(parts)}, {self.seeds / self.total:.1f}"


# --- power ----------------------------------------------------------------------------------


def power(count: int, only: str, sizes: Sequence[int] = SIZES) -> None:
    """By gain, how often each rule says EARNED, and the gain at which 80 of 100 do."""
    rules = (OLD, RAW, MATCHED, FULL)
    print(f"\n{count:,} gates a gain; MDE in points of prior-matched accuracy (mean seeds there)")
    print("world | n | seed sd raw, matched | " + " | ".join(rule.name for rule in rules))
    for name, world in WORLDS.items():
        if not any(word in name for word in only.split(",")):
            continue
        for items in sizes:
            print(
                f"{name} | {items} | {_power_row(world.but(items=items), rules, count)}", flush=True
            )


def _power_row(world: Labels, rules: tuple[Rule, ...], count: int) -> str:
    points, sds = [0.0], []
    curves: dict[str, list[tuple[float, float]]] = {rule.name: [(0.0, 0.0)] for rule in rules}
    for gain in GAINS:
        tally, gained = {rule.name: Tally() for rule in rules}, []
        for task in tasks(world.but(gain=gain), count, 3):
            arms = Arms(task)
            for rule in rules:
                tally[rule.name].add(judged(arms, rule))
            base, cpt = arms.known[0], arms.known[1]
            gained.append(100 * (cpt.matched[:5].mean() - base.matched[:5].mean()))
            sds.append([100 * t[:5].mean(axis=1).std(ddof=1) for t in (base.raw, base.matched)])
        points.append(float(np.mean(gained)))
        for rule in rules:
            one = tally[rule.name]
            curves[rule.name].append((one.share("EARNED"), one.seeds / one.total))
        if all(curve[-1][0] >= 0.8 for curve in curves.values()):
            break
    cells = [_at_80(points, curves[rule.name]) for rule in rules]
    sd = np.sqrt((np.array(sds) ** 2).mean(axis=0))
    return f"{sd[0]:.1f}, {sd[1]:.1f} | " + " | ".join(cells)


def _at_80(points: list[float], curve: list[tuple[float, float]]) -> str:
    for at in range(1, len(curve)):
        (low, few), (high, many) = curve[at - 1], curve[at]
        if high >= 0.8:
            share = (0.8 - low) / (high - low)
            effect = points[at - 1] + share * (points[at] - points[at - 1])
            return f"{effect:.1f} ({few + share * (many - few) if at > 1 else many:.0f})"
    return f"> {points[-1]:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["nulls", "together", "power", []])
    parser.add_argument("--gates", type=int, default=2000)
    parser.add_argument("--power-gates", type=int, default=200)
    parser.add_argument(
        "--only", default="", help="worlds whose name holds one of these, by commas"
    )
    parser.add_argument("--items", type=int, nargs="*", default=SIZES, help="sizes for power")
    asked = parser.parse_args()
    parts, kept = asked.parts or ["nulls", "together", "power"], True
    if "nulls" in parts:
        kept = nulls(asked.gates, asked.only) and kept
    if "together" in parts:
        kept = together(asked.gates, asked.only) and kept
    if "power" in parts:
        power(asked.power_gates, asked.only, asked.items)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
