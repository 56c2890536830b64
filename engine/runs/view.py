"""RunView: the events of a run folded into what a screen shows. No Textual, no numpy.

Text in a view may come from strangers (samples, messages, file names): whoever prints it
cleans it first (``cpt_tui.safe.clean``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.runs import events as ev
from engine.runs.series import Series
from engine.stages import EXTEND, LATER_STAGES, STAGES
from engine.thresholds import LARGEST, effective

if TYPE_CHECKING:
    from engine.artifacts.all_stages import Artifacts
    from engine.runs.launch import Status

KEPT_ALARMS = 200
KEPT_SAMPLES = 50


@dataclass
class StageView:
    """One stage on the rail."""

    name: str
    state: str = "waiting"
    """``waiting``, ``running``, ``done``, ``skipped`` (its artifact was there), ``stopped`` (on
    request, part done) or ``failed``."""
    seconds: float | None = None
    started: float = 0.0
    detail: str = ""
    progress: ev.Progress | None = None
    facts: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass
class Curve:
    """The curves of one series of training points (``train``, ``base``, ``pilot``)."""

    loss: Series = field(default_factory=Series)
    lr: Series = field(default_factory=Series)
    grad_norm: Series = field(default_factory=Series)
    tokens_per_s: Series = field(default_factory=Series)
    domain: Series = field(default_factory=Series)
    generic: Series = field(default_factory=Series)
    memory: Series = field(default_factory=Series)
    tokens: Series = field(default_factory=Series)
    """Tokens seen by each step: what turns an axis of steps into one of tokens."""
    step: ev.TrainStep | None = None
    """The newest step."""
    rewound: int | None = None
    """Lowest step that it went back to (a resume) since a reader last set this to None."""

    def add_step(self, event: ev.TrainStep) -> bool:
        """Take a step in; True if the run went back (a resume) and later points were dropped."""
        back = self.step is not None and event.step <= self.step.step
        if back:
            self.domain.drop_from(event.step + 0.5)
            self.generic.drop_from(event.step + 0.5)
            self.rewound = min(event.step, self.rewound or event.step)
        self.loss.add(event.step, event.loss)
        self.lr.add(event.step, event.lr)
        self.grad_norm.add(event.step, event.grad_norm)
        self.tokens_per_s.add(event.step, event.tokens_per_s)
        self.memory.add(event.step, event.memory_gb)
        self.tokens.add(event.step, event.tokens)
        self.step = event
        return back

    def add_eval(self, event: ev.EvalPoint) -> None:
        if event.domain is not None:
            self.domain.add(event.step, event.domain)
        if event.generic is not None:
            self.generic.add(event.step, event.generic)

    @property
    def generic_rise(self) -> float | None:
        """Generic held-out loss now minus at the first evaluation; None before two of them."""
        first, last = self.generic.first, self.generic.last
        return last[1] - first[1] if first and last and last[0] > first[0] else None


@dataclass
class RunView:
    """Everything screens show of one run, folded from its events in order."""

    run: str = ""
    pid: int | None = None
    version: int = 0
    """Grows with every event; a screen redraws only when it changed."""
    planned: list[str] = field(default_factory=lambda: list(STAGES))
    stages: dict[str, StageView] = field(
        default_factory=lambda: {name: StageView(name) for name in STAGES}
    )
    current: str = ""
    latest: str = ""
    """The stage that was last heard of; where a viewer looks when none is running."""
    curves: dict[str, Curve] = field(default_factory=dict)
    alarms: list[ev.Alarm] = field(default_factory=list)
    checkpoints: list[ev.CheckpointSaved] = field(default_factory=list)
    samples: list[ev.SampleWritten] = field(default_factory=list)
    arms: dict[str, dict[int, ev.ArmSeed]] = field(default_factory=dict)
    looks: dict[int, ev.GateLooked] = field(default_factory=dict)
    """Looks of the gate by their number of seeds."""
    controls: list[ev.Control] = field(default_factory=list)
    outcome: str = ""
    code: int | None = None
    message: str = ""
    failure: ev.Failed | None = None
    started: float = 0.0
    last_t: float = 0.0
    before_t: float = 0.0
    """Time of the event before the newest: a killed worker's last word, where one began again."""
    starts: int = 0
    """Workers that took the run."""
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds that workers spent in each stage, over all their attempts."""
    broken: int = 0
    """Lines of the log that were not as they were written, and are left out."""
    newer: int = 0
    """Events of a kind that this version does not know."""
    limits: dict[str, float] = field(default_factory=lambda: effective({}))
    """The thresholds in force, the recipe's overrides included once it is decided."""

    def __post_init__(self) -> None:
        self._made: tuple[tuple[int, ...], Artifacts] | None = None
        self.gone = False
        """No worker lives and none said goodbye; no event tells that, so viewers set it."""

    def apply_all(self, batch: Iterable[ev.Event]) -> None:
        """Fold a batch of events."""
        for event in batch:
            self.apply(event)

    def apply(self, event: ev.Event) -> None:
        """Fold one event; what is none of this version's is counted."""
        if isinstance(event, ev.Unreadable):
            self._leave_out(event.count)
            return
        self.version += 1
        self.before_t, self.last_t = self.last_t, event.t or self.last_t
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return
        try:
            handler(self, event)
        except (TypeError, ValueError, AttributeError, KeyError):
            self._leave_out(1)

    def _leave_out(self, lines: int) -> None:
        """Lines that cannot be read: one alarm for all of them, however they are read."""
        self.version += lines
        self.broken += lines
        others = [alarm for alarm in self.alarms if not isinstance(alarm, ev.Unreadable)]
        self.alarms = [*others, ev.Unreadable.of(self.broken)][-KEPT_ALARMS:]

    def stage(self, name: str) -> StageView:
        """The stage, made on first mention (demos have a ``base`` stage before scan)."""
        if name not in self.stages:
            if name == EXTEND:
                at = list(self.stages).index("pack")
                known = list(self.stages.items())
                self.stages = dict([*known[:at], (name, StageView(name)), *known[at:]])
                return self.stages[name]
            early = {name: StageView(name)} if name not in LATER_STAGES else {}
            late = {} if early else {name: StageView(name)}
            self.stages = {**early, **self.stages, **late}
        return self.stages[name]

    @property
    def curve(self) -> Curve:
        """The curve to show: the running series, else CPT's, else the newest one there is."""
        if self.current == "base" and "base" in self.curves:
            return self.curves["base"]
        return self.curves.get("train") or Curve()

    def evidence(self, stage: str) -> dict[str, Any]:
        """What a stage measured; empty before it is done."""
        found = self.stages.get(stage)
        return found.evidence if found else {}

    @property
    def made(self) -> Artifacts:
        """What the stages have written so far, as records; parsed once for each change."""
        from engine.artifacts.all_stages import Artifacts  # pydantic: not for a list of runs

        evidence = {name: stage.evidence for name, stage in self.stages.items()}
        key = tuple(map(id, evidence.values()))
        if self._made is None or self._made[0] != key:
            self._made = (key, Artifacts.of(evidence))
        return self._made[1]

    @property
    def guard(self) -> str:
        """Forgetting in a word: ``green``, ``amber``, ``red``, or ``unknown``."""
        curve = self.curves.get("train")
        return guard_word(curve.generic_rise if curve else None, self.limits)

    @property
    def paused(self) -> bool:
        """Whether its worker holds; one that is gone does not hold anything."""
        held = bool(self.controls) and self.controls[-1].action == "paused"
        return held and not self.gone and not self.ended

    @property
    def at_work(self) -> bool:
        """Whether anything goes on: only then is there a time left."""
        return not (self.ended or self.gone or self.paused)

    def see(self, status: Status) -> bool:
        """Take in whether the worker lives; True if that changes what is shown."""
        before = self.gone
        self.gone = not status.alive and not self.ended and self.started > 0
        return self.gone != before

    @property
    def ended(self) -> bool:
        return self.code is not None


