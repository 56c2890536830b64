"""The spike alarm: loud once for each spike, silent on noise, trends and short batches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.worker.train.spikes import CALM, Spikes

LIMIT = 7.0


def told(losses: list[float], norms: list[float] | None = None, targets: int = 512) -> list[int]:
    """Steps (from 0) at which an alarm was given."""
    spikes = Spikes(LIMIT)
    pairs = zip(losses, norms or [1.0] * len(losses), strict=True)
    return [n for n, (loss, norm) in enumerate(pairs) if spikes.step(loss, norm, targets)]


def noisy(seed: int, steps: int = 2000) -> tuple[list[float], list[float]]:
    """A falling loss with noise, and norms with the long tail that they have."""
    rng = np.random.default_rng(seed)
    trend = 3.0 + 2.0 * np.exp(-np.arange(steps) / 100)
    norms = np.exp(rng.normal(0, 0.3, steps))
    return (trend + rng.normal(0, 0.05, steps)).tolist(), norms.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_a_falling_loss_are_no_spikes(seed: int) -> None:
    assert told(*noisy(seed)) == []


def test_each_spike_is_told_once() -> None:
    losses, norms = noisy(0, 300)
    for start in (100, 200):
        for step in range(start, start + 5):
            losses[step] += 2.0
    assert told(losses, norms) == [100, 200]


def test_a_loss_that_swings_is_one_alarm() -> None:
    losses, norms = noisy(1, 200)
    for step in range(100, 140, 4):
        losses[step] += 3.0
    assert told(losses, norms) == [100]


def test_a_new_level_is_told_once_and_then_is_usual() -> None:
    losses, norms = noisy(2, 400)
    losses[150:] = [loss + 3.0 for loss in losses[150:]]
    assert told(losses, norms) == [150]


def test_the_gradient_norm_spikes_too_and_the_words_say_which() -> None:
    spikes = Spikes(LIMIT)
    rng = np.random.default_rng(0)
    said = [spikes.step(2.0, float(math.exp(rng.normal(0, 0.1))), 512) for _ in range(60)]
    assert not any(said)
    words = spikes.step(2.0, 80.0, 512)
    assert words.startswith("gradient norm 80 after a median of 1")
    assert "alarm above 7" in words


def test_the_last_short_batch_is_noisier_and_no_spike() -> None:
    """A mean over 1/16 of the targets has 4 times the noise: 5 of the usual SDs are 1.25."""
    spikes = Spikes(LIMIT)
    rng = np.random.default_rng(3)
    for _ in range(60):
        assert not spikes.step(float(rng.normal(3, 0.05)), 1.0, 512)
    assert not spikes.step(3 + 0.05 * 4 * 3, 1.0, 32)


def test_a_resume_goes_on_with_the_same_window() -> None:
    losses, norms = noisy(4, 120)
    losses[100] += 3
    whole, first, second = Spikes(LIMIT), Spikes(LIMIT), Spikes(LIMIT)
    expected = [whole.step(*pair, 512) for pair in zip(losses, norms, strict=True)]
    found = [first.step(*pair, 512) for pair in zip(losses[:97], norms[:97], strict=True)]
    second.restore(first.state())
    found += [second.step(*pair, 512) for pair in zip(losses[97:], norms[97:], strict=True)]
    assert found == expected
    assert sum(map(bool, found)) == 1
    assert second.calm >= CALM
