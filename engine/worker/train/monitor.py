"""What training says of itself: steps, evaluations, the forgetting guard and alarms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from engine.artifacts.training import TrainArtifact
from engine.gate.forgetting import guard_state
from engine.runs.events import Alarm, EvalPoint, TrainStep
from engine.thresholds import effective
from engine.worker.job.context import Context
from engine.worker.job.rate import RecentRate
from engine.worker.step import memory
from engine.worker.train.checkpoint import Checkpoints, verify
from engine.worker.train.spikes import Spikes
from engine.worker.train.trackers import Trackers

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

    def __post_init__(self) -> None:
        self.limits = effective(self.context.recipe.probe.thresholds)
        self.spikes = Spikes(self.limits["spike"])
        self.trackers = Trackers(self.context.run, lambda why: self.alarm("amber", why))

    def begin(self, step: int) -> None:
        """Training goes on from ``step``: the rate counts from here."""
        self._rate = RecentRate(self.context.clock)
        self._rate.add(step)

    def listen(self) -> None:
        """Let the trackers have what is told from here on."""
        if self.context.ranks.first:
            self.trackers.start(list(self.context.recipe.train.trackers))

    def end(self) -> None:
        """Training is left, for now or for good."""
        self.trackers.close()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        kept = {"evals": self.evals, "guard": self.guard, "broken": self.broken}
        return {**kept, "spikes": self.spikes.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.evals, self.guard, self.broken = state["evals"], state["guard"], state["broken"]
        self.context.guard = self.guard if len(self.evals) > 1 else ""
        self.spikes.restore(state["spikes"])

    def step(self, taken: Taken) -> str:
        """Tell a step; returns why the run must end with it, or nothing."""
        self._rate.add(taken.step)
        left = self._rate.seconds_left(self.total)
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
                eta_s=left if left is None else round(left, 1),
                memory_gb=round(memory.shown() / 1e9, 3),
            )
        )
        self.trackers.look()
        self.broken = 0 if taken.finite else self.broken + 1
        if taken.finite and taken.targets:
            spike = self.spikes.step(taken.loss, taken.norm, taken.targets)
            if spike:
                self.alarm("amber", f"step {taken.step}: a spike: {spike}")
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
        level = guard_state(rise, self.limits)
        if level != self.guard:
            better = GUARDS.index(level) < GUARDS.index(self.guard)
            self.alarm(
                "note" if better else level,
                f"step {step}: generic loss {rise:+.3f} nats since the start, guard {level}",
            )
        self.guard = self.context.guard = level
        if level != "red" or not self.context.recipe.train.stop_on_red:
            return ""
        return (
            f"The forgetting guard is red ({rise:+.3f} nats at step {step}) and the "
            "recipe says stop; start a new run with more mix_back or a lower lr"
        )

    def say_smaller_batch(self, micro_batch: int) -> None:
        """Out of memory: the same step is made again with fewer rows at once."""
        self.alarm(
            "amber", f"out of memory: the same step again with a micro-batch of {micro_batch}"
        )

    def alarm(self, level: str, message: str) -> None:
        self.context.emit(Alarm(level=level, stage="train", message=message))

    @property
    def best(self) -> int | None:
        """The step of the lowest domain loss since training began, where the guard was not red."""
        start = self.evals[0]["generic"] if self.evals else 0.0
        held = [
            (e["domain"], int(e["step"]))
            for e in self.evals[1:]
            if guard_state(e["generic"] - start, self.limits) != "red"
        ]
        return min(held)[1] if held else None

    def chosen(self, last: int, checkpoints: Checkpoints) -> int:
        """The step whose weights the run's model has: ``last``, or the best if asked for."""
        best = self.best
        if self.context.recipe.train.use == "last":
            return last
        if best is None:
            self.alarm("amber", "the guard was red at every evaluation: no best, so the last")
            return last
        if not verify(checkpoints.at(best)):
            self.alarm("red", f"the best checkpoint (step {best}) is broken: using the last")
            return last
        return best

    def outcome(self, step: int) -> TrainArtifact:
        """Both losses before training and at ``step``, for the artifact."""
        first = self.evals[0]
        used = next(e for e in reversed(self.evals) if e["step"] == step)
        rise = used["generic"] - first["generic"]
        use = self.context.recipe.train.use
        return TrainArtifact(
            domain_before=first["domain"],
            domain_after=used["domain"],
            generic_before=first["generic"],
            generic_after=used["generic"],
            generic_rise=rise,
            guard=guard_state(rise, self.limits),
            used="best" if use == "best" and step == self.best else "last",
            used_step=step,
            best_step=self.best,
        )
