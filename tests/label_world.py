"""Simulated label tasks with a known truth: likelihoods of K choices, two arms, many seeds.

A seed brings its own offset for each label (``bias``), its own skill (``skill``), and may
collapse into one answer. Everything is in nats; a choice's likelihood is a row's largest where
the answer is right. ``score`` turns likelihoods into the product's own tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.gate.looks import Tables
from engine.gold.metrics import f1_values
from engine.stats.prior_matching import prior_offsets
from engine.stats.ranking import ranking_values

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """A kind of label task, and how its SFT errs."""

    items: int = 240
    classes: int = 4
    unequal: float = 1.0
    """Each class is so many times as frequent as the next."""
    easy: float = 1.0
    """Nats by which the right choice stands above the others, on average."""
    spread: float = 1.5
    """Of that over items."""
    drift: float = 0.6
    """What each arm finds easier or harder."""
    rest: float = 0.7
    bias: float = 0.0
    skill: float = 0.0
    collapse: float = 0.0
    """Share of seeds that answer alike."""
    surer: float = 1.0
    """Factor of the CPT arm's likelihoods."""
    gain: float = 0.0
    """Nats that CPT adds to the right choice."""
    sources: float = 1.0
    """Items of one source, on average; the sizes differ (geometric)."""
    copies: float = 0.0
    """Share of the items that repeat another one, all of them one of a tenth of the items."""

    macro_f1: bool = False
    """Whether macro-F1 is the score in place of accuracy."""

    def but(self, **changes: Any) -> Labels:
        return replace(self, **changes)


class Task:
    """One gold set, and the arms that are scored on it, seed by seed as they are asked for."""

    def __init__(self, world: Labels, *seed: int) -> None:
        self.world, self.seed = world, seed
        rng = np.random.default_rng([*seed, 0])
        n, k = world.items, world.classes
        shares = float(world.unequal) ** -np.arange(k)
        self.truth = rng.choice(k, n, p=shares / shares.sum())
        index = self._sources(rng)
        self.groups = None if index is None else [f"s{one}" for one in index]
        base = rng.normal(0, 0.5, (n, k))
        ease = rng.normal(world.easy, world.spread, n)
        if index is not None:  # half of an item's variance is its source's
            ease = self._shared(rng, index, ease)
        if world.copies and index is not None:
            first = {g: i for i, g in reversed(list(enumerate(index)))}
            place = np.array([first[g] for g in index])
            base, ease, self.truth = base[place], ease[place], self.truth[place]
        base[np.arange(n), self.truth] += ease
        self.item, self.index = base, index
        sizes = np.ones(n) if index is None else np.bincount(index)[index].astype(float)
        self.weights = 1 / sizes
        self.shares = np.bincount(self.truth, self.weights, k) / self.weights.sum()

    def _sources(self, rng: np.random.Generator) -> npt.NDArray[np.int64] | None:
        world, n = self.world, self.world.items
        if world.copies:
            index = np.arange(n)
            many = rng.random(n) < world.copies
            index[many] = rng.integers(0, max(1, n // 10), int(many.sum()))
            return np.unique(index, return_inverse=True)[1]
        if world.sources <= 1:
            return None
        sizes = rng.geometric(1 / world.sources, n)
        return np.repeat(np.arange(n), sizes)[:n]

    def _shared(self, rng: np.random.Generator, index: Any, ease: Floats) -> Floats:
        own = rng.normal(0, 1, int(index.max()) + 1)[index] * self.world.spread
        mixed: Floats = self.world.easy + (ease - self.world.easy + own) / np.sqrt(2)
        return mixed

    def likelihoods(self, arm: int, seeds: range) -> Floats:
        """[S, n, K] of an arm (0 is the base) under these seeds, the same whoever asks when."""
        world, (n, k) = self.world, self.item.shape
        lasting = np.random.default_rng([*self.seed, 1, arm])
        drift = lasting.normal(0, world.drift, (n, k))
        if self.index is not None:
            shared = lasting.normal(0, world.drift, (int(self.index.max()) + 1, k))[self.index]
            drift = shared if world.copies else (drift + shared) / np.sqrt(2)
        tables = []
        for number in seeds:
            rng = np.random.default_rng([*self.seed, 2, arm, number])
            table = self.item + drift + rng.normal(0, world.bias, k)
            if not world.copies:
                table = table + world.rest * rng.standard_normal((n, k), np.float32)
            else:
                noise = rng.standard_normal((int(self.index.max()) + 1, k), np.float32)  # type: ignore[union-attr]
                table = table + world.rest * noise[self.index]
            lift = rng.normal(0, world.skill) + (world.gain if arm else 0.0)
            table[np.arange(n), self.truth] += lift
            if rng.random() < world.collapse:
                table = 0.02 * table + 8.0 * np.eye(k)[rng.integers(k)]
            tables.append(table * (world.surer if arm else 1.0))
        found: Floats = np.array(tables)
        return found


class Arm:
    """One arm's scores by all endpoints, made seed by seed as far as somebody asks."""

    def __init__(self, task: Task, number: int) -> None:
        self.task, self.number = task, number
        n, k = task.item.shape
        self.likelihoods = np.empty((0, n, k))
        self.raw, self.matched, self.ranking = (np.empty((0, n)) for _ in range(3))

    def tables(self, seeds: int, matched: bool, ranked: bool) -> Tables:
        """What a rule tests of the first seeds."""
        self._score(seeds)
        first = (self.matched if matched else self.raw)[:seeds]
        if ranked and len(self.ranking) < seeds:
            z = self.likelihoods[len(self.ranking) : seeds]
            values = ranking_values(z, self.task.truth, self.task.weights)
            if values is None:
                return Tables(first)
            self.ranking = np.concatenate([self.ranking, values])
        return Tables(first, self.ranking[:seeds] if ranked else None)

    def _score(self, seeds: int) -> None:
        """The product's primary scores, raw and prior-matched."""
        have, task = len(self.raw), self.task
        if have >= seeds:
            return
        z = task.likelihoods(self.number, range(have, seeds))
        judge = _f1 if task.world.macro_f1 else _hits
        offsets = prior_offsets(z, task.shares, task.weights)[:, None]
        raw, matched = (judge(task, table.argmax(axis=-1)) for table in (z, z + offsets))
        self.likelihoods = np.concatenate([self.likelihoods, z])
        self.raw = np.concatenate([self.raw, raw])
        self.matched = np.concatenate([self.matched, matched])


def _hits(task: Task, found: npt.NDArray[np.int64]) -> Floats:
    return (found == task.truth).astype(float)


def _f1(task: Task, found: npt.NDArray[np.int64]) -> Floats:
    truth, weights = [str(k) for k in task.truth], task.weights.tolist()
    return np.array([f1_values(truth, [str(k) for k in row], weights) for row in found])