def guard_word(rise: float | None, limits: dict[str, float]) -> str:
    """The forgetting guard's word for a rise of generic loss in nats."""
    if rise is None:
        return "unknown"
    if rise <= limits["forgetting_green"]:
        return "green"
    return "amber" if rise <= limits["forgetting_amber"] else "red"


def _leave_stage(view: RunView, t: float) -> None:
    """Count the time since the stage in progress began; ``t`` is when it was left."""
    stage = view.stages.get(view.current)
    if stage is not None and t:
        view.spent[stage.name] = view.spent.get(stage.name, 0.0) + max(0.0, t - stage.started)


def _run_started(view: RunView, event: ev.RunStarted) -> None:
    _leave_stage(view, view.before_t)
    view.starts += 1
    view.run, view.pid = event.run, event.pid
    view.planned = list(event.stages) or view.planned
    view.started = view.started or event.t
    view.outcome, view.code, view.message, view.failure = "", None, "", None
    view.controls = []
    view.current = ""
    for name in event.stages:
        view.stage(name)
    for stage in view.stages.values():
        if stage.state in ("running", "stopped", "failed"):
            stage.state = "waiting"


def _facts(view: RunView, event: ev.Facts) -> None:
    stage = view.stage(event.stage)
    stage.facts = {**stage.facts, **event.facts}


