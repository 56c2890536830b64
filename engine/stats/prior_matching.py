"""Prior matching: a label's offset is taken out, so that answers come at given class shares.

A short SFT leaves every seed with an offset of its own for each label, and the largest
likelihood turns offsets into points. The offsets that bring the mean class probability to the
shares are unique (the dual is convex); each round is the step of Saerens, Latinne and
Decaestecker (2002, Neural Computation 14), as batch calibration does for prompts (Zhou 2023,
arXiv 2309.17249). The rule reads prompts and class shares, never an item's answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Floats = NDArray[float64]

ROUNDS = 30
"""Steps towards the shares: part of the score's definition, the same in both arms. Ten suffice
for a soft model; one that is six times as sure and as biased was still two points short of
where thirty end, and a surer arm must not pay for that."""


def prior_offsets(likelihoods: Floats, shares: Floats, weights: Floats) -> Floats:
    """Offset of each class in nats ``[..., K]`` from summed log-likelihoods ``[..., n, K]``.

    ``shares`` are the class shares [K] that sum to 1; a class of share 0 is never answered.
    ``weights`` are the items' [n]. The first class that has a share keeps offset 0.
    """
    import numpy as np

    held = shares > 0
    weights = weights / weights.sum()
    known = likelihoods[..., held]
    known = known - known.max(axis=-1, keepdims=True)
    scale, wanted = np.exp(known), shares[held]
    factors = np.ones((*known.shape[:-2], known.shape[-1]))
    for _ in range(ROUNDS):
        # softmax(z + b) = e^z e^b / sum; the row's own maximum is out, so nothing overflows.
        sums = np.maximum((scale @ factors[..., None])[..., 0], _LEAST)
        means = factors * ((weights / sums)[..., None, :] @ scale)[..., 0, :]
        factors = factors * wanted / np.maximum(means, _LEAST)
        factors = factors / factors.max(axis=-1, keepdims=True)
    offsets = np.full((*likelihoods.shape[:-2], likelihoods.shape[-1]), -np.inf)
    logs = np.log(np.maximum(factors, _LEAST))
    offsets[..., held] = logs - logs[..., :1]
    return offsets


_LEAST = 1e-300
"""Keeps a probability that came out as 0 from dividing."""
