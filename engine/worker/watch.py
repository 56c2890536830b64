"""What training says of itself: steps, evaluations, the forgetting guard and alarms."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch

from engine.events import Alarm, EvalPoint, TrainStep
from engine.thresholds import effective
from engine.worker.context import Context

GUARDS = ("green", "amber", "red")
BROKEN_STEPS = 3
"""Non-finite steps in a row before the run stops."""


@dataclass(frozen=True)
class Taken:
    """One optimizer step: what it read, what came of it (nats a token), and its wall time."""

    step: int
    targets: int
    """Tokens of its rows that carry loss."""
    tokens: int
    """The same over all steps so far."""
    loss: float
    norm: float
    lr: float
    seconds: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)


@dataclass
class Watch:
    """Follows a run of ``total`` steps; rank 0's words reach the log, the others' nobody."""

    context: Context
    total: int
    evals: list[dict[str, float]] = field(default_factory=list)
    """Held-out losses by step, the first from before training."""
    guard: str = "green"
    broken: int = 0
    """Non-finite steps in a row."""

    def begin(self, step: int) -> None:
        """Training goes on from ``step``: the ETA counts from here."""
        self._first, self._started = step, time.monotonic()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"evals": self.evals, "guard": self.guard, "broken": self.broken}

    def restore(self, state: dict[str, Any]) -> None:
        self.evals, self.guard, self.broken = state["evals"], state["guard"], state["broken"]

    def step(self, taken: Taken) -> str:
        """Tell a step; returns why the run must end with it, or nothing."""
        elapsed = time.monotonic() - self._started
        eta = elapsed / (taken.step - self._first) * (self.total - taken.step)
        self.context.emit(
            TrainStep(
                step=taken.step,
                total=self.total,
                tokens=taken.tokens,
                # A batch without a target has no loss: 0 would be a false one.
                loss=taken.loss if math.isfinite(taken.loss) and taken.targets else None,
                lr=taken.lr,
                grad_norm=taken.norm if math.isfinite(taken.norm) else None,
                tokens_per_s=round(taken.targets / taken.seconds, 1),
                eta_s=round(eta, 1),
                memory_gb=round(memory_gb(), 3),
            )
        )
        self.broken = 0 if taken.finite else self.broken + 1
        if not taken.finite:
            self.alarm("red", f"step {taken.step}: loss or gradient not finite; no update was made")
        if self.broken < BROKEN_STEPS:
            return ""
        return (
            f"The loss was not finite for {BROKEN_STEPS} steps in a row, up to step "
            f"{taken.step}; the weights are as before them; lower [train] lr in a new run"
        )

    def due(self, step: int, every: int) -> bool:
        """Whether to evaluate: at the start, every so often and at the end; once at a step."""
        due = step % every == 0 or step == self.total
        return due and (not self.evals or self.evals[-1]["step"] != step)

    def evaluated(self, step: int, domain: float, generic: float) -> str:
        """Tell held-out losses and watch forgetting; returns why the run must end, or nothing."""
        self.evals.append({"step": step, "domain": domain, "generic": generic})
        self.context.emit(EvalPoint(step=step, domain=domain, generic=generic))
        rise = generic - self.evals[0]["generic"]
        level = guard_level(rise, effective(self.context.recipe.probe.thresholds))
        if level != self.guard:
            better = GUARDS.index(level) < GUARDS.index(self.guard)
            self.alarm(
                "note" if better else level,
                f"step {step}: generic loss {rise:+.3f} nats since the start, guard {level}",
            )
        self.guard = level
        if level != "red" or not self.context.recipe.train.stop_on_red:
            return ""
        return (
            f"The forgetting guard is red ({rise:+.3f} nats at step {step}) and the "
            "recipe says stop; start a new run with more mix_back or a lower lr"
        )

    def alarm(self, level: str, message: str) -> None:
        self.context.emit(Alarm(level=level, stage="train", message=message))

    def outcome(self) -> dict[str, Any]:
        """Both losses before and after training, for the artifact."""
        first, last = self.evals[0], self.evals[-1]
        return {
            "domain_before": first["domain"],
            "domain_after": last["domain"],
            "generic_before": first["generic"],
            "generic_after": last["generic"],
            "generic_rise": last["generic"] - first["generic"],
            "guard": self.guard,
        }


def guard_level(rise: float, limits: dict[str, float]) -> str:
    """green, amber or red by the rise of generic held-out loss in nats."""
    if rise <= limits["forgetting_green"]:
        return "green"
    return "amber" if rise <= limits["forgetting_amber"] else "red"


def memory_gb() -> float:
    """Peak GPU memory of this process, or its resident memory on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return psutil.Process().memory_info().rss / 1e9
