"""The context of an arm's own run: its files are its own, all else is the outer run's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.runs.events import Alarm, ArmSeed, Event, TrainStep
from engine.worker.job.context import Context


@dataclass(eq=False)
class ArmContext(Context):
    """An arm's own run: its files are its own; requests and progress are the run's."""

    owner: Context = field(kw_only=True)
    name: str = field(kw_only=True)

    @property
    def outer(self) -> Context:
        return self.owner.outer

    def emit(self, event: Event) -> None:
        self.log.append(event)
        if isinstance(event, TrainStep):
            label = f"{self.name}: training"
            self.owner.tell(label, event.step, event.total, "steps", event.eta_s)
        elif isinstance(event, ArmSeed):
            self.owner.emit(event)
        elif isinstance(event, Alarm):
            message = f"{self.name}: {event.message}"
            self.owner.emit(replace(event, stage=self.owner.stage, message=message))

    def tell(
        self, label: str, done: float, total: float, unit: str, eta: float | None = None
    ) -> None:
        self.owner.tell(f"{self.name}: {label}", done, total, unit, eta)

    @property
    def go_on(self) -> str:
        return self.owner.go_on

    def asked(self, *actions: str) -> set[str]:
        return self.owner.asked(*actions)

    def raise_if_stopped(self) -> None:
        self.owner.raise_if_stopped()

    def hold(self, step: int | None = None, checkpoint: Callable[[], None] = lambda: None) -> None:
        self.owner.hold(step, checkpoint)

    def clock(self) -> float:
        return self.owner.clock()
