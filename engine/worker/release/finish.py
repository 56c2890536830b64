"""Stage two: the task model, by the gate's own SFT recipe with generic text mixed back.

Gold score, domain loss and generic loss before and after each stage, in four rows: base, CPT,
base+SFT, CPT+SFT. What training or the gate measured of the same thing is not measured again.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from engine.artifacts.gate import BaselineArtifact, GateArtifact, SeedScores
from engine.artifacts.gate_probe import ProbeSteps
from engine.artifacts.shipping import FinishArtifact, TaskRow
from engine.errors import InputError
from engine.gate.forgetting import guard_state
from engine.gold.metrics import METRICS
from engine.recipe.gate import Finish
from engine.release.policy import BASE, CPT, MIX_BACK_WHY, starting_point
from engine.runs.events import Alarm, Facts
from engine.thresholds import effective
from engine.worker.gate.arm import SftArm
from engine.worker.gate.arm_files import ArmFiles
from engine.worker.gate.schedule import pinned_steps
from engine.worker.gate.sft import Extra
from engine.worker.gate.stage import Judging
from engine.worker.job.stage import Stage
from engine.worker.model import base as models
from engine.worker.model import proof
from engine.worker.model.base import weights_sha256
from engine.worker.model.job import Job, need
from engine.worker.model.precision import run_precision
from engine.worker.packing.batches import heldout_rows
from engine.worker.packing.stage import pack_folder
from engine.worker.release.replay import Replay, targets
from engine.worker.scoring import self_check
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.gold import gold_scores
from engine.worker.step import memory
from engine.worker.step.rows import Rows
from engine.worker.step.step import mean_loss
from engine.worker.tokens.checks import open_stores
from engine.worker.tokens.store import TokenStore

FOLDER = "task"
ARMS = (BASE, CPT)


@dataclass
class TaskArm(SftArm):
    """The gate's SFT from one of the two models; its progress is counted in the table's rows."""

    extra: Extra = lambda taught: []
    unmerged: Callable[[torch.nn.Module], None] = lambda model: None
    """Sees the trained model before its adapters are merged."""

    def tell(self, what: str, row: int, share: float) -> None:
        self.context.progress(f"{self.name}: {what}", row + share, 4, "rows")

    def score(self, model: torch.nn.Module, what: str, row: int) -> list[float]:
        """Score of every gold item by the gate's metric."""
        told = functools.partial(self.tell, what, row)
        return gold_scores(model, self.base, self.gold, self.gate, self.precision, told)

    def taught(self, lr: float, seed: int, row: int) -> torch.nn.Module:
        """This arm's model after the SFT, adapters merged. Raises Diverged."""
        model = self.tuner.begin(self.model, seed)
        told = functools.partial(self.tell, "SFT", row)
        self.tuner.train(model, self.sft.draw(seed), lr, seed, told, self.extra, self.plan)
        self.unmerged(model)
        return self.tuner.merged(model)