def _stage_started(view: RunView, event: ev.StageStarted) -> None:
    _leave_stage(view, event.t)
    stage = view.stage(event.stage)
    stage.state, stage.started, stage.detail = "running", event.t, event.detail
    stage.progress = None
    view.current = view.latest = event.stage


def _progress(view: RunView, event: ev.Progress) -> None:
    view.stage(event.stage).progress = event


def _stage_done(view: RunView, event: ev.StageDone) -> None:
    _leave_stage(view, event.t)
    stage = view.stage(event.stage)
    seen = stage.state == "done" or bool(stage.evidence)
    stage.evidence = event.evidence or stage.evidence
    if event.skipped:
        stage.state = "done" if seen else "skipped"
    else:
        stage.state, stage.seconds = "done", event.seconds
    stage.progress = None
    view.latest = event.stage
    view.current = ""
    if event.stage == "decide":
        view.limits = effective(_numbers(stage.evidence.get("thresholds_overridden")))


def _numbers(value: object) -> dict[str, float]:
    """The usable numbers of a table out of a log; all else that may stand there is left out."""
    table = value.items() if isinstance(value, dict) else ()
    numbers = {name: number for name, number in table if isinstance(number, (int, float))}
    return {name: number for name, number in numbers.items() if -LARGEST <= number <= LARGEST}


def _train_step(view: RunView, event: ev.TrainStep) -> None:
    curve = view.curves.setdefault(event.series, Curve())
    if curve.add_step(event) and event.series == "train":
        view.checkpoints = [c for c in view.checkpoints if c.step <= event.step]
        view.samples = [s for s in view.samples if s.step <= event.step]


def _eval(view: RunView, event: ev.EvalPoint) -> None:
    view.curves.setdefault(event.series, Curve()).add_eval(event)


def _alarm(view: RunView, event: ev.Alarm) -> None:
    curve = view.curves.get("train")
    if event.stage == "train" and event.step is None and curve and curve.step:
        event = dataclasses.replace(event, step=curve.step.step)
    view.alarms = [*view.alarms, event][-KEPT_ALARMS:]


def _checkpoint(view: RunView, event: ev.CheckpointSaved) -> None:
    view.checkpoints = [*(c for c in view.checkpoints if c.name != event.name), event][-100:]


def _sample(view: RunView, event: ev.SampleWritten) -> None:
    view.samples = [*view.samples, event][-KEPT_SAMPLES:]


def _seed(view: RunView, event: ev.ArmSeed) -> None:
    view.arms.setdefault(event.arm, {})[event.seed] = event


def _look(view: RunView, event: ev.GateLooked) -> None:
    view.looks[event.seeds] = event


def _control(view: RunView, event: ev.Control) -> None:
    view.controls = [*view.controls, event][-50:]


def _failed(view: RunView, event: ev.Failed) -> None:
    view.failure = event
    if event.stage:
        view.stage(event.stage).state = "failed"


def _run_ended(view: RunView, event: ev.RunEnded) -> None:
    _leave_stage(view, event.t)
    view.outcome, view.code, view.message = event.outcome, event.code, event.message
    view.current = ""
    for stage in view.stages.values():
        if stage.state == "running":
            stage.state = "failed" if view.failure else "stopped"


def _unknown(view: RunView, event: ev.Unknown) -> None:
    if event.fault:
        view._leave_out(1)
    else:
        view.newer += 1


_HANDLERS: dict[type[ev.Event], Any] = {
    ev.Unknown: _unknown,
    ev.RunStarted: _run_started,
    ev.Facts: _facts,
    ev.StageStarted: _stage_started,
    ev.Progress: _progress,
    ev.StageDone: _stage_done,
    ev.TrainStep: _train_step,
    ev.EvalPoint: _eval,
    ev.Alarm: _alarm,
    ev.CheckpointSaved: _checkpoint,
    ev.SampleWritten: _sample,
    ev.ArmSeed: _seed,
    ev.GateLooked: _look,
    ev.Control: _control,
    ev.Failed: _failed,
    ev.RunEnded: _run_ended,
}
