"""How often does the gate err, and what does it see? Simulated gates through ``judge`` itself.

    python -m tests.benchmarks.error_rates [false] [power] [tries] --simulations 1000

``false``: A/A gates (the same checkpoint twice), and two checkpoints that find other items easy
without being better: EARNED and HURT at most 2.5% each. ``power``: the smallest effect that is
EARNED in 80 of 100 cases, against ``prior_mde`` of ``engine/stats/power.py``. ``tries``:
several checkpoints without effect against one gold set. Beside the gate's test stands the one
that it replaced, which took the seeds in pairs. Exit status 1 if a rate is above 2.5% by more
than chance. Whole gates on label tasks, with looks and two endpoints: ``label_gates.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from math import sqrt
from typing import Any

import numpy as np

from engine.gate.judge import judge
from engine.stats.crossed_test import mean_squares
from engine.stats.power import SEED_SD, Terms, prior_mde
from engine.thresholds import effective
from tests.gate_world import FIXED, Arms, arm, items_of, world

GATE, LIMITS = FIXED, effective({})
LIMIT = 0.025
SDS, SEEDS, SIZES = (0.0, 2.0, 5.0), (3, 5, 8), (50, 100, 400)
CELLS = tuple(product(SDS, SEEDS, SIZES))
RATES = 4 * len(CELLS)
"""EARNED and HURT, for two kinds of nothing."""
ITEMS = (50, 100, 240, 480, 1000)
"""Where the simulation is set beside ``prior_mde``, at its seed sd."""
MOST_GAIN, HALVINGS = 60.0, 8
FAMILY = (1, 2, 3, 5, 10)
"""Tries against one gold set."""

Test = Callable[..., str]


def outcome(base: Any, cpt: Any, other_tries: Any = ()) -> tuple[str, float]:
    """(outcome, p) by the product."""
    found = judge(base, cpt, GATE, 0.0, LIMITS, other_tries=other_tries)
    return found.outcome, found.p_value


def gated(base: Any, cpt: Any) -> str:
    return outcome(base, cpt)[0]


def in_pairs(base: Any, cpt: Any) -> str:
    """The test before: seeds' spread by the S differences of pairs, S-1 degrees of freedom."""
    from scipy.special import stdtrit

    change = 100.0 * (cpt - base)
    seeds, items = change.shape
    by_item, by_seed, rest = mean_squares(change)
    chosen = max(by_item + by_seed - rest, by_item, by_seed)
    if chosen < 1e-12:
        return "TIE"
    spread = by_item**2 / (items - 1) + by_seed**2 / (seeds - 1)
    spread += rest**2 / ((items - 1) * (seeds - 1))
    df = min(max(chosen**2 / spread, seeds - 1), items + seeds)
    half = float(stdtrit(df, 1 - GATE.alpha / 2)) * sqrt(chosen / (items * seeds))
    estimate = float(change.mean())
    if abs(estimate) < max(half, GATE.margin):
        return "TIE"
    return "EARNED" if estimate > 0 else "HURT"


def tables(count: int, *seed: int, **settings: Any) -> Iterator[Arms]:
    """The same ``count`` gates for every test and every gain."""
    for number in range(count):
        yield world(np.random.default_rng([*seed, number]), **settings)


