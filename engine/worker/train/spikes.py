"""Spikes of training loss or gradient norm: robust distances from the last steps."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

WINDOW = 50
"""Steps looked back over. OLMo 2 takes 1,000; a CPT run may have no more than a few hundred."""
LEAST = 20
"""Steps before the first judgement."""
CALM = 10
"""Steps in a row below the threshold that end a spike: what swings is one alarm, not many."""
MAD_TO_SD = 1.4826
"""Of normal noise (Iglewicz and Hoaglin 1993): median and MAD, so that one spike in the window
does not hide the next."""
LEAST_SD = {"loss": 0.01, "gradient norm": 0.1}
"""Nats, and natural log of the norm: less noise than this counts as this much (engineering
choice: no alarm below 0.07 nats, or a doubled norm, at the default threshold of 7)."""


@dataclass
class Spikes:
    """Follows finite steps; ``limit`` is in robust standard deviations (``thresholds``)."""

    limit: float
    recent: deque[list[float]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    """(loss, log of the gradient norm, targets) of the last steps."""
    calm: int = CALM
    """Steps since the last one beyond the limit."""

    def step(self, loss: float, norm: float, targets: int) -> str:
        """Take a step in; what has spiked with it in words, or nothing. Once a spike.

        A mean over fewer targets than usual is noisier by the root of that ratio.
        """
        now = [loss, math.log(max(norm, 1e-12)), float(targets)]
        found = ""
        if len(self.recent) >= LEAST:
            usual = statistics.median(row[2] for row in self.recent)
            noise = math.sqrt(max(1.0, usual / max(1, targets)))
            for place, (name, least) in enumerate(LEAST_SD.items()):
                middle, sd = robust([row[place] for row in self.recent])
                z = (now[place] - middle) / (max(sd, least) * noise)
                if z > self.limit and not found:
                    found = self._words(name, now[place], middle, z)
        self.recent.append(now)
        fresh, self.calm = self.calm >= CALM, 0 if found else self.calm + 1
        return found if fresh else ""

    def _words(self, name: str, value: float, middle: float, z: float) -> str:
        if name != "loss":
            value, middle = math.exp(value), math.exp(middle)
        return (
            f"{name} {value:.3g} after a median of {middle:.3g} over {len(self.recent)} steps "
            f"({z:.0f} robust standard deviations, alarm above {self.limit:g})"
        )

    def state(self) -> dict[str, object]:
        """What a checkpoint keeps, so that a resume is not blind at first."""
        return {"recent": list(self.recent), "calm": self.calm}

    def restore(self, state: dict[str, object]) -> None:
        recent, calm = state["recent"], state["calm"]
        assert isinstance(recent, list)
        assert isinstance(calm, int)
        self.recent, self.calm = deque(recent, maxlen=WINDOW), calm


def robust(values: Sequence[float]) -> tuple[float, float]:
    """(median, standard deviation as the scaled median distance from it)."""
    middle = statistics.median(values)
    return middle, MAD_TO_SD * statistics.median(abs(value - middle) for value in values)
