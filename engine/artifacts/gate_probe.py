"""How long the gate's probe trains: found once, on the base, and then the same in every seed."""

from __future__ import annotations

from typing import Literal

from engine.artifacts.record import Record

Why = Literal["pinned", "learnt", "flat", "cap"]


class ProbeSteps(Record):
    """The pinned length and schedule of the gate's SFT.

    ``pinned``: the recipe's epochs, with a cosine to zero whose shape depends on their number.
    Otherwise the rate stays at its peak while the base learns, and falls to zero in a line after
    that: the steps up to ``hold`` are then the same steps whatever comes after them, so that the
    run which finds the length is itself the first seed's, and the length means the same in every
    other seed and arm.
    """

    steps: int
    """Optimizer steps in all."""
    examples: int
    """Examples seen in all; the last batch of pinned epochs may be a part of one."""
    warmup: int
    hold: int | None = None
    """Steps before the rate falls; None for a cosine."""
    why: Why = "pinned"
    """``learnt``: the loss was low; ``flat``: it fell no more; ``cap``: the most epochs came
    first, and the loss still fell."""
    loss: float | None = None
    """Mean completion loss, nats a token, of the last tenth of the steps before the rate fell."""
    epochs: float = 0.0
    """Passes over the examples, for the reader."""

    @property
    def sentence(self) -> str:
        """What was found, and how, in words."""
        told = f"{self.steps} steps ({self.epochs:g} epochs)"
        if self.why == "pinned":
            return f"{told}, as the recipe pins them"
        loss = "" if self.loss is None else f" (SFT loss {self.loss:.3f} nats a token)"
        reason = {
            "learnt": "the base has learnt its SFT data by then",
            "flat": "its SFT loss fell no more",
            "cap": "gate.probe.most_epochs; its SFT loss still fell, so more may be better",
        }[self.why]
        return f"{told}: {reason}{loss}"
