"""The second half of the guard, for a base that is a chat model: what became of its answers?

The loss of held-out answers is judged as generic loss is, and the worse of the two is the guard.
"""

from __future__ import annotations

from engine.artifacts.gate import GateVerdict
from engine.artifacts.record import Interval
from engine.gate.forgetting import guard_state
from engine.gate.judge import after_guard
from engine.gate.wording import sentence
from engine.recipe.gate import Gate

STATES = ("unknown", "green", "amber", "red")
"""From the one that says least to the worst."""


def with_chat(
    verdict: GateVerdict, rise: Interval | None, gate: Gate, limits: dict[str, float]
) -> GateVerdict:
    """The verdict with the rise of the answers' loss; unchanged where it was not measured."""
    if rise is None:
        return verdict
    guard = guard_state(rise.value, limits, rise.high)
    worse = max(guard, verdict.guard, key=STATES.index)
    outcome, label = after_guard(verdict.outcome, verdict.label, worse, gate)
    found = verdict.model_copy(
        update={
            "outcome": outcome,
            "label": label,
            "guard": worse,
            "generic_guard": verdict.guard,
            "chat_guard": guard,
            "chat_rise": rise.value,
            "chat_low": rise.low,
            "chat_high": rise.high,
        }
    )
    return found.model_copy(update={"sentence": sentence(found, gate.alpha)})


def chat_rise_of(verdict: GateVerdict) -> Interval | None:
    """What ``with_chat`` was given; None where it was given nothing."""
    rise, low, high = verdict.chat_rise, verdict.chat_low, verdict.chat_high
    if rise is None or low is None or high is None:
        return None
    return Interval(value=rise, low=low, high=high)