class FinishStage(Stage[FinishArtifact]):
    """Stage two of one judged run."""

    name = "finish"

    def __init__(self, job: Job, judging: Judging) -> None:
        self.job, self.judging = job, judging
        self.context, self.base = job.context, job.base

    @property
    def options(self) -> Finish:
        return self.job.recipe.finish

    @property
    def seed(self) -> int:
        """The first of the gate's seeds."""
        return self.job.recipe.gate.seeds[0]

    @property
    def start(self) -> tuple[str, str]:
        """Which model is trained into the task model, and why."""
        return starting_point(need(self.job.made.gate).outcome, self.options.anyway)

    @property
    def folder(self) -> Path:
        return self.job.run.path / FOLDER

    @property
    def made(self) -> Path:
        """Where the task model waits until all rows are there: the old one stands till then."""
        return self.folder.with_name(f"{FOLDER}.next")

    def inputs(self) -> list[object]:
        return [
            need(self.job.made.train).model_sha256,
            self.job.fingerprint("gate"),
            need(self.job.made.gate).outcome,
            self.options.model_dump(exclude={"run"}),
        ]

    def make(self, fingerprint: str) -> FinishArtifact:
        """All four rows, and the task model in the run's ``task/``."""
        if self.job.made.extend:
            raise InputError(
                "Stage two does not go on from a run that extended the vocabulary yet: its "
                "held-out rows are the new tokens'; export the CPT model and fine-tune that"
            )
        start, why = self.start
        facts = {"start": why, "mix-back": self._mix_words()}
        self.context.emit(Facts(stage="finish", facts=facts))
        if start == BASE:
            self.context.emit(Alarm(level="note", stage="finish", message=why))
        both = [self._pair(name, fingerprint) for name in (BASE, CPT)]
        before, after = zip(*both, strict=True)
        rows = [*before, *after]
        shipped = next(row for row in after if row.model_sha256)
        self._publish(shipped.model_sha256)
        rise = shipped.generic - rows[0].generic
        guard = guard_state(rise, effective(self.job.recipe.probe.thresholds))
        if guard != "green":
            message = f"the task model's generic loss is {rise:+.3f} nats over the base's: {guard}"
            self.context.emit(Alarm(level=guard, stage="finish", message=message))
        return FinishArtifact(
            start=start,
            why=why,
            anyway=self.options.anyway,
            seed=self.seed,
            metric=self.job.recipe.gate.metric,
            items=len(self.judging.items.gold),
            mix_back=self.options.mix_back,
            achieved_mix=shipped.achieved_mix or 0.0,
            mix_back_why=self.options.why_no_mix_back or MIX_BACK_WHY,
            rows=rows,
            gate_gold={name: self._gate_gold(name) for name in ARMS},
            generic_rise=rise,
            guard=guard,
            model_sha256=shipped.model_sha256,
        )

    def _publish(self, weights: str) -> None:
        """The new task model and its live logits take the old ones' places."""
        live = proof.live_file(self.context.run.path, "task")
        if self._live.is_file():
            self._live.replace(live)
        if not self._holds(self.made, weights):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.made.rename(self.folder)

    @property
    def _live(self) -> Path:
        """The live logits of the task model that waits."""
        live = proof.live_file(self.context.run.path, "task")
        return live.with_name(f"{live.stem}.next{live.suffix}")

    @staticmethod
    def _holds(folder: Path, weights: str) -> bool:
        """Whether a folder has the model of these weights."""
        return folder.is_dir() and weights_sha256(folder) == weights

    def files(self, made: FinishArtifact) -> list[Path]:
        return [*sorted(self.folder.iterdir()), proof.live_file(self.context.run.path, "task")]

    def _mix_words(self) -> str:
        if not self.options.mix_back:
            return f"none: {self.options.why_no_mix_back}"
        return f"{self.options.mix_back:.0%} of the loss tokens are generic: {MIX_BACK_WHY}"

    def _pair(self, name: str, fingerprint: str) -> tuple[TaskRow, TaskRow]:
        """The rows of one starting model, before and after SFT; finished ones are reused."""
        number = 2 * ARMS.index(name)
        before, after = (self._kept(row, fingerprint) for row in (name, f"{name}+SFT"))
        if before and after:
            return before, after
        arm = self._arm(name)
        if before is None:
            before = self._keep(self._before(name, arm, number), fingerprint)
        if after is None:
            after = self._keep(self._after(name, arm, number + 1), fingerprint)
        return before, after

    def _arm(self, name: str) -> TaskArm:
        """The model of a row, ready to be scored and trained."""
        run, items = self.context.run, self.judging.items
        model = models.load(self.base) if name == BASE else models.load_folder(run.path / "model")
        precision = run_precision(self.context, self.base, model)
        judged = items.gold if METRICS[self.context.recipe.gate.metric].choices else []
        self_check.prove(self.context, self.base, model, precision, judged)
        both, plan = (items.sft, items.gold), self._plan
        return TaskArm(self.context, self.base, f"{name}+SFT", model, precision, *both, "", plan)

    @property
    def _plan(self) -> ProbeSteps:
        """The length of the gate's SFT, which is this one's."""
        gate, sft = self.context.recipe.gate, self.judging.items.sft
        return need(self.job.made.baseline).plan or pinned_steps(gate.probe, sft.size)

    def _before(self, name: str, arm: TaskArm, number: int) -> TaskRow:
        """Gold without SFT; both losses as training measured them on the same rows."""
        train = need(self.job.made.train)
        domain, generic = {
            BASE: (train.domain_before, train.generic_before),
            CPT: (train.domain_after, train.generic_after),
        }[name]
        return TaskRow(
            name=name,
            gold=_points(arm.score(arm.model, "scoring without SFT", number)),
            domain=need(domain),
            generic=need(generic),
            reused=["domain", "generic"],
        )

    def _after(self, name: str, arm: TaskArm, number: int) -> TaskRow:
        """Train, score, measure; the model that ships is saved."""
        ships = name == self.start[0]
        replay = self._replay(arm)
        arm.extra = replay.pieces
        if ships:
            live = self._live
            arm.unmerged = lambda model: proof.keep(model, live)
        model = arm.taught(*self._gate_sft(name), number)
        gold = None if self.options.mix_back else self._gate_scores(name)
        scored = gold or arm.score(model, "scoring", number)
        domain, generic = (
            mean_loss(model, rows, arm.precision, self._micro, self.context.raise_if_stopped)
            for rows in self._heldout
        )
        if ships:
            models.save(model, self.base, self.made)
        return TaskRow(
            name=f"{name}+SFT",
            gold=_points(scored),
            domain=domain,
            generic=generic,
            reused=["gold"] if gold else [],
            achieved_mix=replay.achieved,
            generic_passes=replay.passes,
            model_sha256=weights_sha256(self.made) if ships else "",
        )

    def _replay(self, arm: TaskArm) -> Replay:
        encoder = Encoder(self.base, self.context.recipe.gate.template)
        taught = arm.sft.draw(self.seed)
        once = sum(targets(encoder.training(example)) for example in taught)
        share, total = self.options.mix_back, once * self._plan.examples / len(taught)
        return Replay(self._generic, self.base, share, self.seed, total, self._plan.steps)

    @cached_property
    def _generic(self) -> TokenStore:
        return open_stores(need(self.job.made.scan).stores)[1]

    @cached_property
    def _heldout(self) -> tuple[Rows, Rows]:
        folder = pack_folder(self.job.run)
        return heldout_rows(folder / "heldout-domain"), heldout_rows(folder / "heldout-generic")

    @property
    def _micro(self) -> int:
        length = need(self.job.made.pack).sequence_length
        return memory.reading_rows(self.job.recipe.train, length)

    def _judged(self, name: str) -> BaselineArtifact | GateArtifact:
        """What the gate made of this arm."""
        made = self.job.made
        return need(made.baseline) if name == BASE else need(made.gate)

    def _rate(self, name: str) -> float:
        """The learning rate that this arm had in the gate."""
        return need(self._judged(name).probe).lr

    def _gate_sft(self, name: str) -> tuple[float, int]:
        """Rate and seed that this arm's first probe had: its own, or its spare's."""
        stage, short = ("baseline", "base") if name == BASE else ("gate", "cpt")
        folder = self.context.run.path / "artifacts" / "arms"
        files = ArmFiles(folder, short, self.job.fingerprint(stage))
        found = files.read(str(self.seed), SeedScores)
        if found is None or found.lr is None:
            return self._rate(name), self.seed
        return found.lr, self.seed if found.trained_seed is None else found.trained_seed

    def _gate_scores(self, name: str) -> list[float]:
        """The gate's item scores of this arm and seed: the same SFT without generic text."""
        return self._judged(name).per_item[self.job.recipe.gate.seeds.index(self.seed)]

    def _gate_gold(self, name: str) -> float:
        return _points(self._gate_scores(name))

    def _kept(self, name: str, fingerprint: str) -> TaskRow | None:
        """A row that an interrupted stage two had finished; its model must be there as it was."""
        found = self.context.scratch(f"finish-rows/{name}.json")
        if found is None or found["fingerprint"] != fingerprint:
            return None
        row = TaskRow.model_validate(found["row"])
        saved = row.model_sha256
        whole = any(self._holds(folder, saved) for folder in (self.made, self.folder))
        return row if whole or not saved else None

    def _keep(self, row: TaskRow, fingerprint: str) -> TaskRow:
        """Keep a finished row, and say it."""
        kept = {"fingerprint": fingerprint, "row": row.to_json()}
        self.context.keep_scratch(f"finish-rows/{row.name}.json", kept)
        told = f"gold {row.gold:.1f}, domain {row.domain:.4f}, generic {row.generic:.4f}"
        self.context.emit(Facts(stage="finish", facts={row.name: f"{told} nats/token"}))
        return row


def _points(scores: list[float]) -> float:
    return round(100 * float(np.mean(scores)), 4)