def wilson(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    from scipy.stats import binomtest

    found = binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def above(hits: int, count: int) -> bool:
    """Above 2.5% by more than chance, all rates of the table considered (Bonferroni)."""
    return wilson(hits, count, 1 - 0.05 / RATES)[0] > LIMIT


def said(hits: int, count: int) -> str:
    """A rate with its 95% Wilson interval, and what it is against 2.5%."""
    low, high = wilson(hits, count)
    mark = " ABOVE" if above(hits, count) else " (above, within chance)"
    return f"{hits / count:.2%} ({low:.1%}-{high:.1%}){mark if hits / count > LIMIT else ''}"


def false_positives(count: int) -> bool:
    """Print the table; True if the gate's own test is nowhere above 2.5% by more than chance."""
    kept, most = True, {"gate": 0.0, "in pairs": 0.0}
    for kind, (name, drift) in enumerate((("A/A", 0.0), ("other items, no gain", 0.6))):
        print(
            f"\n{name}: {count:,} gates a row\nsd | S | n | EARNED | HURT | in pairs: EARNED, HURT"
        )
        for cell, (sd, seeds, items) in enumerate(CELLS):
            settings = {"seeds": seeds, "items": items, "sd": sd, "drift": drift}
            gates = tables(count, 1, kind, cell, **settings)
            pairs = [(gated(*arms), in_pairs(*arms)) for arms in gates]
            rates = [
                sum(pair[test] == word for pair in pairs)
                for test, word in product((0, 1), ("EARNED", "HURT"))
            ]
            kept = kept and not any(above(hits, count) for hits in rates[:2])
            most["gate"] = max(most["gate"], *(hits / count for hits in rates[:2]))
            most["in pairs"] = max(most["in pairs"], *(hits / count for hits in rates[2:]))
            row = " | ".join(said(hits, count) for hits in rates)
            print(f"{sd:g} | {seeds} | {items} | {row}", flush=True)
    print(f"\nhighest rate: {most['gate']:.2%}; seeds in pairs: {most['in pairs']:.2%}", flush=True)
    return kept


def mde(test: Test, count: int, **settings: Any) -> float:
    """Effect in points, as the scores show it, that is EARNED in 80% of the gates.

    Halves the latent gain on the same random numbers, so that power only grows with it.
    """
    low, high = 0.0, MOST_GAIN
    for _ in range(HALVINGS):
        gain = (low + high) / 2
        earned = sum(test(*arms) == "EARNED" for arms in tables(count, 2, gain=gain, **settings))
        low, high = (low, gain) if earned >= 0.8 * count else (gain, high)
    changes = [float((c - b).mean()) for b, c in tables(count, 2, gain=high, **settings)]
    return 100.0 * float(np.mean(changes))


def power(count: int) -> None:
    print(
        f"\nMDE at 80% power in points, {count:,} gates a gain\n"
        "sd | S | n | gate | in pairs | prior_mde"
    )
    rows = [*CELLS, *((SEED_SD, seeds, items) for seeds, items in product(SEEDS, ITEMS))]
    for sd, seeds, items in rows:
        settings = {"seeds": seeds, "items": items, "sd": sd}
        found = [mde(test, count, **settings) for test in (gated, in_pairs)]
        note = f"{prior_mde(items, Terms(seeds)):.1f}" if sd == SEED_SD else "-"
        print(f"{sd:g} | {seeds} | {items} | {found[0]:.1f} | {found[1]:.1f} | {note}", flush=True)


def tries(count: int, seeds: int = 5, items: int = 100, sd: float = 2.0) -> None:
    """Families of checkpoints without effect: one base arm and gold set, each its own CPT arm."""
    uncorrected, stopping, final = (dict.fromkeys(FAMILY, 0) for _ in range(3))
    for number in range(count):
        rng = np.random.default_rng([3, number])
        item = items_of(rng, items)
        base, *others = (arm(rng, item, seeds, sd, 0.0, 0.6) for _ in range(FAMILY[-1] + 1))
        alone = [outcome(base, cpt) for cpt in others]
        p = [value for _, value in alone]
        then = [outcome(base, cpt, p[:k])[0] for k, cpt in enumerate(others)]
        for size in FAMILY:
            now = [
                outcome(base, others[k], p[:k] + p[k + 1 : size])[0]
                for k in range(size)
                if alone[k][0] == "EARNED"  # a corrected p is never smaller
            ]
            uncorrected[size] += any(word == "EARNED" for word, _ in alone[:size])
            stopping[size] += "EARNED" in then[:size]
            final[size] += "EARNED" in now
    print(f"\nat least one false EARNED among k tries ({count:,} families, S={seeds}, n={items})")
    print("k | by the count of all k | stopping at the first EARNED | uncorrected")
    for k in FAMILY:
        row = (said(hits[k], count) for hits in (final, stopping, uncorrected))
        print(f"{k} | " + " | ".join(row))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["false", "power", "tries", []])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--power-simulations", type=int, default=300)
    asked = parser.parse_args()
    parts = asked.parts or ["false", "power", "tries"]
    started, kept = time.monotonic(), True
    if "false" in parts:
        kept = false_positives(asked.simulations)
    if "power" in parts:
        power(asked.power_simulations)
    if "tries" in parts:
        tries(asked.simulations)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
