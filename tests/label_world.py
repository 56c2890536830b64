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


@dataclass
class Scores:
    """An arm's scores by all endpoints, [S, n] each."""

    raw: Floats
    matched: Floats
    ranking: Floats | None

    def tables(self, count: int, matched: bool, ranked: bool) -> Tables:
        first = self.matched if matched else self.raw
        ranking = self.ranking[:count] if ranked and self.ranking is not None else None
        return Tables(first[:count], ranking)


def score(task: Task, z: Floats, ranked: bool = True) -> Scores:
    """The product's endpoints of likelihoods [S, n, K]."""
    offsets = prior_offsets(z, task.shares, task.weights)
    raw, matched = (
        (table.argmax(axis=-1) == task.truth).astype(float) for table in (z, z + offsets[:, None])
    )
    values = ranking_values(z, task.truth, task.weights) if ranked else None
    return Scores(raw, matched, values)
